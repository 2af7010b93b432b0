import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionRecord } from '../../src/hot-store/hot-store.ts';
import { COMMIT_VERSION, MalformedCommit, decodeRecord, encodeCommit, encodeOpening } from '../../src/hot-store/commit-codec.ts';
import { ALICE, arbitraryCommit, sampleCommit } from './arbitrary-commit.ts';

/** Sessions are grouped by stream on the wire; their order means nothing. */
function byKey(sessions: readonly SessionRecord[]): string[] {
  return sessions.map((record) => JSON.stringify(record)).sort();
}

function framed(value: unknown): Uint8Array {
  return new Uint8Array([COMMIT_VERSION, ...encode(value)]);
}

describe('commit codec', () => {
  it('[HOT-1] gives back what was written', () => {
    fc.assert(
      fc.property(arbitraryCommit, (commit) => {
        const record = decodeRecord(encodeCommit(commit));
        if (record.kind !== 'commit') throw new Error('not a commit');
        expect({ ...record.commit, sessions: byKey(record.commit.sessions) }).toEqual({ ...commit, sessions: byKey(commit.sessions) });
      }),
    );
    expect(decodeRecord(encodeOpening(ALICE))).toEqual({ kind: 'opening', actor: ALICE });
  });

  it('[HOT-5] answers malformed bytes with MalformedCommit and nothing else', () => {
    const bytes = encodeCommit(sampleCommit(ALICE, 1));
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.nat({ max: bytes.length - 1 }).map((length) => bytes.slice(0, length)),
      fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 })).map(([at, value]) => bytes.with(at, value)),
      fc.jsonValue().map(framed),
    );
    fc.assert(
      fc.property(damaged, (input) => {
        try {
          decodeRecord(input);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedCommit);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['another version', new Uint8Array([9, 0x92, 0, 0xa1, 0x61])],
    ['a negative count', framed([1, ALICE, -1, 0, 0, [], []])],
    ['a fraction', framed([1, ALICE, 1.5, 0, 0, [], []])],
    ['an incomplete entry', framed([1, ALICE, 1, 0, 0, ['derby', ['heart', 1, 0, 1]], []])],
    ['an actor that is none', framed([0, 'us/x/1'])],
    ['a bitmap of 33 bits', framed([1, ALICE, 1, 0, 0, [], ['derby', ['s', 1, 2 ** 32, 0, []]]])],
  ])('[HOT-5] refuses %s', (_, bytes) => {
    expect(() => decodeRecord(bytes)).toThrow(MalformedCommit);
  });
});
