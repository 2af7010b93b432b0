import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDeeperThan } from '../../src/edge/msgpack-depth.ts';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0;
  const inner = Math.max(0, ...Object.values(value).map(depthOf));
  // What is empty opens nothing.
  return Object.keys(value).length === 0 ? 0 : 1 + inner;
}

describe('isDeeperThan', () => {
  it('[EDGE-83] tells of any msgpack whether it is deeper than so many containers', () => {
    const leaf = fc.oneof(fc.string({ maxLength: 300 }), fc.double(), fc.integer(), fc.maxSafeInteger(), fc.boolean(), fc.constant(null), fc.uint8Array({ maxLength: 300 }));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 6 }, leaf, fc.array(tie('value'), { maxLength: 20 }), fc.dictionary(fc.string({ maxLength: 40 }), tie('value'), { maxKeys: 18 })),
    }));
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 7 }), (any, depthMax) => {
        expect(isDeeperThan(depthMax, encode(any))).toBe(depthOf(any) > depthMax);
      }),
    );
  });

  it('[EDGE-83] takes bytes that are cut off, or no msgpack, for what they are', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(5), (bytes, depthMax) => void isDeeperThan(depthMax, bytes)));
    expect(isDeeperThan(4, Uint8Array.of(0xdd, 255, 255, 255, 255))).toBe(false);
    expect(isDeeperThan(4, new Uint8Array(65_000).fill(0x91))).toBe(true);
    expect(isDeeperThan(4, new Uint8Array(65_000).fill(0x81))).toBe(true);
  });
});
