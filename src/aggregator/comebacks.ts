/**
 * When those come back who were refused: not together, and no more of them in a second than are counted in one. Pure but for the
 * little that it remembers.
 *
 * Were all told the same second, a crowd beyond what a region can count would come back in it, be refused again, and keep it
 * busy with nothing else: the more are out, the later is the next one's turn.
 */

import type { Runtime } from '../../regions/runtime.ts';

/** Nobody comes back sooner. */
const SOONEST_MS = 500;
/** Nor is told to wait for longer, beside the jitter: a client that waits shows no life. */
const LATEST_MS = 8_000;
/** Refusals together are spread over this at least. */
const JITTER_MS = 500;
/** Over which batches are counted for the rate. */
const RATE_MS = 1_000;
const PER_SECOND_MIN = 1_000;
/** Of the rate, left to those who come back; the others are for the first time here. */
const SHARE = 0.5;

export class Comebacks {
  readonly #runtime: Runtime;
  #perSecond = PER_SECOND_MIN;
  #counted = 0;
  #countedSince: number;
  /** The turn given last. */
  #turnAt = -Infinity;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#countedSince = runtime.clock.now();
  }

  /** So many batches were answered. */
  counted(batches: number): void {
    this.#counted += batches;
    const now = this.#runtime.clock.now();
    const elapsedMs = now - this.#countedSince;
    if (elapsedMs < RATE_MS) return;
    this.#perSecond = Math.max(PER_SECOND_MIN, (this.#counted * 1_000) / elapsedMs);
    this.#counted = 0;
    this.#countedSince = now;
  }

  /** The next one's turn, in milliseconds from now. */
  nextMs(): number {
    const { clock, random } = this.#runtime;
    const now = clock.now();
    const turnAt = Math.max(now, this.#turnAt) + 1_000 / (SHARE * this.#perSecond);
    this.#turnAt = Math.min(turnAt, now + LATEST_MS - SOONEST_MS);
    return Math.round(SOONEST_MS + (this.#turnAt - now) + JITTER_MS * random.next());
  }
}
