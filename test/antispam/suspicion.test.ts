import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOTICED, REASONS, WEIGHTS, isForgiven, isShadowed, isUnderSuspicion, noticedOf, reasonsOf, reconsider, scoreOf, standingOf, streakOf, type Reason } from '../../src/antispam/suspicion.ts';

const setOf = (reasons: readonly Reason[]): number => reasons.reduce((set, reason) => set | NOTICED[reason], 0);
const after = (cells: number, reasons: readonly Reason[], from = 0): number => {
  let suspicion = from;
  for (let cell = 0; cell < cells; cell++) suspicion = reconsider(suspicion, setOf(reasons), cell + 1, 0);
  return suspicion;
};

describe('suspicion', () => {
  it('[SPAM-6] holds score, standing, streak and reasons in one integer', () => {
    const cell = fc.record({ reasons: fc.subarray([...REASONS]), streak: fc.nat({ max: 1000 }), silent: fc.nat({ max: 20_000 }) });
    fc.assert(
      fc.property(fc.array(cell, { maxLength: 80 }), (cells) => {
        const rows = new Int32Array(1);
        for (const { reasons, streak, silent } of cells) {
          const before = scoreOf(rows[0]!);
          rows[0] = reconsider(rows[0]!, setOf(reasons), streak, silent);
          const score = scoreOf(rows[0]!);
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(127);
          if (reasons.length === 0) expect(score).toBeLessThanOrEqual(before);
          expect(streakOf(rows[0]!)).toBe(Math.min(255, streak));
          expect(reasonsOf(noticedOf(rows[0]!))).toEqual(REASONS.filter((reason) => reasons.includes(reason)));
          expect(isShadowed(rows[0]!)).toBe(standingOf(rows[0]!) === 'shadow');
          expect(isUnderSuspicion(rows[0]!)).toBe(standingOf(rows[0]!) !== 'count');
        }
      }),
    );
  });

  it('[SPAM-6] silences nobody for one thing seen once, nor for one weak thing seen for ever', () => {
    for (const reason of REASONS) {
      expect(standingOf(after(2, [reason])), reason).not.toBe('shadow');
      if (WEIGHTS[reason] < 70) expect(standingOf(after(10_000, [reason])), reason).not.toBe('shadow');
    }
    expect(standingOf(after(10_000, ['one-emoji', 'outlier', 'marathon']))).toBe('count');
    expect(standingOf(after(10, ['cadence']))).toBe('shadow');
  });

  it('[SPAM-6] keeps a standing through a pause, and forgives it in minutes of people’s behaviour or of silence', () => {
    const bot = after(30, REASONS);
    expect(standingOf(bot)).toBe('shadow');
    const paused = reconsider(bot, 0, 0, 3);
    expect(standingOf(paused)).toBe('shadow');
    const cellsUntilForgiven = (step: (suspicion: number) => number): number => {
      let suspicion = bot;
      for (let cells = 0; ; cells++) {
        if (standingOf(suspicion) === 'count') return cells;
        suspicion = step(suspicion);
      }
    };
    const minutes = (cells: number): number => cells / 10;
    expect(minutes(cellsUntilForgiven((suspicion) => reconsider(suspicion, 0, 1, 0)))).toBeGreaterThan(2);
    expect(minutes(cellsUntilForgiven((suspicion) => reconsider(suspicion, 0, 1, 0)))).toBeLessThan(4);
    expect(standingOf(reconsider(bot, setOf(['cadence']), 1, 40))).toBe('count');
    expect([isForgiven(bot, 10), isForgiven(bot, 60), isForgiven(0, 0)]).toEqual([false, true, true]);
  });
});
