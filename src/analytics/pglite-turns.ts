/**
 * Turns: many PostgreSQL connections share the one session of a PGlite, without mixing.
 *
 * pglite-socket queues single protocol messages and keeps a client's turn only inside a transaction
 * block. A statement that arrives in several network reads can thereby meet another client's unnamed
 * statement, and be answered with it (seen with 0.2.17). Here a turn is a whole round, up to Sync or
 * a simple query, executed in one go; and a client inside a transaction keeps the turn until it ends
 * it, leaves, or keeps everyone waiting too long (WIN-13).
 */

import type { Cancel, Timers } from '../../regions/runtime.ts';

/** What is needed of a PGlite. */
export interface Session {
  execProtocolRawStream(message: Uint8Array, options: { onRawData: (data: Uint8Array) => void }): Promise<void>;
  isInTransaction(): boolean;
}

interface Round {
  readonly handler: number;
  readonly message: Uint8Array;
  readonly onData: (data: Uint8Array) => void;
  readonly resolve: (bytes: number) => void;
  readonly reject: (error: Error) => void;
}

const ROUND_BYTES_MAX = 64 * 1024 * 1024;
const FLUSH = 'H'.charCodeAt(0);
const SYNC = Uint8Array.of(0x53, 0, 0, 0, 4);
const ROLLBACK = simpleQuery('ROLLBACK');
/** The extended protocol's messages that wait for a Sync: Parse, Bind, Describe, Execute, Close. */
const OPEN_ENDED = new Set([...'PBDEC'].map((letter) => letter.charCodeAt(0)));

export class Turns {
  readonly #session: Session;
  readonly #timers: Timers;
  readonly #holdMsMax: number;
  readonly #onOverdue: (handler: number) => void;
  readonly #unfinished = new Map<number, Uint8Array[]>();
  #waiting: Round[] = [];
  /** Whose transaction is open. */
  #holder: number | null = null;
  #cancelHold: Cancel = () => {};
  /** Whose round is being executed. */
  #executing: number | null = null;

  /** `onOverdue` is told of a client whose transaction was rolled back because it stayed silent. */
  constructor(session: Session, timers: Timers, holdMsMax: number, onOverdue: (handler: number) => void) {
    this.#session = session;
    this.#timers = timers;
    this.#holdMsMax = holdMsMax;
    this.#onOverdue = onOverdue;
  }

  // The four methods that pglite-socket's handler calls, by the names it gives them.

  /** Takes one protocol message; resolves with the bytes answered, 0 while the round is not complete. */
  enqueue(handler: number, message: Uint8Array, onData: (data: Uint8Array) => void): Promise<number> {
    const parts = [...(this.#unfinished.get(handler) ?? []), message];
    if (OPEN_ENDED.has(message[0] ?? 0)) {
      if (byteLength(parts) > ROUND_BYTES_MAX) return Promise.reject(new Error('a round of messages is too long'));
      this.#unfinished.set(handler, parts);
      return Promise.resolve(0);
    }
    this.#unfinished.delete(handler);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ handler, message: concat(parts), onData, resolve, reject });
      this.#run();
    });
  }

  clearQueueForHandler(handler: number): void {
    this.#unfinished.delete(handler);
    for (const round of this.#waiting) if (round.handler === handler) round.reject(new Error('the client has left'));
    this.#waiting = this.#waiting.filter((round) => round.handler !== handler);
  }

  /** Ends the client's transaction, also one that a round in progress is about to open. */
  async clearTransactionIfNeeded(handler: number): Promise<void> {
    if (this.#holder !== handler && this.#executing !== handler) return;
    await new Promise<number>((resolve, reject) => {
      this.#waiting.unshift({ handler, message: concat([SYNC, ROLLBACK]), onData: () => {}, resolve, reject });
      this.#run();
    });
  }

  getQueueLength(): number {
    return this.#waiting.length;
  }

  #run(): void {
    if (this.#executing === null) void this.#runAll();
  }

  async #runAll(): Promise<void> {
    for (let round = this.#next(); round !== undefined; round = this.#next()) {
      const { handler, message, onData, resolve, reject } = round;
      this.#executing = handler;
      this.#cancelHold();
      let bytes = 0;
      const onRawData = (data: Uint8Array): void => {
        bytes += data.length;
        onData(data);
      };
      const settle = await this.#session.execProtocolRawStream(message, { onRawData }).then(
        () => () => resolve(bytes),
        (error: Error) => () => reject(error),
      );
      this.#executing = null;
      // After a Flush the client's round goes on, although no transaction block is open.
      if (this.#session.isInTransaction() || message.at(-5) === FLUSH) this.#hold(handler);
      else this.#holder = null;
      settle();
    }
  }

  #next(): Round | undefined {
    const index = this.#holder === null ? 0 : this.#waiting.findIndex((round) => round.handler === this.#holder);
    return index === -1 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #hold(handler: number): void {
    this.#holder = handler;
    this.#cancelHold = this.#timers.after(this.#holdMsMax, () => {
      const overdue = (): void => this.#onOverdue(handler);
      void this.clearTransactionIfNeeded(handler).then(overdue, overdue);
    });
  }
}

function simpleQuery(text: string): Uint8Array {
  const body = new TextEncoder().encode(text);
  const message = new Uint8Array(1 + 4 + body.length + 1);
  message[0] = 'Q'.charCodeAt(0);
  new DataView(message.buffer).setUint32(1, 4 + body.length + 1);
  message.set(body, 5);
  return message;
}

function byteLength(parts: readonly Uint8Array[]): number {
  return parts.reduce((bytes, part) => bytes + part.length, 0);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(byteLength(parts));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
