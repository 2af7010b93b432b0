import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RATE_MIN, smoothRate } from '../../src/broadcaster/smoothing.ts';

const TIME_CONSTANT_MS = 1_000;
const tickMs = fc.double({ min: 0, max: 60_000, noNaN: true });
const rate = fc.double({ min: 0, max: 1e7, noNaN: true });

describe('smoothing', () => {
  it('[FRAME-1] is never negative and never beyond what the increase allows', () => {
    fc.assert(
      fc.property(rate, fc.double({ min: -1e7, max: 1e7, noNaN: true }), tickMs, (before, increase, elapsedMs) => {
        const after = smoothRate(before, increase, elapsedMs, TIME_CONSTANT_MS);
        expect(after).toBeGreaterThanOrEqual(0);
        expect(after).toBeLessThanOrEqual(before + Math.max(0, increase) + 1e-6);
      }),
    );
  });

  it('[FRAME-1] a correction downwards counts as a tick without increase', () => {
    fc.assert(
      fc.property(rate, fc.integer({ min: -1_000_000, max: 0 }), tickMs, (before, correction, elapsedMs) => {
        expect(smoothRate(before, correction, elapsedMs, TIME_CONSTANT_MS)).toBe(
          smoothRate(before, 0, elapsedMs, TIME_CONSTANT_MS),
        );
      }),
    );
  });

  it('[FRAME-2] converges to a constant rate, however irregular the ticks are', () => {
    const ticks = fc.array(fc.double({ min: 1, max: 900, noNaN: true }), { minLength: 5, maxLength: 200 });
    fc.assert(
      fc.property(rate, fc.double({ min: 1, max: 1e6, noNaN: true }), ticks, (start, constant, durationsMs) => {
        let smoothed = start;
        let elapsedMs = 0;
        for (const durationMs of durationsMs) {
          smoothed = smoothRate(smoothed, (constant * durationMs) / 1000, durationMs, TIME_CONSTANT_MS);
          elapsedMs += durationMs;
        }
        const expected = constant + (start - constant) * Math.exp(-elapsedMs / TIME_CONSTANT_MS);
        expect(Math.abs(smoothed - expected)).toBeLessThanOrEqual(1e-6 * (start + constant));
      }),
    );
  });

  it('[FRAME-2] without increase it falls to exactly 0', () => {
    let smoothed = 5_000_000;
    let ticks = 0;
    while (smoothed > 0 && ticks < 1_000) {
      const next = smoothRate(smoothed, 0, 200, TIME_CONSTANT_MS);
      expect(next).toBeLessThan(smoothed);
      smoothed = next;
      ticks += 1;
    }
    expect(smoothed).toBe(0);
    expect(ticks).toBeLessThanOrEqual(Math.ceil((Math.log(5_000_000 / RATE_MIN) * TIME_CONSTANT_MS) / 200));
  });

  it('[FRAME-2] an increase in a tick that took no time is not lost', () => {
    expect(smoothRate(10, 7, 0, TIME_CONSTANT_MS)).toBe(17);
  });
});
