/** One table of bad inputs, against every surface that takes such a value: each refuses it by name, and none of it is counted. */

import { encode } from '@msgpack/msgpack';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Edge } from '../../src/edge/server.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const region = new FakeRegion();
let edge: Edge;
let http: string;
let ws: string;

beforeAll(async () => {
  ({ edge, http, ws } = await startEdge(region));
});
afterAll(() => edge.stop({ graceMs: 500 }));

/** What no stream, emoji or session is called. */
const NAMES: Record<string, string> = {
  'an empty text': '',
  'a wildcard of one token': 'a.*',
  'a wildcard of all tokens': '>',
  'a dot': 'a.b',
  'a hash tag': '{derby}',
  'a way up': '../../etc/passwd',
  'an encoded way up': '%2e%2e%2f',
  'a NUL': 'a\u0000b',
  'a line end': 'a\r\nset-cookie: b=c',
  'the prototype': '__proto__',
  '65 characters': 'x'.repeat(65),
  '3,000 characters': 'x'.repeat(3_000),
  'a lone surrogate': 'a\ud800',
  'the other half of one': '\udc00a',
  'a glyph': '❤️',
  'its twin without a variation selector': '❤',
  'a chain of joiners': '👩‍👩‍👧‍👦',
  'text from right to left': '\u202etraeh',
  'a byte order mark': '\ufeffheart',
  'letters that look alike': 'hеart',
  'full-width digits': '９',
  SQL: "'; DROP TABLE reaction_windows; --",
  HTML: '<img src=x onerror=alert(1)>',
};

/** What is no count, and no sequence: as JSON text, and as bytes of msgpack. */
const NUMBERS: Record<string, readonly [json: string | null, msgpack: unknown]> = {
  'not a number': [null, Number.NaN],
  infinity: ['1e999', Infinity],
  'less than nothing': ['-1', -1],
  'nothing from below': ['-0', -0],
  nothing: ['0', 0],
  'a fraction': ['1.5', 1.5],
  'beyond 2^53': ['9007199254740993', 2 ** 53],
  'the greatest of 64 bits': ['18446744073709551615', 2n ** 64n - 1n],
  'the greatest there is': ['1.7976931348623157e308', Number.MAX_VALUE],
  'a text': ['"3"', '3'],
  truth: ['true', true],
  'a list': ['[3]', [3]],
  'an object': ['{"valueOf":3}', { valueOf: 3 }],
  null: ['null', null],
};

const good = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 3, timestamp: 1_795_342_812_345, session_id: 's1', seq: 1 };
type Field = keyof typeof good;

async function post(type: string, body: string | Uint8Array): Promise<{ readonly status: number; readonly problem: string }> {
  const response = await fetch(`${http}/reactions`, { method: 'POST', headers: { 'content-type': type }, body: body as string });
  const { type: problem = '' } = (await response.json()) as { readonly type?: string };
  return { status: response.status, problem };
}

/** How a socket ends on which this was said after a good hello. */
async function closeCode(subprotocol: string, hello: string | Uint8Array, message: string | Uint8Array): Promise<number> {
  const socket = new WebSocket(`${ws}/streams/derby/reactions`, subprotocol);
  socket.on('open', () => {
    socket.send(hello);
    socket.send(message);
  });
  return new Promise((resolve) => {
    socket.once('close', resolve);
  });
}

const json = (field: Field, text: string): string =>
  `{${Object.entries(good).map(([key, value]) => `${JSON.stringify(key)}:${key === field ? text : JSON.stringify(value)}`).join(',')}}`;
const msgpack = (field: Field, value: unknown): Uint8Array => encode({ ...good, [field]: value }, { useBigInt64: typeof value === 'bigint' });
const jsonHello = '{"type":"hello","session_id":"s1","viewer_id":"ann"}';
const jsonBatch = (emoji: string, count: string, seq = '1'): string => `{"type":"batch","seq":${seq},"reactions":[{"emoji_id":${emoji},"count":${count}}],"timestamp":1}`;
const packedHello = encode([0, 's1', 'ann', null, null]);
const packedBatch = (emoji: unknown, count: unknown, seq: unknown = 1): Uint8Array =>
  encode([1, seq, 1, emoji, count], { useBigInt64: [count, seq].some((value) => typeof value === 'bigint') });

it.each(Object.entries(NAMES))('[EDGE-81] %s is no name, on any surface', async (_name, name) => {
  const text = JSON.stringify(name);
  for (const field of ['stream_id', 'emoji_id', 'session_id'] as const) {
    expect(await post('application/json', json(field, text)), field).toEqual({ status: 422, problem: 'urn:ovation:problem:invalid-batch' });
    const packed = await post('application/msgpack', msgpack(field, name));
    // Beyond 128 bytes a text is not even read.
    expect([400, 422], field).toContain(packed.status);
  }
  expect(await closeCode('ovation.v1.json', jsonHello, jsonBatch(text, '1'))).toBe(4400);
  expect(await closeCode('ovation.v1.msgpack', packedHello, packedBatch(name, 1))).toBe(4400);
  const named = await fetch(`${http}/streams/${/\p{Surrogate}/u.test(name) ? '%ed%a0%80' : encodeURIComponent(name)}/reactions`);
  expect([400, 404]).toContain(named.status);
  expect(region.batches).toEqual([]);
});

it.each(Object.entries(NUMBERS))('[EDGE-81] %s is neither a count nor a sequence, on any surface', async (_name, [text, value]) => {
  for (const field of ['count_since_last', 'seq'] as const) {
    if (text !== null) expect((await post('application/json', json(field, text))).status, field).toBe(422);
    expect((await post('application/msgpack', msgpack(field, value))).status, field).toBe(422);
  }
  if (text !== null) {
    expect(await closeCode('ovation.v1.json', jsonHello, jsonBatch('"heart"', text))).toBe(4400);
    expect(await closeCode('ovation.v1.json', jsonHello, jsonBatch('"heart"', '1', text))).toBe(4400);
  }
  expect(await closeCode('ovation.v1.msgpack', packedHello, packedBatch('heart', value))).toBe(4400);
  expect(await closeCode('ovation.v1.msgpack', packedHello, packedBatch('heart', 1, value))).toBe(4400);
  expect(region.batches).toEqual([]);
});
