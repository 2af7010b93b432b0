import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { MalformedWindows, WINDOWS_BYTES_MAX, WINDOWS_VERSION, decodeWindows, encodeWindows } from '../../src/analytics/window-codec.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import { recordsOf } from './commits.ts';

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => text !== '__proto__');
const count = fc.maxSafeNat();
const record: fc.Arbitrary<WindowRecord> = fc.record({
  stream: id.map((text) => text as StreamId),
  actor: fc.tuple(id, fc.nat(), fc.integer({ min: 1 })).map((parts) => parts.join('/') as ActorId),
  windowStart: fc.nat({ max: 2 ** 40 }).map((second) => second * 1000),
  viewers: count,
  entries: fc.array(fc.record({ emoji: id.map((text) => text as EmojiId), increments: count, decrements: count }), { maxLength: 20 }),
});

const message = (body: unknown): Uint8Array => Uint8Array.of(WINDOWS_VERSION, ...encode(body));

describe('the codec of windows', () => {
  it('[WIN-6] what is encoded is decoded the same', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 30 }), (records) => {
        expect(encodeWindows(records).flatMap(decodeWindows)).toEqual(records);
      }),
    );
  });

  it('[WIN-6] messages stay below the limit, however many and large the records', () => {
    const entries = Array.from({ length: 64 }, (_, index) => ({
      emoji: `${index}`.padStart(64, 'x') as EmojiId,
      increments: Number.MAX_SAFE_INTEGER,
      decrements: Number.MAX_SAFE_INTEGER,
    }));
    const records = recordsOf(1, 1000).map((small, index) => (index % 2 === 0 ? small : Object.assign(small, { entries })));
    const messages = encodeWindows(records);
    expect(Math.max(...messages.map((bytes) => bytes.length))).toBeLessThanOrEqual(WINDOWS_BYTES_MAX);
    expect(messages.flatMap(decodeWindows)).toEqual(records);
  });

  it('[WIN-6] malformed bytes are a typed error, never records', () => {
    const good = encodeWindows(recordsOf(3))[0]!;
    for (let length = 0; length < good.length; length++) {
      expect(() => decodeWindows(good.subarray(0, length))).toThrow(MalformedWindows);
    }
    expect(() => decodeWindows(Uint8Array.of(...good, 0))).toThrow(MalformedWindows);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeWindows(Uint8Array.of(WINDOWS_VERSION, ...bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedWindows);
        }
      }),
    );
  });

  it.each([
    ['another version', Uint8Array.of(2, ...encode([]))],
    ['no array', message({})],
    ['a record that is none', message([7])],
    ['a stream id with a dot', message([['a.b', 'us/0/1', 0, 0]])],
    ['an actor that is none', message([['a', 'us/0', 0, 0]])],
    ['a window start off the second', message([['a', 'us/0/1', 500, 0]])],
    ['a negative count', message([['a', 'us/0/1', 0, 0, 'heart', -1, 0]])],
    ['a fraction', message([['a', 'us/0/1', 0, 0, 'heart', 0.5, 0]])],
    ['NaN viewers', message([['a', 'us/0/1', 0, Number.NaN]])],
    ['half an entry', message([['a', 'us/0/1', 0, 0, 'heart', 1]])],
    ['an array that claims to be huge', Uint8Array.of(WINDOWS_VERSION, 0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['too many bytes', new Uint8Array(WINDOWS_BYTES_MAX + 1)],
  ])('[WIN-6] refuses %s', (_, bytes) => {
    expect(() => decodeWindows(bytes)).toThrow(MalformedWindows);
  });
});
