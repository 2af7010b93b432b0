/**
 * Suspicion: what was noticed of a viewer → a score → a standing. Pure; one integer to a viewer.
 *
 * At the end of each cell in which the viewer tapped, the score moves towards the sum of the weights of what is
 * noticed: a quarter of the way up, a twentieth of the way down. So a standing needs evidence that lasts, is not
 * lost by one pause, and is forgiven in two minutes of other behaviour or of silence [SPAM-6].
 */

/** What can be noticed, and its weight. 45 flags and 70 silences: alone only what has many samples behind it does. */
export const WEIGHTS = {
  /** Batches as regular as a timer's. */
  cadence: 110,
  /** One rate for a minute and a half, without a pause. */
  steadiness: 85,
  /** More taps than fingers can make, for 18 seconds. */
  flood: 120,
  /** Nine taps a second for a minute and a half. */
  endurance: 45,
  /** Five minutes without a pause of six seconds. */
  marathon: 15,
  /** Far faster than the others on this stream. */
  outlier: 10,
  /** One emoji only, where others choose. */
  'one-emoji': 12,
  /** Six viewers or more on one device. */
  'shared-device': 40,
  /** Of a crowd of copies on one network or device. */
  crowd: 80,
  /** Of a crowd of copies on one emoji, all over the world. */
  swarm: 65,
} as const;

export type Reason = keyof typeof WEIGHTS;
export type Standing = 'count' | 'flag' | 'shadow';

export const REASONS = Object.keys(WEIGHTS) as readonly Reason[];
/** Reason → its bit in a set of what was noticed. */
export const NOTICED = Object.fromEntries(REASONS.map((reason, index) => [reason, 1 << index])) as Readonly<Record<Reason, number>>;

const SCORE_MAX = 127;
const FLAG_FROM = 45;
const FLAG_UNTIL = 25;
const SHADOW_FROM = 70;
const SHADOW_UNTIL = 30;
const RISE = 1 / 4;
const FALL = 1 / 20;

/** The integer: score in sixteenths, standing, cells in a row, what was noticed last. */
const SCORE_UNITS = 16;
const SCORE_MASK = 0x7ff;
const STANDING_SHIFT = 11;
const STREAK_SHIFT = 13;
const STREAK_MAX = 0xff;
const NOTICED_SHIFT = 21;
const STANDINGS: readonly Standing[] = ['count', 'flag', 'shadow'];

export function scoreOf(suspicion: number): number {
  return (suspicion & SCORE_MASK) / SCORE_UNITS;
}

export function standingOf(suspicion: number): Standing {
  return STANDINGS[(suspicion >>> STANDING_SHIFT) & 3]!;
}

export function isUnderSuspicion(suspicion: number): boolean {
  return ((suspicion >>> STANDING_SHIFT) & 3) !== 0;
}

export function isShadowed(suspicion: number): boolean {
  return ((suspicion >>> STANDING_SHIFT) & 3) === 2;
}

/** Cells in a row in which the viewer tapped, up to 255: 25 minutes. */
export function streakOf(suspicion: number): number {
  return (suspicion >>> STREAK_SHIFT) & STREAK_MAX;
}

export function noticedOf(suspicion: number): number {
  return suspicion >>> NOTICED_SHIFT;
}

export function reasonsOf(noticed: number): Reason[] {
  return REASONS.filter((reason) => (noticed & NOTICED[reason]) !== 0);
}

function weightOf(noticed: number): number {
  let weight = 0;
  for (let index = 0; index < REASONS.length; index++) {
    if ((noticed & (1 << index)) !== 0) weight += WEIGHTS[REASONS[index]!];
  }
  return Math.min(SCORE_MAX, weight);
}

/**
 * After a cell with taps, in which this was noticed, and `silentCells` without any after it. `streak` is how many
 * cells in a row had taps.
 */
export function reconsider(suspicion: number, noticed: number, streak: number, silentCells: number): number {
  const before = scoreOf(suspicion);
  const towards = weightOf(noticed);
  const moved = before + (towards - before) * (towards > before ? RISE : FALL);
  const score = Math.round(faded(moved, silentCells) * SCORE_UNITS);
  const standing = nextStanding(standingOf(suspicion), score / SCORE_UNITS);
  return (
    (score | (STANDINGS.indexOf(standing) << STANDING_SHIFT) | (Math.min(STREAK_MAX, streak) << STREAK_SHIFT) | (noticed << NOTICED_SHIFT)) >>>
    0
  );
}

/** Whether so many silent cells more would clear the viewer. */
export function isForgiven(suspicion: number, silentCells: number): boolean {
  return !isUnderSuspicion(suspicion) || faded(scoreOf(suspicion), silentCells) < FLAG_UNTIL;
}

function faded(score: number, silentCells: number): number {
  return silentCells === 0 ? score : score * (1 - FALL) ** silentCells;
}

function nextStanding(standing: Standing, score: number): Standing {
  if (score >= SHADOW_FROM || (standing === 'shadow' && score >= SHADOW_UNTIL)) return 'shadow';
  if (score >= FLAG_FROM || (standing !== 'count' && score >= FLAG_UNTIL)) return 'flag';
  return 'count';
}
