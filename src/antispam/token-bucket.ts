/**
 * The rate cap: one token bucket per stream and viewer, device or network. It answers how many of n taps count.
 *
 * A bucket is one number, the time at which it will be full again (the generic cell rate algorithm,
 * ITU-T I.371). A bucket that is full is the same as none, so forgetting it changes no answer [AGG-20]:
 * memory follows those who tapped lately, and is capped. Who keeps more in a bucket's row than the bucket
 * says itself when a row may go.
 */

import { FIRST_COLUMN, SlotTable } from '../base/slot-table.ts';
import type { RateLimit } from '../moderation/policy.ts';

/** One column of `floats`: the time at which the bucket is full. */
const COLUMNS = 2;
const FULL_AT = FIRST_COLUMN / 2;
/** Where the columns of whoever shares the rows start. */
const SHARED_COLUMN = FIRST_COLUMN + COLUMNS;
/** Who goes on tapping keeps the bucket, which is cheaper than making it anew each time. */
const KEPT_FULL_MS = 60_000;
const SWEPT_PER_INSERT = 4;
const SWEPT_WHEN_FULL = 256;
/**
 * Times near 2×10^12 ms have a grain of 2×10^-4 ms, so a due token may look a hair short. Half of a thousandth: between whole
 * milliseconds and at whole rates, tokens differ by thousandths, and a tap that comes 1 ms early has no token yet.
 */
const TOKEN_GRAIN = 5e-4;

/** Whether the row of a bucket that is full may go; `isPressed` when somebody waits for its place. */
export type MayForget = (rows: Int32Array, row: number, now: number, isPressed: boolean) => boolean;

export class TokenBuckets {
  readonly #table: SlotTable;
  readonly #mayForget: MayForget | null;
  #now = 0;
  #isPressed = false;
  /** Buckets that have been full since before this time are forgotten. */
  #fullBefore = 0;
  readonly #isIdle = (slot: number): boolean =>
    this.#table.floats[this.#cell(slot)]! <= this.#fullBefore &&
    (this.#mayForget === null || this.#mayForget(this.#table.integers, this.row(slot), this.#now, this.#isPressed));

  /** `sharedColumns`, an even number, is how many integers beside the bucket somebody keeps in each row. */
  constructor(sizeMax: number, seed: number, sharedColumns = 0, mayForget: MayForget | null = null) {
    this.#table = new SlotTable(sizeMax, seed, COLUMNS + sharedColumns);
    this.#mayForget = mayForget;
  }

  get size(): number {
    return this.#table.size;
  }

  /** All rows. Replaced when a bucket is made, so never to be kept. */
  get rows(): Int32Array {
    return this.#table.integers;
  }

  /** Where the shared columns of a bucket start in `rows`. */
  row(bucket: number): number {
    return bucket * this.#table.stride + SHARED_COLUMN;
  }

  /**
   * The owner's bucket, −1 when there is no room for another one. `scope` is the stream's number, `guess`
   * any bucket, best the one that was the owner's last time; `now` never goes back.
   */
  find(scope: number, owner: string, guess: number, now: number): number {
    if (this.#table.holds(guess, scope, owner)) return guess;
    const bucket = this.#table.find(scope, owner);
    if (bucket >= 0) return bucket;
    this.#now = now;
    this.#isPressed = this.#table.full;
    this.#fullBefore = this.#isPressed ? now : now - KEPT_FULL_MS;
    this.#table.sweep(this.#isPressed ? SWEPT_WHEN_FULL : SWEPT_PER_INSERT, this.#isIdle);
    return this.#table.insert(scope, owner);
  }

  /** Brings near what `find` will read, should the guesses be right. */
  touch(count: number, guesses: Int32Array, owners: readonly string[]): void {
    this.#table.touch(count, guesses, owners);
  }

  /** Looks at the next so many rows and forgets those that are idle, for times when nobody comes whose coming would. */
  sweep(count: number, now: number): void {
    this.#now = now;
    this.#fullBefore = now - KEPT_FULL_MS;
    this.#table.sweep(count, this.#isIdle);
  }

  /** How many of so many taps there are tokens for. */
  available(bucket: number, taps: number, now: number, limits: RateLimit): number {
    const fullAt = Math.max(now, this.#table.floats[this.#cell(bucket)]!);
    const tokens = limits.tapBurstMax - ((fullAt - now) * limits.tapsPerSecondMax) / 1000;
    return Math.max(0, Math.min(taps, Math.floor(tokens + TOKEN_GRAIN)));
  }

  /** Takes up to `taps` tokens, and answers how many there were. */
  take(bucket: number, taps: number, now: number, limits: RateLimit): number {
    const taken = this.available(bucket, taps, now, limits);
    const cell = this.#cell(bucket);
    this.#table.floats[cell] = Math.max(now, this.#table.floats[cell]!) + (taken * 1000) / limits.tapsPerSecondMax;
    return taken;
  }

  #cell(bucket: number): number {
    return (bucket * this.#table.stride) / 2 + FULL_AT;
  }
}
