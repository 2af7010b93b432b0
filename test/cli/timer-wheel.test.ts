import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimerWheel } from '../../src/cli/load/timer-wheel.ts';

test('every item gets its turn at its time, whatever the order of planning and the length of the wheel', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 50 }), fc.integer({ min: 2, max: 64 }), (times, slots) => {
      const wheel = new TimerWheel<{ turnAt: number; at: number; taken: number[] }>(0, 10, slots);
      const items = times.map((at) => ({ turnAt: Infinity, at, taken: [] as number[] }));
      for (const item of items) wheel.plan(item, item.at);
      for (let now = 0; now <= 5100; now += 7) wheel.advance(now, (item) => item.taken.push(now));
      for (const { at, taken } of items) {
        expect(taken).toHaveLength(1);
        expect(taken[0]!).toBeGreaterThanOrEqual(at);
        expect(taken[0]!).toBeLessThanOrEqual(at + 10 + 10 + 7);
      }
    }),
    { numRuns: 200 },
  );
});

test('an earlier plan replaces a later one, a later one changes nothing, and a turn may plan the next', () => {
  const wheel = new TimerWheel<{ turnAt: number }>(0, 5, 100);
  const item = { turnAt: Infinity };
  const taken: number[] = [];
  wheel.plan(item, 300);
  wheel.plan(item, 100);
  wheel.plan(item, 200);
  for (let now = 0; now <= 1000; now += 5) {
    wheel.advance(now, (each) => {
      taken.push(now);
      if (taken.length < 3) wheel.plan(each, now + 50);
    });
  }
  expect(taken).toEqual([100, 150, 200]);
});
