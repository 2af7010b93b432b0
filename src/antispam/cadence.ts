/**
 * Cadence: how evenly a viewer's batches come. Pure; four integers to a viewer, no history.
 *
 * What is followed is the pace, milliseconds per tap: the time since the batch before, divided by the taps
 * that came. Its mean and variance are forgotten exponentially over about 32 batches. A program on a timer
 * has a coefficient of variation near 0. Fingers have 0.05 at the very best, and through a player that
 * gathers taps 0.06 and more, because the player spreads its batches by a tenth either way and the number of
 * taps in them changes [SPAM-4].
 */

/** Columns of a row, from where the row starts. */
const LAST_AT = 0;
const PACE = 1;
const SPREAD = 2;
/** Batches in this run; the intervals are one fewer. */
const RUN = 3;
export const CADENCE_COLUMNS = 4;

/** A longer silence ends a run: what comes after it is another mood. */
const PAUSE_MS = 5_000;
const MEMORY = 32;
/** The time of a batch is that of its commit, a multiple of about 10 ms: two of them add 10²/6 to a variance. */
const GRAIN_VARIANCE = 100 / 6;
/** Fixed point: a pace is at most 5,000 ms and its variance below 25 million, which an Int32 holds. */
const PACE_UNITS = 256;
const SPREAD_UNITS = 16;
const RUN_MAX = 0xffff;

/** Takes a batch in. Answers the milliseconds since the one before, 0 for the first. */
export function noteBatch(rows: Int32Array, row: number, taps: number, now: number): number {
  const run = rows[row + RUN]!;
  const elapsed = run === 0 ? 0 : sinceLastBatch(rows, row, now);
  // Several in one commit are a backlog, not a beat.
  if (run > 0 && elapsed === 0) return 0;
  rows[row + LAST_AT] = now | 0;
  if (run === 0 || elapsed > PAUSE_MS) {
    rows[row + RUN] = 1;
    return elapsed;
  }
  const intervals = Math.min(run, MEMORY);
  const mean = run === 1 ? 0 : rows[row + PACE]! / PACE_UNITS;
  const variance = run === 1 ? 0 : rows[row + SPREAD]! / SPREAD_UNITS;
  const off = elapsed / taps - mean;
  rows[row + PACE] = Math.round((mean + off / intervals) * PACE_UNITS);
  rows[row + SPREAD] = Math.round((1 - 1 / intervals) * (variance + (off * off) / intervals) * SPREAD_UNITS);
  rows[row + RUN] = Math.min(RUN_MAX, run + 1);
  return elapsed;
}

/** Milliseconds since the last batch, `Infinity` before the first. */
export function sinceLastBatch(rows: Int32Array, row: number, now: number): number {
  if (rows[row + RUN] === 0) return Infinity;
  // Times wrap around every 49 days; what seems to lie ahead was weeks ago.
  const elapsed = ((now | 0) - rows[row + LAST_AT]!) | 0;
  return elapsed < 0 ? Infinity : elapsed;
}

/** Intervals that the run has so far. */
export function intervalsOf(rows: Int32Array, row: number): number {
  return Math.max(0, rows[row + RUN]! - 1);
}

/** Standard deviation of the pace by its mean, without what the grain of the clock adds when each tap comes alone. */
export function variationOf(rows: Int32Array, row: number): number {
  const mean = rows[row + PACE]! / PACE_UNITS;
  const variance = rows[row + SPREAD]! / SPREAD_UNITS;
  return mean === 0 ? 1 : Math.sqrt(Math.max(0, variance - GRAIN_VARIANCE)) / mean;
}
