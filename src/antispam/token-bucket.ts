/**
 * The rate cap: one token bucket per stream and viewer. It answers how many of n taps count.
 *
 * A bucket is one number, the time at which it will be full again (the generic cell rate algorithm,
 * ITU-T I.371). A bucket that is full is the same as none, so forgetting it changes no answer [AGG-20]:
 * memory follows the viewers who tapped lately, and is capped.
 */

import { FIRST_COLUMN, SlotTable } from '../base/slot-table.ts';
import type { RateLimit } from '../moderation/policy.ts';

/** One column of `floats`: the time at which the bucket is full. */
const COLUMNS = 2;
const FULL_AT = FIRST_COLUMN / 2;
/** A viewer who goes on tapping keeps the bucket, which is cheaper than making it anew each time. */
const KEPT_FULL_MS = 60_000;
const SWEPT_PER_INSERT = 4;
const SWEPT_WHEN_FULL = 256;
/** Times near 2×10^12 ms have a grain of 2×10^-4 ms, so a due token may look a hair short. */
const TOKEN_GRAIN = 1e-3;

export class TokenBuckets {
  readonly #table: SlotTable;
  /** Buckets that have been full since before this time are forgotten. */
  #fullBefore = 0;
  readonly #isIdle = (slot: number): boolean => this.#table.floats[this.#cell(slot)]! <= this.#fullBefore;

  constructor(sizeMax: number, seed: number) {
    this.#table = new SlotTable(sizeMax, seed, COLUMNS);
  }

  get size(): number {
    return this.#table.size;
  }

  /**
   * The viewer's bucket, −1 when there is no room for another one. `scope` is the stream's number, `guess`
   * any bucket, best the one that was the viewer's last time; `now` never goes back.
   */
  find(scope: number, viewer: string, guess: number, now: number): number {
    if (this.#table.holds(guess, scope, viewer)) return guess;
    const bucket = this.#table.find(scope, viewer);
    if (bucket >= 0) return bucket;
    this.#fullBefore = this.#table.full ? now : now - KEPT_FULL_MS;
    this.#table.sweep(this.#table.full ? SWEPT_WHEN_FULL : SWEPT_PER_INSERT, this.#isIdle);
    return this.#table.insert(scope, viewer);
  }

  /** Takes up to `taps` tokens, and answers how many there were. */
  take(bucket: number, taps: number, now: number, limits: RateLimit): number {
    const cell = this.#cell(bucket);
    const fullAt = Math.max(now, this.#table.floats[cell]!);
    const msPerTap = 1000 / limits.tapsPerSecondMax;
    const tokens = limits.tapBurstMax - (fullAt - now) / msPerTap;
    const taken = Math.max(0, Math.min(taps, Math.floor(tokens + TOKEN_GRAIN)));
    this.#table.floats[cell] = fullAt + taken * msPerTap;
    return taken;
  }

  #cell(bucket: number): number {
    return (bucket * this.#table.stride) / 2 + FULL_AT;
  }
}
