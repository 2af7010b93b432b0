/**
 * The connection of one player to its region: connects, says hello, sends what the outbox holds,
 * and comes back after a loss with full-jitter backoff, resending what was not answered.
 */

import type { Ack, ClientMessage, FrameMessage, ServerMessage, SUBPROTOCOL_JSON, Welcome } from '../../protocol/messages.ts';
import { Outbox, type SentBatch } from './outbox.ts';

const SUBPROTOCOL: typeof SUBPROTOCOL_JSON = 'ovation.v1.json';
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 10_000;
/** Frames come at least every 2 s, so a longer silence is a dead connection. */
const SILENCE_MS_MAX = 6_000;
const RETRY_MS = 1_000;

export type ConnectionState = 'connecting' | 'live' | 'waiting' | 'refused';

export interface ConnectionEvents {
  state(state: ConnectionState, detail: string): void;
  welcome(message: Welcome): void;
  frame(message: FrameMessage): void;
  acknowledged(ack: Ack, batch: SentBatch): void;
  refused(reason: string): void;
}

export interface Connection {
  tap(emoji: string): void;
}

export function connect(url: string, viewer: string, on: ConnectionEvents): Connection {
  const outbox = new Outbox();
  const session = randomText();
  let socket: WebSocket | null = null;
  let welcomed = false;
  let attempts = 0;
  let batchMs = 250;
  let flushedAt = -Infinity;
  let flushTimer: number | null = null;
  let silenceTimer: number | undefined;

  function open(): void {
    on.state('connecting', 'connecting');
    const opened = new WebSocket(url, SUBPROTOCOL);
    socket = opened;
    opened.addEventListener('open', () => {
      send({ type: 'hello', session_id: session, viewer_id: viewer, unacked_from: outbox.unackedFrom });
    });
    opened.addEventListener('message', (event) => {
      if (socket !== opened) return;
      expectMore();
      receive(JSON.parse(String(event.data)) as ServerMessage);
    });
    opened.addEventListener('close', (event) => {
      if (socket === opened) lost(event.code, event.reason);
    });
    expectMore();
  }

  function expectMore(): void {
    window.clearTimeout(silenceTimer);
    silenceTimer = window.setTimeout(() => {
      socket?.close();
      lost(1006, 'silent for too long');
    }, SILENCE_MS_MAX);
  }

  function lost(code: number, reason: string, delayMs = backoffMs(attempts)): void {
    window.clearTimeout(silenceTimer);
    socket = null;
    welcomed = false;
    // The page's own copy of the rule in the protocol's close codes: 44xx is permanent.
    if (code >= 4400 && code <= 4499) {
      on.state('refused', reason || `refused with code ${code}`);
      return;
    }
    attempts += 1;
    on.state('waiting', 'reconnecting');
    window.setTimeout(open, delayMs);
  }

  function receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        welcomed = true;
        attempts = 0;
        batchMs = message.batch_ms;
        on.welcome(message);
        on.state('live', 'live');
        for (const batch of outbox.unacknowledged(performance.now())) send(batch);
        flushSoon();
        break;
      case 'ack': {
        const batch = outbox.settle(message.seq);
        if (batch !== undefined) on.acknowledged(message, batch);
        flushSoon();
        break;
      }
      case 'frame':
        on.frame(message);
        break;
      case 'error':
        if (message.temporary) retry(message.seq, message.retry_after_ms ?? RETRY_MS);
        else outbox.settle(message.seq);
        on.refused(message.message);
        break;
      case 'pace':
        batchMs = message.batch_ms;
        break;
      case 'goaway': {
        const leaving = socket;
        lost(1012, 'asked to move', Math.random() * message.retry_after_ms);
        leaving?.close();
        break;
      }
    }
  }

  function retry(sequence: number, afterMs: number): void {
    window.setTimeout(() => {
      const batch = welcomed ? outbox.resend(sequence, performance.now()) : undefined;
      if (batch !== undefined) send(batch);
    }, afterMs * (1 + Math.random()));
  }

  /** The first tap after a pause goes at once, the following ones together, a batch each `batchMs`. */
  function flushSoon(): void {
    if (flushTimer !== null || !outbox.hasPending) return;
    flushTimer = window.setTimeout(flush, Math.max(0, flushedAt + batchMs - performance.now()));
  }

  function flush(): void {
    flushTimer = null;
    if (!welcomed) return;
    const now = performance.now();
    const batch = outbox.nextBatch(now, Date.now());
    if (batch === null) return;
    flushedAt = now;
    send(batch);
  }

  function send(message: ClientMessage): void {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  open();
  return {
    tap(emoji) {
      if (!outbox.tap(emoji, performance.now())) on.refused('too many taps are waiting for the region');
      flushSoon();
    },
  };
}

/** Full jitter: anywhere between nothing and a ceiling that doubles, so that a crowd does not return as one. */
function backoffMs(attempts: number): number {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempts);
}

/** `crypto.randomUUID` exists only on secure origins; this also works on a phone in the same network. */
export function randomText(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
