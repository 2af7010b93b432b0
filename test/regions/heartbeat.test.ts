import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { actorId } from '../../crdt/actor.ts';
import { isId, parseStreamId, type StreamId } from '../../crdt/ids.ts';
import { HEARTBEAT_STREAMS_MAX, MalformedHeartbeat, decodeHeartbeat, encodeHeartbeat, type Heartbeat } from '../../regions/heartbeat.ts';

const count = fc.nat(Number.MAX_SAFE_INTEGER);
const stream = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter(isId) as fc.Arbitrary<StreamId>;
const actor = fc.tuple(count, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })).map(([shard, epoch]) => actorId({ region: 'us', shard, epoch }));
const heartbeat: fc.Arbitrary<Heartbeat> = fc.record({
  at: count,
  digest: fc.option(fc.stringMatching(/^[0-9a-f]{16}$/)),
  actors: fc.array(fc.tuple(actor, count), { maxLength: 8 }),
  viewers: fc.array(fc.tuple(stream, count), { maxLength: 8 }),
});
const withDocuments = fc
  .tuple(heartbeat, fc.option(fc.stringMatching(/^[0-9a-f]{16}$/)))
  .map(([written, documents]): Heartbeat => ({ ...written, documents }));
const withForgotten = fc
  .tuple(fc.oneof(heartbeat, withDocuments), fc.stringMatching(/^[0-9a-f]{16}$/))
  .map(([written, forgotten]): Heartbeat => ({ ...written, forgotten }));
const withHeard = fc
  .tuple(fc.oneof(heartbeat, withDocuments, withForgotten), fc.array(fc.record({ region: stream, epoch: fc.integer({ min: 1 }), at: count }), { minLength: 1, maxLength: 5 }))
  .map(([written, heard]): Heartbeat => ({ ...written, heard }));

function withVersion(version: number, value: unknown): Uint8Array {
  return Uint8Array.from([version, ...encode(value)]);
}

test('[REP-2] a heartbeat is read as it was written', () => {
  fc.assert(
    fc.property(fc.oneof(heartbeat, withDocuments, withForgotten, withHeard), (written) => {
      expect(decodeHeartbeat('us', encodeHeartbeat(written))).toEqual(written);
    }),
    { numRuns: 300 },
  );
});

test('[REP-2] bytes that are no heartbeat give a typed error, whatever they are', () => {
  const digest = '0123456789abcdef';
  const malformed = [
    new Uint8Array(),
    withVersion(2, [1, digest, [], []]),
    withVersion(2, [1, digest, [], [], 0]),
    withVersion(2, [1, digest, [], [], 'x']),
    withVersion(3, [1, digest, [], [], digest]),
    withVersion(3, [1, digest, [], [], digest, null]),
    withVersion(3, [1, digest, [], [], true, digest]),
    withVersion(4, [1, digest, [], [], digest, digest]),
    withVersion(4, [1, digest, [], [], digest, digest, []]),
    withVersion(4, [1, digest, [], [], digest, null, ['us', 1, 1]]),
    withVersion(4, [1, digest, [], [], digest, digest, ['us', 0, 1]]),
    withVersion(4, [1, digest, [], [], digest, digest, ['u s', 1, 1]]),
    withVersion(4, [1, digest, [], [], digest, digest, ['us', 1]]),
    withVersion(5, [1, digest, [], [], digest, digest, ['us', 1, 1]]),
    withVersion(1, [1, digest, [], [], digest]),
    withVersion(1, [1, digest, []]),
    withVersion(1, [1, digest, [], [], 0]),
    withVersion(1, { at: 1 }),
    withVersion(1, [-1, digest, [], []]),
    withVersion(1, [1.5, digest, [], []]),
    withVersion(1, [1, '0123456789ABCDEF', [], []]),
    withVersion(1, [1, 0, [], []]),
    withVersion(1, [1, digest, [0, 1], []]),
    withVersion(1, [1, digest, [0, -1, 1], []]),
    withVersion(1, [1, digest, [0, 0, 1], []]),
    withVersion(1, [1, digest, [], ['derby']]),
    withVersion(1, [1, digest, [], ['der.by', 1]]),
    withVersion(1, [1, digest, [], ['__proto__', 1]]),
    withVersion(1, [1, digest, [], ['derby', Number.NaN]]),
    Uint8Array.from([1, 0xdd, 0xff, 0xff, 0xff, 0xff]),
    Uint8Array.from([1, ...Array<number>(200_000).fill(0x91)]),
    Uint8Array.from([...withVersion(1, [1, digest, [], []]), 0]),
    new Uint8Array(600 * 1024),
  ];
  for (const bytes of malformed) expect(() => decodeHeartbeat('us', bytes)).toThrow(MalformedHeartbeat);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (tail) => {
      try {
        decodeHeartbeat('us', Uint8Array.from([1, ...tail]));
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedHeartbeat);
      }
    }),
    { numRuns: 1000 },
  );
});

test('[REP-2, REP-21] a heartbeat that says nothing of documents is as an earlier build writes it, and is read', () => {
  const earlier = withVersion(1, [5, '0123456789abcdef', [0, 7, 3], ['derby', 2]]);
  const read = decodeHeartbeat('us', earlier);
  expect(read).toEqual({ at: 5, digest: '0123456789abcdef', actors: [['us/0/7', 3]], viewers: [['derby', 2]] });
  expect(encodeHeartbeat(read)).toEqual(earlier);
});

test('[REP-2] of too many streams the most watched are told', () => {
  const viewers = Array.from({ length: HEARTBEAT_STREAMS_MAX + 10 }, (_, index) => [parseStreamId(`s${index}`), index] as const);
  const bytes = encodeHeartbeat({ at: 1, digest: null, actors: [], viewers });
  const told = decodeHeartbeat('us', bytes).viewers;
  expect(told).toHaveLength(HEARTBEAT_STREAMS_MAX);
  expect(Math.min(...told.map(([, count]) => count))).toBe(10);
});
