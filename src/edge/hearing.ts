/**
 * When one socket is read, and when it is not [LOAD-10, LOAD-15].
 *
 * To read a batch and to refuse it costs nearly as much as to count it, and what is ready to be read is read before anything else is done: a
 * region that reads all that it must refuse answers nobody. What is not read waits with the client, and comes at once. A socket that is not read
 * is *held*: first it rests for a time of its own, then it waits for its turn.
 */

import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Cancel } from '../../regions/runtime.ts';
import type { Level } from '../broadcaster/frame-feed.ts';
import { BATCHES_IN_FLIGHT_MAX } from '../protocol/messages.ts';
import { BATCH_MS } from './frame-message.ts';
import type { Speaker } from './hearing-turns.ts';
import type { SocketContext } from './socket-context.ts';

/** A socket rests no longer than this, because whatever comes over it waits as long. */
const REST_MS_MAX = 1_000;
const REST_STEP_MS = 25;
/** After a batch, on each rung, at most: much less than the pace asks for, so that it delays those alone who do not heed that. */
const PACE_REST_MS: { readonly [level in Level]: number } = { exact: 0, relaxed: 250, hearts: 500, static: REST_MS_MAX };
/** What comes closer together comes from one read. */
const TOGETHER_MS = 5;
/** Who brings batches faster than the pace asks for, and this much faster, does not keep it. */
const TOLERANCE = 2;

export class Hearing implements Speaker {
  readonly #context: SocketContext;
  readonly #webSocket: WebSocket;
  readonly #raw: Duplex;
  /** Ends a hold; null while the socket is read. */
  #release: Cancel | null = null;
  #paceMs = BATCH_MS.exact;
  /** Batches that came together the last time, when that was, and how long after those before. */
  #together = 0;
  #cameAt = 0;
  #gapMs = Infinity;
  /** Of the last one, as it came. */
  #batchBytes = Infinity;

  constructor(context: SocketContext, webSocket: WebSocket, raw: Duplex) {
    this.#context = context;
    this.#webSocket = webSocket;
    this.#raw = raw;
  }

  get keepsPace(): boolean {
    const sinceMs = this.#context.now() - this.#cameAt;
    // One may be on its way whenever the last one came.
    return this.#together * this.#paceMs <= TOLERANCE * this.#gapMs && (this.waitingBatches - 1) * this.#paceMs <= TOLERANCE * sinceMs;
  }

  get waitingBatches(): number {
    return Math.min(BATCHES_IN_FLIGHT_MAX, this.#raw.readableLength / this.#batchBytes);
  }

  /** One of `bytes` came, at `at`. */
  batch(level: Level, at: number, bytes: number): void {
    this.#batchBytes = bytes;
    const gapMs = at - this.#cameAt;
    if (this.#release === null && Math.abs(gapMs) > TOGETHER_MS) {
      this.#together = 1;
      this.#gapMs = Math.abs(gapMs);
      this.#cameAt = at;
      this.#paceMs = BATCH_MS[level];
    } else this.#together += 1;
    const isEnough = this.#context.turns.hear();
    if (isEnough || PACE_REST_MS[level] > 0) this.#hold(PACE_REST_MS[level]);
  }

  /** One was refused, to come again after `retryAfterMs`: what else has come already would be refused, too. */
  refused(retryAfterMs: number): void {
    if (!this.#isOpen()) return;
    this.#webSocket.pause();
    this.#hold(retryAfterMs);
  }

  letGo(): void {
    if (this.#release === null) return;
    this.#release();
    this.#release = null;
    this.#context.stats.held -= 1;
    this.#webSocket.resume();
  }

  #hold(ms: number): void {
    if (this.#release !== null || !this.#isOpen()) return;
    const { stats, timers, turns, random } = this.#context;
    stats.holds += 1;
    stats.held += 1;
    // Spread, because those who are let go together bring what they have together; in steps, because timers of one length cost less.
    const restMs = Math.min(ms, REST_MS_MAX) * (1 - random() / 2);
    this.#release = timers.after(REST_STEP_MS * Math.ceil(restMs / REST_STEP_MS), () => {
      this.#release = turns.add(this);
    });
    // What has come already is heard to its end, and answered in one write.
    this.#raw.cork();
    process.nextTick(() => {
      this.#raw.uncork();
      if (this.#release !== null) this.#webSocket.pause();
    });
  }

  #isOpen(): boolean {
    return this.#webSocket.readyState === this.#webSocket.OPEN;
  }
}
