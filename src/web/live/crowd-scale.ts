/** The crowd slider's scale: nothing at its left end, then fine at first and coarse at last. Pure. */

export const SLIDER_MAX = 100;
/** The most that the service plays. */
export const CROWD_MAX = 5_000;
const CROWD_MIN = 2;

export function tapsAt(position: number): number {
  if (position <= 0) return 0;
  const taps = CROWD_MIN * (CROWD_MAX / CROWD_MIN) ** ((position - 1) / (SLIDER_MAX - 1));
  // Two digits are as exact as a slider can be.
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(taps)) - 1);
  return Math.round(taps / unit) * unit;
}

export function positionOf(taps: number): number {
  if (taps <= 0) return 0;
  const position = 1 + (SLIDER_MAX - 1) * (Math.log(taps / CROWD_MIN) / Math.log(CROWD_MAX / CROWD_MIN));
  return Math.round(Math.min(SLIDER_MAX, Math.max(1, position)));
}
