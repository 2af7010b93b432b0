/** Generators of every message that the protocol allows. */

import * as fc from 'fast-check';
import type { BatchMessage, ClientMessage, FrameMessage, Hello, ServerMessage } from '../../src/protocol/messages.ts';

export const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => text !== '__proto__');
const sequence = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.maxSafeInteger().map((n) => Math.max(1, Math.abs(n))));
const count = fc.oneof(fc.nat(300), fc.maxSafeNat());
const whole = fc.oneof(fc.integer({ min: -300, max: 300 }), fc.maxSafeInteger());
const timestamp = fc.oneof(
  fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
  fc.double({ min: 0, max: 8.64e15, noNaN: true }).map((value) => value + 0),
);

const via = fc
  .array(id, { minLength: 1, maxLength: 8 })
  .map((regions) => regions.filter((region, index) => region !== regions[index - 1]));

export const batch: fc.Arbitrary<BatchMessage> = fc.record(
  {
    type: fc.constant('batch' as const),
    seq: sequence,
    reactions: fc.uniqueArray(fc.record({ emoji_id: id, count: fc.integer({ min: 1, max: 10_000 }) }), {
      minLength: 1,
      maxLength: 32,
      selector: (reaction) => reaction.emoji_id,
    }),
    timestamp,
    via,
  },
  { requiredKeys: ['type', 'seq', 'reactions', 'timestamp'] },
);

const hello: fc.Arbitrary<Hello> = fc.record(
  {
    type: fc.constant('hello' as const),
    session_id: id,
    viewer_id: fc.stringMatching(/^[\x21-\x7e]{1,128}$/),
    token: fc.stringMatching(/^[A-Za-z0-9_.-]{1,300}$/),
    unacked_from: sequence,
    device_id: fc.stringMatching(/^[\x21-\x7e]{1,128}$/),
  },
  { requiredKeys: ['type', 'session_id', 'viewer_id'] },
);

export const clientMessage: fc.Arbitrary<ClientMessage> = fc.oneof({ weight: 3, arbitrary: batch }, hello);

const level = fc.constantFrom('exact' as const, 'relaxed' as const, 'hearts' as const, 'static' as const);
const palette = fc.dictionary(id, fc.constantFrom('❤️', '🔥', '👩‍👩‍👧‍👦'), { maxKeys: 8, noNullPrototype: true });
const hundredths = fc.integer({ min: 1, max: 1e9 }).map((units) => units / 100);

const frame: fc.Arbitrary<FrameMessage> = fc
  .record({
    region: id,
    at: timestamp,
    level,
    viewers: count,
    emoji: fc.dictionary(id, fc.tuple(whole, fc.option(hundredths), fc.option(count.filter((n) => n > 0))), { maxKeys: 12 }),
    staleness: fc.dictionary(id, fc.option(count), { maxKeys: 4, noNullPrototype: true }),
    corrected: fc.option(count),
  })
  .map(({ emoji, region, at, level, viewers, staleness, corrected }) => {
    const entries = Object.entries(emoji);
    const pick = (index: 0 | 1 | 2): Record<string, number> =>
      Object.fromEntries(entries.flatMap(([key, values]) => (values[index] === null ? [] : [[key, values[index]]])));
    const message = { type: 'frame' as const, region, at, level, totals: pick(0), rates: pick(1), hints: pick(2), viewers, staleness };
    return corrected === null ? message : { ...message, corrected };
  });

export const serverMessage: fc.Arbitrary<ServerMessage> = fc.oneof(
  frame,
  fc.record({ type: fc.constant('ack' as const), seq: sequence, accepted: count, clamped: count, duplicate: fc.boolean() }),
  fc.record(
    {
      type: fc.constant('error' as const),
      seq: count,
      code: id,
      message: fc.string(),
      temporary: fc.boolean(),
      retry_after_ms: count,
    },
    { requiredKeys: ['type', 'seq', 'code', 'message', 'temporary'] },
  ),
  fc.record({
    type: fc.constant('welcome' as const),
    region: id,
    palette,
    batch_ms: count,
    frame_ms: count,
    totals: fc.dictionary(id, whole, { maxKeys: 8, noNullPrototype: true }),
  }),
  fc.record({ type: fc.constant('pace' as const), batch_ms: count, level, palette }, { requiredKeys: ['type', 'batch_ms', 'level'] }),
  fc.record({ type: fc.constant('goaway' as const), retry_after_ms: count }),
);
