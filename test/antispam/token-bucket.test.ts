import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBuckets } from '../../src/antispam/token-bucket.ts';
import type { RateLimit } from '../../src/moderation/policy.ts';

const LIMITS = { tapsPerSecondMax: 20, tapBurstMax: 40 };
/** Asks as the step does: finds the bucket, guessing wrong, then takes. */
class Buckets extends TokenBuckets {
  ask(scope: number, viewer: string, taps: number, now: number, limits: RateLimit): number {
    const bucket = this.find(scope, viewer, 0, now);
    return bucket < 0 ? -1 : this.take(bucket, taps, now, limits);
  }
}

const START = 1_795_000_000_000;

describe('token bucket', () => {
  it('[AGG-20] counts a burst, then the rate', () => {
    const buckets = new Buckets(100, 1);
    expect(buckets.ask(0, 'viewer', 100, START, LIMITS)).toBe(40);
    expect(buckets.ask(0, 'viewer', 1, START, LIMITS)).toBe(0);
    expect(buckets.ask(0, 'viewer', 10, START + 49, LIMITS)).toBe(0);
    expect(buckets.ask(0, 'viewer', 10, START + 50, LIMITS)).toBe(1);
    expect(buckets.ask(0, 'viewer', 100, START + 1050, LIMITS)).toBe(20);
    expect(buckets.ask(0, 'viewer', 100, START + 60_000, LIMITS)).toBe(40);
  });

  it('[AGG-20] gives no token a millisecond early, also at one a second', () => {
    const buckets = new Buckets(100, 1);
    const limits = { tapsPerSecondMax: 1, tapBurstMax: 5 };
    expect(buckets.ask(0, 'viewer', 5, START, limits)).toBe(5);
    expect(buckets.ask(0, 'viewer', 5, START + 4999, limits)).toBe(4);
    expect(buckets.ask(0, 'viewer', 5, START + 5000, limits)).toBe(1);
  });

  it('[AGG-20] gives each viewer of each stream a bucket of their own', () => {
    const buckets = new Buckets(100, 1);
    expect(buckets.ask(0, 'a', 40, START, LIMITS)).toBe(40);
    expect(buckets.ask(0, 'b', 40, START, LIMITS)).toBe(40);
    expect(buckets.ask(1, 'a', 40, START, LIMITS)).toBe(40);
  });

  it('[AGG-20] answers as an exact bucket does, whatever was forgotten', () => {
    const tap = fc.record({ viewer: fc.constantFrom('a', 'b', 'c'), taps: fc.integer({ min: 1, max: 60 }), afterMs: fc.oneof(fc.nat({ max: 3000 }), fc.nat({ max: 90_000 })) });
    const limits = fc.record({ tapsPerSecondMax: fc.constantFrom(1, 3, 7, 20, 60), tapBurstMax: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(fc.array(tap, { maxLength: 200 }), limits, (taps, limitsUsed) => {
        // Room for 3 viewers and a few more, so that the strangers below push forgetting along.
        const buckets = new Buckets(1000, 1);
        const exact = new Map<string, { grains: number; at: number }>();
        let now = START;
        let strangers = 0;
        for (const { viewer, taps: asked, afterMs } of taps) {
          now += afterMs;
          buckets.ask(0, `stranger-${(strangers += 1)}`, 1, now, limitsUsed);
          // Integers only: a token is 1000 grains, and a millisecond brings as many grains as the rate.
          const full = limitsUsed.tapBurstMax * 1000;
          const held = exact.get(viewer) ?? { grains: full, at: now };
          const tokens = Math.min(full, held.grains + (now - held.at) * limitsUsed.tapsPerSecondMax);
          const counted = Math.min(asked, Math.floor(tokens / 1000));
          exact.set(viewer, { grains: tokens - counted * 1000, at: now });
          expect(buckets.ask(0, viewer, asked, now, limitsUsed)).toBe(counted);
        }
      }),
    );
  });

  it('[AGG-20] uses no guess that is another\'s bucket by now', () => {
    const buckets = new Buckets(1, 1);
    const first = buckets.find(0, 'a', 0, START);
    buckets.take(first, 40, START, LIMITS);
    const second = buckets.find(0, 'b', first, START + 10_000);
    expect(second).toBe(first);
    expect(buckets.take(second, 40, START + 10_000, LIMITS)).toBe(40);
    expect(buckets.find(0, 'a', first, START + 10_000)).toBe(-1);
    expect(buckets.find(1, 'b', first, START + 10_000)).toBe(-1);
    expect(buckets.find(0, 'b', first, START + 10_000)).toBe(first);
  });

  it('[AGG-20] remembers only who tapped lately', () => {
    const buckets = new Buckets(10_000, 1);
    let counted = 0;
    for (let index = 0; index < 100_000; index++) counted += buckets.ask(0, `viewer-${index}`, 1, START + 100 * index, LIMITS);
    expect(counted).toBe(100_000);
    // 600 of them tapped within the last minute; a quarter of the table may be garbage still.
    expect(buckets.size).toBeLessThan(1000);
  });

  it('[AGG-9] answers −1 when there is no room, and finds room again when buckets have filled up', () => {
    const buckets = new Buckets(2, 1);
    buckets.ask(0, 'a', 40, START, LIMITS);
    buckets.ask(0, 'b', 40, START, LIMITS);
    expect(buckets.ask(0, 'c', 1, START, LIMITS)).toBe(-1);
    expect(buckets.ask(0, 'a', 1, START + 50, LIMITS)).toBe(1);
    expect(buckets.ask(0, 'c', 1, START + 2100, LIMITS)).toBe(1);
  });
});
