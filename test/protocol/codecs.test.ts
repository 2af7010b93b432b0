import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOSE_CODES, mayReconnect } from '../../src/protocol/close-codes.ts';
import { decodeClientJson, decodeServerJson, encodeClientJson, encodeServerJson } from '../../src/protocol/json-codec.ts';
import { MalformedMessage } from '../../src/protocol/message-rules.ts';
import {
  decodeClientMsgpack,
  decodeClientSlowly,
  decodeServerMsgpack,
  encodeClientMsgpack,
  encodeServerMsgpack,
} from '../../src/protocol/msgpack-codec.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { readBatch } from '../../src/protocol/msgpack-batch.ts';
import { writeClientMessage } from '../../src/protocol/msgpack-client-writer.ts';
import { serverMessageOfFields } from '../../src/protocol/msgpack-fields.ts';
import { readMsgpack } from '../../src/protocol/msgpack-reader.ts';
import { batch, clientMessage, serverMessage } from './arbitrary-messages.ts';

const AT = 1_795_342_812_345;
const good = { type: 'batch', seq: 7, reactions: [{ emoji_id: 'heart', count: 3 }], timestamp: AT } as const;

function outcome<T>(decode: () => T): T | 'malformed' {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedMessage) return 'malformed';
    throw error;
  }
}

describe('round trips', () => {
  it('[EDGE-1] every client message survives both encodings unchanged', () => {
    fc.assert(
      fc.property(clientMessage, (message) => {
        expect(decodeClientJson(encodeClientJson(message))).toEqual(message);
        expect(decodeClientMsgpack(encodeClientMsgpack(message))).toEqual(message);
      }),
      { numRuns: 500 },
    );
  });

  it('[EDGE-1] every server message survives both encodings unchanged', () => {
    fc.assert(
      fc.property(serverMessage, (message) => {
        expect(decodeServerJson(encodeServerJson(message))).toEqual(message);
        expect(decodeServerMsgpack(encodeServerMsgpack(message))).toEqual(message);
      }),
      { numRuns: 500 },
    );
  });

  it('[EDGE-1] an emoji may have the name of what every object inherits', () => {
    const message: ServerMessage = {
      type: 'frame',
      region: 'us',
      at: AT,
      level: 'exact',
      totals: { constructor: 3, toString: 4 } as unknown as Record<string, number>,
      rates: {},
      hints: {},
      viewers: 0,
      staleness: {},
    };
    expect(decodeServerMsgpack(encodeServerMsgpack(message))).toEqual(message);
  });

  it('[FRAME-13] what was taken back is an element more at the end, and none when nothing was', () => {
    const frame = { type: 'frame', region: 'us', at: AT, level: 'exact', totals: { heart: 3 }, rates: {}, hints: {}, viewers: 0, staleness: {} } as const;
    const plain = encode([5, 'us', AT, 0, 0, ['heart', 3, 0, 0], {}]);
    expect(encodeServerMsgpack(frame)).toEqual(plain);
    expect(encodeServerMsgpack({ ...frame, corrected: 9 })).toEqual(encode([5, 'us', AT, 0, 0, ['heart', 3, 0, 0], {}, 9]));
    for (const corrected of [-1, 1.5, 'many', null]) {
      expect(outcome(() => decodeServerJson(JSON.stringify({ ...frame, corrected })))).toBe('malformed');
      expect(outcome(() => decodeServerMsgpack(encode([5, 'us', AT, 0, 0, [], {}, corrected])))).toBe('malformed');
    }
  });

  it('[EDGE-1] clients pass over fields that a later server adds', () => {
    expect(decodeServerJson('{"type":"goaway","retry_after_ms":5,"why":"deploy"}')).toEqual({ type: 'goaway', retry_after_ms: 5 });
    expect(decodeServerMsgpack(encode([7, 5, 'deploy']))).toEqual({ type: 'goaway', retry_after_ms: 5 });
  });
});

describe('the fast path for batches', () => {
  it('[EDGE-3] reads the usual batch', () => {
    expect(readBatch(encodeClientMsgpack(good))).toEqual(good);
  });

  it('[EDGE-3] never disagrees with the general path, whatever the bytes', () => {
    const mutated = fc
      .tuple(batch, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.option(fc.nat(), { freq: 3 }))
      .map(([message, changes, cut]) => {
        const bytes = encodeClientMsgpack({ ...message, reactions: message.reactions.slice(0, 4) });
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1));
      });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 40 })), (bytes) => {
        expect(outcome(() => decodeClientMsgpack(bytes))).toEqual(outcome(() => decodeClientSlowly(bytes)));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('the small reader and writer of players', () => {
  const readSmall = (bytes: Uint8Array) => serverMessageOfFields(readMsgpack(bytes));

  it('[EDGE-5] writes what the codec writes, byte for byte', () => {
    fc.assert(
      fc.property(clientMessage, (message) => {
        const whole = message.type === 'batch' ? { ...message, timestamp: Math.floor(message.timestamp) } : message;
        expect(writeClientMessage(whole)).toEqual(encodeClientMsgpack(whole));
      }),
      { numRuns: 1_000 },
    );
  });

  it('[EDGE-5] reads every server message', () => {
    fc.assert(
      fc.property(serverMessage, (message) => {
        expect(readSmall(encodeServerMsgpack(message))).toEqual(message);
      }),
      { numRuns: 1_000 },
    );
  });

  it('[EDGE-5] reads nothing that the codec does not, whatever the bytes', () => {
    const damaged = fc
      .tuple(serverMessage, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.option(fc.nat(), { freq: 3 }))
      .map(([message, changes, cut]) => {
        const bytes = encodeServerMsgpack(message);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1));
      });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 40 })), (bytes) => {
        const read = outcome(() => readSmall(bytes));
        if (read !== 'malformed') expect(read).toEqual(outcome(() => decodeServerMsgpack(bytes)));
      }),
      { numRuns: 5_000 },
    );
  });

  it('[EDGE-5] refuses what would make it keep more than the message is, or go too deep', () => {
    for (const bytes of [[0xdd, 255, 255, 255, 255], [0xdf, 255, 255, 255, 255, 0], Array.from({ length: 100 }, () => 0x91), [0xc1], [0xc4, 0]]) {
      expect(outcome(() => readMsgpack(Uint8Array.from(bytes)))).toBe('malformed');
    }
  });
});

describe('[EDGE-2] what is malformed is refused with a typed error, whatever it is', () => {
  it('random text and bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        outcome(() => decodeClientJson(text));
        outcome(() => decodeServerJson(text));
      }),
      { numRuns: 1_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        outcome(() => decodeClientMsgpack(bytes));
        outcome(() => decodeServerMsgpack(bytes));
      }),
      { numRuns: 1_000 },
    );
  });

  const json: Record<string, string> = {
    empty: '',
    'no object': '[]',
    null: 'null',
    'no type': '{}',
    'unknown type': '{"type":"frame"}',
    'type from the prototype': '{"type":"constructor"}',
    'a misspelt field': '{"type":"batch","sequence":1,"reactions":[{"emoji_id":"a","count":1}],"timestamp":1}',
    'an own __proto__': '{"type":"batch","seq":1,"__proto__":{},"reactions":[{"emoji_id":"a","count":1}],"timestamp":1}',
    'trailing junk': `${JSON.stringify(good)}x`,
    'no reactions': JSON.stringify({ ...good, reactions: [] }),
    'reactions no list': JSON.stringify({ ...good, reactions: { length: 1 } }),
    'a reaction null': JSON.stringify({ ...good, reactions: [null] }),
    '33 emoji': JSON.stringify({ ...good, reactions: Array.from({ length: 33 }, (_, n) => ({ emoji_id: `e${n}`, count: 1 })) }),
    'an emoji twice': JSON.stringify({ ...good, reactions: [...good.reactions, ...good.reactions] }),
    'emoji __proto__': JSON.stringify({ ...good, reactions: [{ emoji_id: '__proto__', count: 1 }] }),
    'emoji with a dot': JSON.stringify({ ...good, reactions: [{ emoji_id: 'a.b', count: 1 }] }),
    'a glyph as id': JSON.stringify({ ...good, reactions: [{ emoji_id: '❤️', count: 1 }] }),
    'a lone surrogate': '{"type":"hello","session_id":"s","viewer_id":"\\ud800"}',
    'right-to-left override': '{"type":"hello","session_id":"s","viewer_id":"a\\u202eb"}',
    'NUL in the viewer': '{"type":"hello","session_id":"s","viewer_id":"a\\u0000b"}',
    'session with a slash': '{"type":"hello","session_id":"../s","viewer_id":"v"}',
    'viewer of 129': JSON.stringify({ type: 'hello', session_id: 's', viewer_id: 'v'.repeat(129) }),
    'via empty': JSON.stringify({ ...good, via: [] }),
    'via no list': JSON.stringify({ ...good, via: 'eu' }),
    'via of 9': JSON.stringify({ ...good, via: Array.from({ length: 9 }, (_, n) => `r${n}`) }),
    'via a region twice in a row': JSON.stringify({ ...good, via: ['eu', 'eu'] }),
    'via __proto__': JSON.stringify({ ...good, via: ['__proto__'] }),
    'unacked_from 0': '{"type":"hello","session_id":"s","viewer_id":"v","unacked_from":0}',
    'token null': '{"type":"hello","session_id":"s","viewer_id":"v","token":null}',
    ...Object.fromEntries(
      ['0', '-0', '-1', '1.5', '1e999', '10001', '"1"', 'null', 'true'].map((n) => [
        `count ${n}`,
        `{"type":"batch","seq":1,"reactions":[{"emoji_id":"a","count":${n}}],"timestamp":1}`,
      ]),
    ),
    ...Object.fromEntries(
      ['0', '-1', '1.5', '9007199254740992', '1e400', 'null', '"7"'].map((n) => [
        `seq ${n}`,
        `{"type":"batch","seq":${n},"reactions":[{"emoji_id":"a","count":1}],"timestamp":1}`,
      ]),
    ),
    ...Object.fromEntries(
      ['-0', '-1', '8.65e15', 'null', '"2026-01-01"'].map((n) => [
        `timestamp ${n}`,
        `{"type":"batch","seq":1,"reactions":[{"emoji_id":"a","count":1}],"timestamp":${n}}`,
      ]),
    ),
  };
  it.each(Object.entries(json))('JSON: %s', (_name, text) => {
    expect(() => decodeClientJson(text)).toThrow(MalformedMessage);
  });

  const bytes: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    truncated: encodeClientMsgpack(good).subarray(0, 10),
    'trailing junk': Uint8Array.of(...encodeClientMsgpack(good), 0),
    'array32 of 2^32 − 1': Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff),
    'str32 of 2^32 − 1': Uint8Array.of(0x92, 0, 0xdb, 0xff, 0xff, 0xff, 0xff),
    'map32 of 2^32 − 1': Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff),
    '4,096 nested arrays': new Uint8Array(4096).fill(0x91),
    'a map': encode({ type: 'batch' }),
    'an extension': Uint8Array.of(0x92, 1, 0xd6, 0xff, 0, 0, 0, 0),
    'a server type': encode([3, 1, 1, 0, false]),
    'no pairs': encode([1, 1, AT]),
    'half a pair': encode([1, 1, AT, 'heart']),
    'via before the pairs': encode([1, 1, AT, ['eu'], 'heart', 3]),
    'two vias': encode([1, 1, AT, 'heart', 3, ['eu'], ['ap']]),
    'via and no pairs': encode([1, 1, AT, ['eu']]),
    'a via of numbers': encode([1, 1, AT, 'heart', 3, [1]]),
    'a hello too short': encode([0, 's', 'v', null]),
    'a hello too long': encode([0, 's', 'v', null, null, 1]),
    'seq 2^53': Uint8Array.of(0x95, 1, 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0, 1, 0xa1, 0x61, 1),
    'seq 2^64 − 1': Uint8Array.of(0x95, 1, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0xa1, 0x61, 1),
    'count −1': encode([1, 1, AT, 'a', -1]),
    'count 0': encode([1, 1, AT, 'a', 0]),
    'count 1.5': encode([1, 1, AT, 'a', 1.5]),
    'count NaN': encode([1, 1, AT, 'a', Number.NaN]),
    'count Infinity': encode([1, 1, AT, 'a', Infinity]),
    'timestamp NaN': encode([1, 1, Number.NaN, 'a', 1]),
    'timestamp −0': Uint8Array.of(0x95, 1, 1, 0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0, 0xa1, 0x61, 1),
    'an emoji twice': encode([1, 1, AT, 'a', 1, 'a', 1]),
    'emoji __proto__': encode([1, 1, AT, '__proto__', 1]),
    'broken UTF-8': Uint8Array.of(0x95, 1, 1, 1, 0xa1, 0xff, 1),
  };
  it.each(Object.entries(bytes))('msgpack: %s', (_name, input) => {
    expect(() => decodeClientMsgpack(input)).toThrow(MalformedMessage);
    expect(decodeClientMsgpack(encodeClientMsgpack(good))).toEqual(good);
  });
});

it('[EDGE-4] a close code alone tells whether to reconnect', () => {
  const permanent = Object.values(CLOSE_CODES).filter((code) => !mayReconnect(code));
  expect(permanent).toEqual([4400, 4401, 4403, 4404, 4410, 4423]);
  expect([1001, 1006, 1012, 1013, 4503, 4508, 4529].every(mayReconnect)).toBe(true);
  // What a client did wrong in the WebSocket protocol itself, it would do again.
  expect([1002, 1003, 1007, 1008, 1009, 1010].some(mayReconnect)).toBe(false);
});
