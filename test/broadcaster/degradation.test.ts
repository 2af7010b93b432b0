import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOLD, SAMPLES_DOWN, SAMPLES_UP, SAMPLE_MS, TOP_RUNG, UP, climb, rungOf, worse, type Rung, type Signal, type Signals } from '../../src/broadcaster/degradation.ts';
import { LEVELS } from '../../src/broadcaster/frame-feed.ts';

const SIGNALS = Object.keys(UP) as Signal[];
const CALM = Object.fromEntries(SIGNALS.map((signal) => [signal, 0])) as unknown as Signals;
const CLIMB_DOWN_MS_MAX = 10_000;

const anySignals = fc
  .tuple(...SIGNALS.map((signal) => fc.double({ min: 0, max: 2 * Math.max(...UP[signal].filter(Number.isFinite)), noNaN: true })))
  .map((values) => Object.fromEntries(SIGNALS.map((signal, index) => [signal, values[index]])) as unknown as Signals);
const anyRung = fc.record({
  level: fc.constantFrom(...LEVELS),
  pressed: fc.nat({ max: SAMPLES_UP - 1 }),
  calm: fc.nat({ max: SAMPLES_DOWN - 1 }),
});
function climbAll(from: Rung, samples: readonly Signals[]): Rung[] {
  const rungs = [from];
  for (const signals of samples) rungs.push(climb(rungs.at(-1)!, signals));
  return rungs;
}

describe('degradation', () => {
  it('[LOAD-1] asks for the rung of the signal that is worst, and never for a milder one when a signal is worse', () => {
    for (const signal of SIGNALS) {
      for (const [index, mark] of UP[signal].entries()) {
        if (mark !== Infinity) expect(rungOf({ ...CALM, [signal]: mark }, UP)).toBe(index + 1);
      }
    }
    fc.assert(
      fc.property(anySignals, fc.constantFrom(...SIGNALS), fc.double({ min: 0, max: 10, noNaN: true }), (signals, signal, more) => {
        const worseSignals = { ...signals, [signal]: signals[signal] + more };
        expect(rungOf(worseSignals, UP)).toBeGreaterThanOrEqual(rungOf(signals, UP));
        expect(rungOf(worseSignals, HOLD)).toBeGreaterThanOrEqual(rungOf(signals, HOLD));
        // Whatever asks for a rung also holds a region there.
        expect(rungOf(signals, HOLD)).toBeGreaterThanOrEqual(rungOf(signals, UP) > 0 ? 1 : 0);
      }),
    );
  });

  it('[LOAD-1] goes one rung at a time, up only when asked to twice in a row', () => {
    const worst = { ...CALM, commitLagMs: 60_000 };
    const levels = climbAll(TOP_RUNG, Array.from({ length: 7 }, () => worst)).map(({ level }) => level);
    expect(levels).toEqual(['exact', 'exact', 'relaxed', 'relaxed', 'hearts', 'hearts', 'static', 'static']);
    const spikes = climbAll(TOP_RUNG, Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? worst : CALM)));
    expect(spikes.every(({ level }) => level === 'exact')).toBe(true);
    fc.assert(
      fc.property(anyRung, anySignals, (rung, signals) => {
        expect(Math.abs(LEVELS.indexOf(climb(rung, signals).level) - LEVELS.indexOf(rung.level))).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('[LOAD-2] stays where it is while the signals move between the two marks of its rung', () => {
    const between = (index: number, share: number): Signals =>
      Object.fromEntries(
        SIGNALS.map((signal) => {
          const low = index === 0 ? 0 : HOLD[signal][index - 1]!;
          const high = index === LEVELS.length - 1 ? 2 * low : UP[signal][index]!;
          const [from, to] = [Number.isFinite(low) ? low : 0, Number.isFinite(high) ? high : 1];
          return [signal, from + (to - from) * 0.999 * share];
        }),
      ) as unknown as Signals;
    const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(fc.nat({ max: LEVELS.length - 1 }), shares, (index, all) => {
        const rungs = climbAll({ level: LEVELS[index]!, pressed: 0, calm: 0 }, all.map((share) => between(index, share)));
        expect(rungs.every(({ level }) => level === LEVELS[index])).toBe(true);
      }),
    );
  });

  it('[LOAD-2] climbs from any rung back to exact within ten seconds of calm, a rung at a time', () => {
    const steps = CLIMB_DOWN_MS_MAX / SAMPLE_MS;
    fc.assert(
      fc.property(anyRung, fc.array(anySignals, { maxLength: 20 }), (rung, before) => {
        const loaded = climbAll(rung, before).at(-1)!;
        const rungs = climbAll(loaded, Array.from({ length: steps }, () => CALM));
        expect(rungs.at(-1)!.level).toBe('exact');
        for (const [index, { level }] of rungs.entries()) {
          if (index > 0) expect(LEVELS.indexOf(level)).toBeLessThanOrEqual(LEVELS.indexOf(rungs[index - 1]!.level));
        }
      }),
    );
  });

  it('[LOAD-2] each mark that holds lies below the one that asks, and marks rise with the rungs', () => {
    for (const signal of SIGNALS) {
      for (const [index, hold] of HOLD[signal].entries()) {
        if (UP[signal][index] !== Infinity) expect(hold).toBeLessThan(UP[signal][index]!);
        if (index > 0) expect(hold).toBeGreaterThanOrEqual(HOLD[signal][index - 1]!);
        if (index > 0) expect(UP[signal][index]!).toBeGreaterThanOrEqual(UP[signal][index - 1]!);
      }
    }
    expect(worse('hearts', 'relaxed')).toBe('hearts');
    expect(worse('exact', 'static')).toBe('static');
  });
});
