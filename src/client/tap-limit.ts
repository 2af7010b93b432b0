/**
 * The cap on one's own taps, as the region has it: what would be clamped is not taken [SDK-6]. Pure.
 *
 * One number is the whole bucket: the time at which it is full again (the generic cell rate algorithm, ITU-T I.371).
 */

const TAPS_PER_SECOND_MAX = 20;
/** What an outage of ten seconds and more may hold back. */
export const TAP_BURST_MAX = 200;
const MS_PER_TAP = 1000 / TAPS_PER_SECOND_MAX;
/** Times near 2×10^12 ms have a grain of 2×10^-4 ms, so a due token may look a hair short. */
const TOKEN_GRAIN = 1e-3;

export class TapLimit {
  #fullAt = -Infinity;

  /** Answers how many of so many taps may count now, and takes them. */
  take(taps: number, nowMs: number): number {
    const fullAt = Math.max(nowMs, this.#fullAt);
    const tokens = TAP_BURST_MAX - (fullAt - nowMs) / MS_PER_TAP;
    const taken = Math.max(0, Math.min(taps, Math.floor(tokens + TOKEN_GRAIN)));
    this.#fullAt = fullAt + taken * MS_PER_TAP;
    return taken;
  }
}
