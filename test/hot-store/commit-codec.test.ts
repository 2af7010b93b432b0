import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Commit } from '../../src/hot-store/hot-store.ts';
import { COMMIT_VERSION, MalformedCommit, decodeRecord, encodeCommit, encodeOpening } from '../../src/hot-store/commit-codec.ts';
import { ALICE, arbitraryCommit, sampleCommit } from './arbitrary-commit.ts';

/** Records are grouped by stream on the wire; their order means nothing, but for rows. */
function inOrder({ sessions, contributions, corrections, claims = [], ...rest }: Commit): object {
  const [one, two, three, four] = [sessions, contributions, corrections, claims].map((records) => records.map((record) => JSON.stringify(record, Object.keys(record).sort())).sort());
  return { ...rest, one, two, three, four };
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
        expect(inOrder(record.commit)).toEqual(inOrder(commit));
      }),
    );
    expect(decodeRecord(encodeOpening(ALICE))).toEqual({ kind: 'opening', actor: ALICE });
  });

  it('[HOT-11] reads what version 1 wrote, and refuses what a later one wrote', () => {
    const entry = ['heart', 7, 0, 3, 0];
    const first = new Uint8Array([1, ...encode([1, ALICE, 9, 1000, 0, ['derby', entry], ['derby', ['s', 4, 15, 0, [2, 1]]]])]);
    expect(decodeRecord(first)).toEqual({
      kind: 'commit',
      commit: {
        actor: ALICE,
        sequence: 9,
        at: 1000,
        windowsStoredBefore: 0,
        rows: [{ stream: 'derby', entries: [{ emoji: 'heart', increments: 7, decrements: 0, windowIncrements: 3 }] }],
        sessions: [{ stream: 'derby', session: 's', highest: 4, low: 15, high: 0, clamped: [[2, 1]] }],
        contributions: [],
        corrections: [],
      },
    });
    expect(decodeRecord(new Uint8Array([1, ...encode([0, ALICE])]))).toEqual({ kind: 'opening', actor: ALICE });
    expect(() => decodeRecord(encodeOpening(ALICE).with(0, COMMIT_VERSION + 1))).toThrow(MalformedCommit);
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
    ['a negative count', framed([1, ALICE, -1, 0, 0, [], [], [], []])],
    ['a fraction', framed([1, ALICE, 1.5, 0, 0, [], [], [], []])],
    ['an incomplete entry', framed([1, ALICE, 1, 0, 0, ['derby', ['heart', 1, 0]], [], [], []])],
    ['an actor that is none', framed([0, 'us/x/1'])],
    ['a bitmap of 33 bits', framed([1, ALICE, 1, 0, 0, [], ['derby', ['s', 1, 2 ** 32, 0, []]], [], []])],
    ['an emoji that is not there', framed([1, ALICE, 1, 0, 0, [], [], ['derby', null, ['heart'], [0, 'v', null, 0, 1, 1, 0]], []])],
    ['a device that is none', framed([1, ALICE, 1, 0, 0, [], [], ['derby', null, ['heart'], [0, 'v', 7, 0, 0, 1, 0]], []])],
    ['a contribution before all time', framed([1, ALICE, 1, 5, 0, [], [], ['derby', null, ['heart'], [0, 'v', null, 6, 0, 1, 0]], []])],
    ['a contribution of nobody\'s life', framed([1, ALICE, 1, 5, 0, [], [], ['derby', 'us', ['heart'], [0, 'v', null, 0, 0, 1, 0]], []])],
    ['a correction without emoji', framed([1, ALICE, 1, 0, 0, [], [], [], ['derby', ['', 0, 1]]])],
  ])('[HOT-5] refuses %s', (_, bytes) => {
    expect(() => decodeRecord(bytes)).toThrow(MalformedCommit);
  });
});
