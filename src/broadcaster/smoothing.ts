/**
 * Smoothing: the exponential moving average of a rate, over ticks of any length. Pure.
 *
 * Promises: never negative; a constant rate is approached whatever the ticks are; without increase
 * the rate falls by `exp(-t/τ)` and then to exactly 0, so that a stream falls silent.
 */

/** A rate below this is not shown any more: it rounds to 0.0 reactions per second. */
export const RATE_MIN = 0.05;

/**
 * The rate, per second, after a tick of `tickMs` in which the count grew by `increase`.
 *
 * A correction downwards is no negative applause: it counts as a tick without increase.
 */
export function smoothRate(ratePerSecond: number, increase: number, tickMs: number, timeConstantMs: number): number {
  const elapsed = Math.max(0, tickMs) / timeConstantMs;
  const weight = -Math.expm1(-elapsed);
  // In a tick that took no time the average moves by increase/τ, the limit of weight/elapsed.
  const share = elapsed > 0 ? weight / elapsed : 1;
  const grown = (Math.max(0, increase) * share * 1000) / timeConstantMs;
  const rate = ratePerSecond * (1 - weight) + grown;
  return increase > 0 || rate >= RATE_MIN ? rate : 0;
}
