import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenBuckets } from '../../src/antispam/token-bucket.ts';
import { TapLimit } from '../../src/client/tap-limit.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';

test('[SDK-6] takes what a region with the default policy would count, no tap more or less', () => {
  const tap = fc.record({ afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3_000 })), taps: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(fc.array(tap, { maxLength: 60 }), (taps) => {
      const limit = new TapLimit();
      const buckets = new TokenBuckets(8, 1);
      let now = 1_795_342_812_345;
      for (const { afterMs, taps: count } of taps) {
        now += afterMs;
        const bucket = buckets.find(0, 'ann', -1, now);
        expect(limit.take(count, now)).toBe(buckets.take(bucket, count, now, DEFAULT_POLICY.limits.viewer));
      }
    }),
  );
});
