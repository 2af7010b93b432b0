/**
 * The degradation ladder: from what is measured of a region to how much it offers its viewers. Pure.
 *
 * Each signal asks for a rung when it reaches that rung's mark, and holds a region there until it has fallen below another one,
 * well below. The region follows the signal that asks for most, one rung at a time: up after `SAMPLES_UP` samples in a row that ask
 * for more, down after `SAMPLES_DOWN` in a row that none of them holds. So it never swings on a signal between the two marks,
 * and from any rung calm leads back to `exact` [LOAD-1, LOAD-2].
 */

import { LEVELS, type Level } from './frame-feed.ts';

/** What is measured of a region. */
export interface Signals {
  /** How late timers fire. */
  readonly loopDelayMs: number;
  /** Share of its time that the event loop is busy. */
  readonly loopUtilization: number;
  /** How old the oldest batch is that waits for its commit. */
  readonly commitLagMs: number;
  /** Of the batches that may wait, those that do. */
  readonly inboxShare: number;
  /** Of the viewers' sockets, those that do not take in what is sent. */
  readonly behindShare: number;
  /** Of the memory that there is. */
  readonly memoryShare: number;
}

export type Signal = keyof Signals;

/** Of the rungs `relaxed`, `hearts` and `static`. */
type Marks = readonly [number, number, number];

/** Reached, a signal asks for the rung. */
export const UP: { readonly [signal in Signal]: Marks } = {
  loopDelayMs: [60, 150, 2_500],
  // A loop without rest is no harm as long as nothing waits for it: the first rung is enough.
  loopUtilization: [0.92, Infinity, Infinity],
  commitLagMs: [150, 350, 4_000],
  inboxShare: [0.25, 0.5, 0.9],
  behindShare: [0.25, 0.5, 0.75],
  memoryShare: [0.75, 0.85, 0.92],
};

/** Reached, a signal holds a region on the rung. */
export const HOLD: { readonly [signal in Signal]: Marks } = {
  loopDelayMs: [30, 75, 1_000],
  // The next milder rung may cost more than twice as much: who could not bear that must not go there to find out.
  loopUtilization: [0.45, 0.45, Infinity],
  commitLagMs: [75, 175, 2_000],
  inboxShare: [0.12, 0.25, 0.45],
  behindShare: [0.12, 0.25, 0.4],
  memoryShare: [0.7, 0.8, 0.88],
};

export const SAMPLE_MS = 500;
export const SAMPLES_UP = 2;
export const SAMPLES_DOWN = 4;

export interface Rung {
  readonly level: Level;
  /** Samples in a row that asked for more. */
  readonly pressed: number;
  /** Samples in a row that nothing held it. */
  readonly calm: number;
}

export const TOP_RUNG: Rung = Object.freeze({ level: 'exact', pressed: 0, calm: 0 });

/** The rung after one more sample. */
export function climb({ level, pressed, calm }: Rung, signals: Signals): Rung {
  const index = LEVELS.indexOf(level);
  if (rungOf(signals, UP) > index) {
    return pressed + 1 < SAMPLES_UP ? { level, pressed: pressed + 1, calm: 0 } : { level: LEVELS[index + 1]!, pressed: 0, calm: 0 };
  }
  if (rungOf(signals, HOLD) < index) {
    return calm + 1 < SAMPLES_DOWN ? { level, pressed: 0, calm: calm + 1 } : { level: LEVELS[index - 1]!, pressed: 0, calm: 0 };
  }
  return { level, pressed: 0, calm: 0 };
}

/** The highest rung whose mark any signal reaches; 0 is `exact`. */
export function rungOf(signals: Signals, marks: { readonly [signal in Signal]: Marks }): number {
  let rung = 0;
  for (const [signal, values] of Object.entries(marks) as [Signal, Marks][]) {
    while (rung < values.length && signals[signal] >= values[rung]!) rung += 1;
  }
  return rung;
}

/** The further one down the ladder. */
export function worse(one: Level, other: Level): Level {
  return LEVELS.indexOf(one) > LEVELS.indexOf(other) ? one : other;
}
