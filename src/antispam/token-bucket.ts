/**
 * The rate cap: one token bucket per stream and viewer. It answers how many of n taps count.
 *
 * A bucket is one number, the time at which it will be full again (the generic cell rate algorithm,
 * ITU-T I.371). A bucket that is full is the same as none, so forgetting it changes no answer: [AGG-20]
 * memory follows the viewers who tapped within the last burst / rate seconds, and is capped.
 */

import { SlotTable, lengthened } from '../base/slot-table.ts';
import type { Policy } from '../moderation/policy.ts';

export type RateLimits = Pick<Policy, 'tapsPerSecondMax' | 'tapBurstMax'>;

const SWEPT_PER_INSERT = 8;
const SWEPT_WHEN_FULL = 256;
/** Times near 2×10^12 ms have a grain of 2×10^-4 ms, so a due token may look a hair short. */
const TOKEN_GRAIN = 1e-3;

export class TokenBuckets {
  readonly #table: SlotTable;
  #fullAt: Float64Array;
  #now = 0;
  readonly #isFull = (slot: number): boolean => this.#fullAt[slot]! <= this.#now;

  constructor(sizeMax: number, seed: number) {
    this.#table = new SlotTable(sizeMax, seed);
    this.#fullAt = new Float64Array(this.#table.capacity);
  }

  get size(): number {
    return this.#table.size;
  }

  /**
   * Takes up to `taps` tokens and answers how many there were; −1 when there is no room for another
   * bucket. `scope` is the stream's number, `now` never goes back.
   */
  take(scope: number, viewer: string, taps: number, now: number, limits: RateLimits): number {
    this.#now = now;
    let slot = this.#table.find(scope, viewer);
    if (slot < 0) slot = this.#open(scope, viewer);
    if (slot < 0) return -1;
    const fullAt = Math.max(now, this.#fullAt[slot]!);
    const msPerTap = 1000 / limits.tapsPerSecondMax;
    const tokens = limits.tapBurstMax - (fullAt - now) / msPerTap;
    const taken = Math.max(0, Math.min(taps, Math.floor(tokens + TOKEN_GRAIN)));
    this.#fullAt[slot] = fullAt + taken * msPerTap;
    return taken;
  }

  #open(scope: number, viewer: string): number {
    this.#table.sweep(this.#table.full ? SWEPT_WHEN_FULL : SWEPT_PER_INSERT, this.#isFull);
    const slot = this.#table.insert(scope, viewer);
    if (slot < 0) return slot;
    if (this.#table.capacity > this.#fullAt.length) this.#fullAt = lengthened(this.#fullAt, this.#table.capacity);
    this.#fullAt[slot] = 0;
    return slot;
  }
}
