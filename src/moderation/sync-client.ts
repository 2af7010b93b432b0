/**
 * A moderator's end of a policy document: a Y.Doc and the connection to one region that keeps it in step. Runs in
 * browsers too.
 *
 * What is edited while the region is away is kept in the document and sent when it is back. The protocol of
 * y-websocket acknowledges nothing; but a region answers in order, so its answer to a question that was asked after
 * an edit proves that the edit was taken [CONS-4]. A refusal that would be repeated is not: it ends the attempts
 * until `retry`.
 */

import * as Y from 'yjs';
import type { Cancel, Runtime } from '../../regions/runtime.ts';
import { mayReconnect } from '../protocol/close-codes.ts';
import { controlProtocols } from '../protocol/control.ts';
import { answerMessage, isAnswer, questionMessage, readSyncMessage, updateMessage } from './sync-protocol.ts';

/** As much of a WebSocket as is needed, that of browsers and that of `ws`. */
export interface SyncSocket {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export type SyncState =
  | { readonly kind: 'connecting' }
  /** The document is that of the region, and what is edited is sent at once. */
  | { readonly kind: 'live' }
  /** It is tried again. */
  | { readonly kind: 'offline'; readonly reason: string }
  /** It would be refused again. */
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string };

/** The region said no; the message is what it said. */
export class SyncRefused extends Error {
  override readonly name = 'SyncRefused';
  readonly code: number;

  constructor(code: number, reason: string) {
    super(reason === '' ? `the region closed the connection with ${code}` : reason);
    this.code = code;
  }
}

/** It was stopped before the region had confirmed everything. */
export class SyncStopped extends Error {
  override readonly name = 'SyncStopped';

  constructor() {
    super('stopped before the region had confirmed every edit');
  }
}

export interface SyncParts {
  readonly doc: Y.Doc;
  /** `ws://host:port/control/<document>` */
  readonly url: string;
  /** Asked for each connection; null where no tokens are used. */
  readonly token: () => string | null;
  readonly open: (url: string, protocols: string[]) => SyncSocket;
  readonly runtime: Runtime;
  readonly onChange?: () => void;
}

export interface DocumentSync {
  readonly state: SyncState;
  /** Edits that no region has confirmed yet. */
  readonly pending: number;
  /** Resolves once the document is live and nothing is pending; rejects with SyncRefused, or SyncStopped. */
  settled(): Promise<void>;
  /** Connects now, also after a refusal. */
  retry(): void;
  stop(): void;
}

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;
/** The region says something every 10 s. */
const SILENT_MS_MAX = 30_000;
/** A connection that does not come about, or does not confirm, is as good as none. */
const ANSWER_MS_MAX = 10_000;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: SyncRefused | SyncStopped) => void;
}

export function syncDocument(parts: SyncParts): DocumentSync {
  const { doc, url, runtime } = parts;
  const { clock, timers, random } = runtime;
  let state: SyncState = { kind: 'connecting' };
  let socket: SyncSocket | null = null;
  /** The region's question was answered, so that it has all that later edits build upon. */
  let isGreeted = false;
  let edits = 0;
  let confirmed = 0;
  /** How many edits the question that is not answered yet was asked after; null when none is. */
  let asked: number | null = null;
  let askedAt = 0;
  let heardAt = 0;
  let failures = 0;
  let stopped = false;
  /** Who opens the document looks at it by itself first. */
  let isOpen = false;
  let cancelRetry: Cancel | null = null;
  const waiters: Waiter[] = [];

  const onEdit = (update: Uint8Array, origin: unknown): void => {
    if (origin === parts) return;
    edits += 1;
    if (isGreeted) {
      say(updateMessage(update));
      ask();
    }
    changed();
  };
  doc.on('update', onEdit);
  const stopWatching = timers.every(1_000, watch);
  connect();
  isOpen = true;

  function connect(): void {
    cancelRetry?.();
    cancelRetry = null;
    state = { kind: 'connecting' };
    heardAt = clock.now();
    let opened: SyncSocket;
    try {
      opened = parts.open(url, controlProtocols(parts.token()));
    } catch (error) {
      return failed(`The region cannot be reached: ${(error as Error).message}`);
    }
    socket = opened;
    opened.binaryType = 'arraybuffer';
    opened.onopen = () => {
      if (socket === opened) ask();
    };
    opened.onmessage = (event: { readonly data: unknown }) => {
      if (socket === opened) hear(event.data);
    };
    opened.onclose = (event: { readonly code: number; readonly reason: string }) => {
      if (socket === opened) closed(event.code, event.reason);
    };
    // The close that follows tells as much.
    opened.onerror = () => {};
    changed();
  }

  function hear(data: unknown): void {
    heardAt = clock.now();
    try {
      if (!(data instanceof ArrayBuffer)) throw new TypeError('text on a binary protocol');
      const bytes = new Uint8Array(data);
      const message = readSyncMessage(bytes);
      if (message.kind === 'question') greet(message.vector);
      else if (message.kind === 'update') Y.applyUpdate(doc, message.update, parts);
      if (isAnswer(bytes)) answered();
      else if (message.kind === 'update') changed();
    } catch (error) {
      drop();
      failed(`The region sent what is no document: ${(error as Error).message}`);
    }
  }

  function greet(vector: Uint8Array): void {
    say(answerMessage(Y.encodeStateAsUpdate(doc, vector)));
    isGreeted = true;
    ask();
  }

  /** One question at a time; the next is asked when it is answered. */
  function ask(): void {
    if (asked !== null) return;
    asked = isGreeted ? edits : confirmed;
    askedAt = clock.now();
    say(questionMessage(Y.encodeStateVector(doc)));
  }

  function answered(): void {
    confirmed = Math.max(confirmed, asked ?? 0);
    asked = null;
    if (isGreeted) {
      failures = 0;
      state = { kind: 'live' };
      if (confirmed < edits) ask();
    }
    changed();
  }

  function closed(code: number, reason: string): void {
    drop();
    if (mayReconnect(code)) return failed(reason === '' ? 'The region cannot be reached.' : reason);
    const refusal = new SyncRefused(code, reason);
    state = { kind: 'refused', code, reason: refusal.message };
    for (const { reject } of waiters.splice(0)) reject(refusal);
    changed();
  }

  function failed(reason: string): void {
    state = { kind: 'offline', reason };
    const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures, 10)) * (0.5 + random.next() / 2);
    failures += 1;
    cancelRetry = timers.after(delayMs, connect);
    changed();
  }

  function drop(): void {
    const dropped = socket;
    socket = null;
    isGreeted = false;
    asked = null;
    dropped?.close();
  }

  function watch(): void {
    if (socket === null) return;
    const now = clock.now();
    const isStuck = state.kind === 'connecting' && now - heardAt > ANSWER_MS_MAX;
    if (isStuck || now - heardAt > SILENT_MS_MAX || (asked !== null && now - askedAt > ANSWER_MS_MAX)) {
      drop();
      failed('The region does not answer.');
    }
  }

  function say(bytes: Uint8Array): void {
    socket?.send(bytes as Uint8Array<ArrayBuffer>);
  }

  function isSettled(): boolean {
    return state.kind === 'live' && confirmed === edits;
  }

  function changed(): void {
    if (isSettled()) for (const { resolve } of waiters.splice(0)) resolve();
    if (isOpen) parts.onChange?.();
  }

  return {
    get state() {
      return state;
    },
    get pending() {
      return edits - confirmed;
    },
    settled() {
      if (isSettled()) return Promise.resolve();
      if (stopped) return Promise.reject(new SyncStopped());
      if (state.kind === 'refused') return Promise.reject(new SyncRefused(state.code, state.reason));
      return new Promise((resolve, reject) => waiters.push({ resolve, reject }));
    },
    retry() {
      if (stopped || state.kind === 'live') return;
      drop();
      failures = 0;
      connect();
    },
    stop() {
      stopped = true;
      cancelRetry?.();
      stopWatching();
      doc.off('update', onEdit);
      drop();
      for (const { reject } of waiters.splice(0)) reject(new SyncStopped());
    },
  };
}
