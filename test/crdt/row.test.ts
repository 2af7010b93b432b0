/** The row codec: what it carries, and that nothing else gets past it. */

import { Decoder, encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ledger } from '../../crdt/ledger.ts';
import { MalformedRow, ROW_BYTES_MAX, ROW_ENTRIES_MAX, ROW_VERSION, decodeRow, encodeRow, type Row } from '../../crdt/row.ts';
import { RUNS, actors, emojis, ledgerOf, row, stateOf, streams } from './arbitraries.ts';

const stream = streams[0]!;
const actor = actors[0]!;

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => text !== '__proto__');
const wideCount = fc.oneof(fc.nat(300), fc.nat(70_000), fc.nat(2 ** 33), fc.maxSafeNat());
const wideRow: fc.Arbitrary<Row> = fc.record({
  stream: fc.constant(stream),
  actor: fc.constant(actor),
  sequence: wideCount.map((value) => Math.max(1, value)),
  entries: fc.array(fc.record({ emoji: id as fc.Arbitrary<(typeof emojis)[number]>, increments: wideCount, decrements: wideCount }), {
    maxLength: 40,
  }),
});

/** Version 1, then the value as @msgpack writes it. */
function bytesOf(value: unknown): Uint8Array {
  return Uint8Array.of(ROW_VERSION, ...encode(value));
}

function expectMalformed(bytes: Uint8Array): void {
  const ledger = ledgerOf([{ stream, actor, sequence: 3, entries: [{ emoji: emojis[0]!, increments: 5, decrements: 0 }] }]);
  const dirty = ledger.track();
  const before = stateOf(ledger);
  expect(() => ledger.join(decodeRow(stream, actor, bytes))).toThrow(MalformedRow);
  expect(stateOf(ledger)).toEqual(before);
  expect(dirty.size).toBe(0);
}

describe('row codec', () => {
  it('[CRDT-7] a row survives the round trip, whatever its ids and counts', () => {
    fc.assert(
      fc.property(wideRow, (a) => {
        expect(decodeRow(stream, actor, encodeRow(a))).toEqual(a);
      }),
      RUNS,
    );
  });

  it('[CRDT-7] the reader sees what @msgpack/msgpack sees', () => {
    const library = new Decoder();
    fc.assert(
      fc.property(wideRow, (a) => {
        const fields = library.decode(encodeRow(a).subarray(1)) as unknown[];
        const read = decodeRow(stream, actor, encodeRow(a));
        expect([read.sequence, ...read.entries.flatMap((each) => [each.emoji, each.increments, each.decrements])]).toEqual(fields);
      }),
      RUNS,
    );
  });

  it('[CRDT-7] the first byte is the version, and an old row is still read', () => {
    // Written down once; a build that cannot read this cannot read what earlier builds stored.
    const old = '01 97 2a a5 6865617274 cd 01f4 00 a4 66697265 cf 0000000100000000 07';
    expect(decodeRow(stream, actor, hex(old))).toEqual({
      stream,
      actor,
      sequence: 42,
      entries: [
        { emoji: 'heart', increments: 500, decrements: 0 },
        { emoji: 'fire', increments: 2 ** 32, decrements: 7 },
      ],
    });
  });

  it('[CRDT-7] it can be read from the middle of a larger buffer', () => {
    fc.assert(
      fc.property(wideRow, fc.nat(9), (a, offset) => {
        const bytes = encodeRow(a);
        const larger = new Uint8Array(bytes.length + 20).fill(0xc1);
        larger.set(bytes, offset);
        expect(decodeRow(stream, actor, larger.subarray(offset, offset + bytes.length))).toEqual(a);
      }),
      RUNS,
    );
  });
});

describe('malformed rows', () => {
  it('[CRDT-8] random bytes are a row or MalformedRow, and a row decoded from them encodes', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Uint8Array.of(ROW_VERSION, ...bytes)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Uint8Array.of(ROW_VERSION, 0x94, 1, 0xa1, 0x61, ...bytes)),
    );
    fc.assert(
      fc.property(noise, (bytes) => {
        const read = decodeOrNull(bytes);
        if (read !== null) expect(decodeRow(stream, actor, encodeRow(read))).toEqual(read);
      }),
      { numRuns: 2000 },
    );
  });

  it('[CRDT-8] every truncation of a row is refused', () => {
    fc.assert(
      fc.property(row, (a) => {
        const bytes = encodeRow(a);
        for (let length = 0; length < bytes.length; length++) expect(decodeOrNull(bytes.subarray(0, length))).toBeNull();
      }),
      RUNS,
    );
  });

  it('[CRDT-8] junk after a row is refused', () => {
    fc.assert(
      fc.property(row, fc.uint8Array({ minLength: 1, maxLength: 8 }), (a, junk) => {
        expectMalformed(Uint8Array.of(...encodeRow(a), ...junk));
      }),
      RUNS,
    );
  });

  it('[CRDT-8] a row with one byte changed is a row within the grammar or refused', () => {
    fc.assert(
      fc.property(wideRow, fc.nat(), fc.integer({ min: 1, max: 255 }), (a, where, flip) => {
        const bytes = encodeRow(a);
        bytes[where % bytes.length]! ^= flip;
        const read = decodeOrNull(bytes);
        for (const each of read?.entries ?? []) {
          expect(each.emoji).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
          expect(Number.isSafeInteger(each.increments) && each.increments >= 0).toBe(true);
          expect(Number.isSafeInteger(each.decrements) && each.decrements >= 0).toBe(true);
        }
      }),
      RUNS,
    );
  });

  const valid = [1, 'heart', 1, 0];
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a version alone', Uint8Array.of(ROW_VERSION)],
    ['version 0', Uint8Array.of(0, ...encode(valid))],
    ['a later version', Uint8Array.of(ROW_VERSION + 1, ...encode(valid))],
    ['a map', bytesOf({ sequence: 1 })],
    ['a number', bytesOf(1)],
    ['nil', bytesOf(null)],
    ['an empty array', bytesOf([])],
    ['an entry without decrements', bytesOf([1, 'heart', 1])],
    ['sequence 0', bytesOf([0, 'heart', 1, 0])],
    ['a negative sequence', bytesOf([-1, 'heart', 1, 0])],
    ['a textual sequence', bytesOf(['1', 'heart', 1, 0])],
    ['a negative count', bytesOf([1, 'heart', -1, 0])],
    ['−0', hex('01 94 01 a1 61 cb 8000000000000000 00')],
    ['NaN', bytesOf([1, 'heart', Number.NaN, 0])],
    ['Infinity', bytesOf([1, 'heart', Infinity, 0])],
    ['a fraction', bytesOf([1, 'heart', 1.5, 0])],
    ['2^53', bytesOf([1, 'heart', 2 ** 53, 0])],
    ['2^53 + 1 as uint64, which @msgpack rounds', hex('01 94 01 a1 61 cf 0020000000000001 00')],
    ['uint64 max', hex('01 94 01 a1 61 cf ffffffffffffffff 00')],
    ['int64', hex('01 94 01 a1 61 d3 0000000000000001 00')],
    ['float64 of a whole number', hex('01 94 01 a1 61 cb 3ff0000000000000 00')],
    ['an array for a count', bytesOf([1, 'heart', [1], 0])],
    ['an array for an emoji', bytesOf([1, ['heart'], 1, 0])],
    ['__proto__', bytesOf([1, '__proto__', 1, 0])],
    ['an empty emoji', bytesOf([1, '', 1, 0])],
    ['an emoji of 65 characters', bytesOf([1, 'x'.repeat(65), 1, 0])],
    ['an emoji with a dot', bytesOf([1, 'a.b', 1, 0])],
    ['a real emoji', bytesOf([1, '❤️', 1, 0])],
    ['a lone surrogate', bytesOf([1, '\uD83D', 1, 0])],
    ['a lone surrogate in raw bytes', hex('01 94 01 a3 eda0bd 01 00')],
    ['NUL', bytesOf([1, 'a\0', 1, 0])],
    ['array32 that claims 2^32 − 1', hex('01 dd ffffffff 01')],
    ['array32 that claims 2^32 − 3, a row’s remainder', hex('01 dd fffffffd 01')],
    ['str32 that claims 2^32 − 1', hex('01 94 01 db ffffffff 61 01 00')],
    ['str8 that claims more than there is', hex('01 94 01 d9 40 61 01 00')],
    ['one entry too many', bytesOf([1, ...Array.from({ length: ROW_ENTRIES_MAX + 1 }, () => ['a', 1, 0]).flat()])],
    ['more bytes than a row may have', new Uint8Array(ROW_BYTES_MAX + 1).fill(ROW_VERSION)],
    ['200,000 nested arrays', new Uint8Array(200_001).fill(0x91).fill(ROW_VERSION, 0, 1)],
    ['as many nested arrays as fit', new Uint8Array(ROW_BYTES_MAX).fill(0x91).fill(ROW_VERSION, 0, 1)],
    ['nested arrays that each claim 3,073 elements', nestedClaims()],
  ])('[CRDT-8] %s is refused and changes nothing', (_name, bytes) => {
    expectMalformed(bytes);
  });

  it('[CRDT-8] the longest legal row is read', () => {
    const entries = Array.from({ length: ROW_ENTRIES_MAX }, (_, index) => ({
      emoji: `${'e'.repeat(60)}${index}`.slice(-64) as (typeof emojis)[number],
      increments: Number.MAX_SAFE_INTEGER,
      decrements: Number.MAX_SAFE_INTEGER,
    }));
    const bytes = encodeRow({ stream, actor, sequence: Number.MAX_SAFE_INTEGER, entries });
    expect(bytes.length).toBeLessThanOrEqual(ROW_BYTES_MAX);
    const ledger = new Ledger();
    expect(ledger.join(decodeRow(stream, actor, bytes))).toBe(true);
    expect(ledger.row({ stream, actor })?.entries).toEqual(entries);
  });

  it('[CRDT-8] refusing costs no memory: nested claims are not reserved', () => {
    const bytes = nestedClaims();
    const before = process.memoryUsage().heapTotal;
    for (let round = 0; round < 20; round++) expect(decodeOrNull(bytes)).toBeNull();
    expect(process.memoryUsage().heapTotal - before).toBeLessThan(64 * 1024 * 1024);
  });
});

function decodeOrNull(bytes: Uint8Array): Row | null {
  try {
    return decodeRow(stream, actor, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedRow);
    return null;
  }
}

/** array16 of 3,073 within array16 of 3,073 …: a decoder that reserves what is claimed needs a gigabyte. */
function nestedClaims(): Uint8Array {
  const bytes = new Uint8Array(ROW_BYTES_MAX);
  bytes[0] = ROW_VERSION;
  for (let at = 1; at + 3 <= bytes.length; at += 3) bytes.set([0xdc, 0x0c, 0x01], at);
  return bytes;
}

function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replaceAll(' ', ''), 'hex'));
}
