import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EmojiId } from '../../crdt/ids.ts';
import {
  advanceCrowd,
  frameNumbers,
  HINTS_MIN,
  HINTS_SURGE,
  quietCrowd,
  totalOf,
  type Counts,
  type Crowd,
  type Tick,
} from '../../src/broadcaster/frame.ts';

const HEART = 'heart' as EmojiId;
const FIRE = 'fire' as EmojiId;
const REGIONS = ['us', 'eu', 'ap'];

function counts(entries: Partial<Record<string, Record<string, number>>>): Counts {
  return new Map(Object.entries(entries).map(([emoji, byRegion]) => [emoji as EmojiId, new Map(Object.entries(byRegion ?? {}))]));
}

function tick(elapsedMs = 200, late: readonly string[] = []): Tick {
  return { elapsedMs, lateRegions: new Set(late), timeConstantMs: 1_000 };
}

const anyCounts: fc.Arbitrary<Counts> = fc
  .dictionary(
    fc.constantFrom('heart', 'fire', 'wow'),
    // An entry never disappears, so every region has one.
    fc.record(Object.fromEntries(REGIONS.map((region) => [region, fc.integer({ min: -1_000, max: 2_000_000 })]))),
  )
  .map(counts);
const anyTick = fc
  .record({ elapsedMs: fc.integer({ min: 0, max: 5_000 }), late: fc.subarray(REGIONS) })
  .map(({ elapsedMs, late }) => tick(elapsedMs, late));

describe('frames', () => {
  it('[FRAME-3] totals are the exact counts, whatever happened before', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyCounts, anyTick), { minLength: 1, maxLength: 8 }), (steps) => {
        let crowd = quietCrowd(new Map());
        for (const [now, after] of steps) {
          const step = advanceCrowd(crowd, now, after);
          crowd = step.crowd;
          const { totals } = frameNumbers([HEART, FIRE], crowd, step.hints);
          expect(totals).toEqual(Object.fromEntries([...now].map(([emoji, byRegion]) => [emoji, totalOf(byRegion)])));
        }
      }),
    );
  });

  it('[FRAME-4] hints never exceed the increase, and never what the crowd let expect', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyCounts, anyTick), { minLength: 2, maxLength: 10 }), (steps) => {
        let crowd: Crowd = quietCrowd(new Map());
        for (const [now, after] of steps) {
          const before = crowd;
          const step = advanceCrowd(before, now, after);
          for (const [emoji, hint] of step.hints) {
            const increase = totalOf(now.get(emoji) ?? new Map()) - totalOf(before.counts.get(emoji) ?? new Map());
            const expected = (HINTS_SURGE * (before.rates.get(emoji) ?? 0) * after.elapsedMs) / 1000;
            expect(hint).toBeGreaterThan(0);
            expect(Number.isInteger(hint)).toBe(true);
            expect(hint).toBeLessThanOrEqual(increase);
            expect(hint).toBeLessThanOrEqual(Math.max(HINTS_MIN, expected));
          }
          for (const rate of step.crowd.rates.values()) expect(rate).toBeGreaterThan(0);
          crowd = step.crowd;
        }
      }),
    );
  });

  it('[FRAME-5] a million reactions that a healed region brings explode neither hints nor rates', () => {
    let crowd = quietCrowd(counts({ heart: { us: 100, eu: 50 } }));
    for (const brought of [400_000, 1_000_000]) {
      const step = advanceCrowd(crowd, counts({ heart: { us: 100, eu: brought } }), tick(200, ['eu']));
      expect(step.hints.get(HEART)).toBeLessThanOrEqual(HINTS_MIN);
      expect(step.crowd.rates.get(HEART)).toBeLessThanOrEqual(HINTS_MIN * 5);
      crowd = step.crowd;
    }
    expect(frameNumbers([HEART], crowd, new Map()).totals).toEqual({ heart: 1_000_100 });
  });

  it('[FRAME-5] a surge of regions that are on time shows in the rate at once', () => {
    const { crowd } = advanceCrowd(quietCrowd(counts({ heart: { us: 0 } })), counts({ heart: { us: 20_000 } }), tick(200, ['eu']));
    expect(crowd.rates.get(HEART)).toBeGreaterThan(15_000);
    const next = advanceCrowd(crowd, counts({ heart: { us: 29_000 } }), tick());
    expect(next.hints.get(HEART)).toBe(9_000);
  });

  it('[FRAME-1] what one region claims and another gives back moves nothing', () => {
    const before = quietCrowd(counts({ heart: { us: 10, eu: 5 } }));
    const claimed = advanceCrowd(before, counts({ heart: { us: 5, eu: 10 } }), tick());
    expect(claimed.hints.size).toBe(0);
    expect(claimed.crowd.rates.size).toBe(0);
    const retracted = advanceCrowd(before, counts({ heart: { us: 1, eu: 5 } }), tick());
    expect(retracted.hints.size).toBe(0);
    expect(frameNumbers([], retracted.crowd, retracted.hints).totals).toEqual({ heart: 6 });
  });

  it('[FRAME-3] emoji stand in the order of the palette; what is counted but not in it follows', () => {
    const now = counts({ gone: { us: 7 }, heart: { us: 2 }, fire: { us: 0 } });
    const step = advanceCrowd(quietCrowd(new Map()), now, tick());
    const numbers = frameNumbers([FIRE, 'wow' as EmojiId, HEART], step.crowd, step.hints);
    expect(Object.entries(numbers.totals)).toEqual([['fire', 0], ['heart', 2], ['gone', 7]]);
    expect(numbers.hints).toEqual({ heart: 2, gone: 7 });
    expect(Object.keys(numbers.rates)).toEqual(['heart', 'gone']);
  });
});
