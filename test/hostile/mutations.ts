/** What hostile clients send: values that were made wrong, texts of them, and bytes that were damaged. Pure, from a seed. */

import { Encoder, encode } from '@msgpack/msgpack';
import { NAMES } from '../edge/bad-names.ts';

export type Random = () => number;

const encoder = new Encoder();
const LIST_OF_ONE = 0x91;
const EMPTY_LIST = Uint8Array.of(0x90);
/** With the key `a`. */
const MAP_OF_ONE = Uint8Array.of(0x81, 0xa1, 0x61);
const ARRAY_32 = 0xdd;
const MAP_32 = 0xdf;

export function pick<Value>(random: Random, values: readonly Value[]): Value {
  return values[Math.floor(random() * values.length)]!;
}

export function upTo(random: Random, max: number): number {
  return Math.floor(random() * max);
}

/** What no value of JavaScript says, or no encoder writes: as JSON text, and as msgpack. */
class Verbatim {
  readonly text: string;
  readonly bytes: Uint8Array;

  constructor(text: string, bytes: Uint8Array = encoder.encode(text)) {
    this.text = text;
    this.bytes = bytes;
  }
}

/** A whole number of 64 bits as msgpack writes it. */
function wide(value: bigint): Uint8Array {
  return encode(value, { useBigInt64: true });
}

function float64(value: number): Uint8Array {
  const bytes = Buffer.of(0xcb, ...new Uint8Array(8));
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

const NUMBERS = [0, -0, -1, 1.5, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e308, 5e-324, Number.NaN, Infinity, -Infinity, 10_000, 10_001, 4_102_444_800_000];
const TEXTS = [
  ...Object.values(NAMES).map(([name]) => name),
  ' ', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'x\udfff', '👩‍👩‍👧‍👦'.repeat(40), '${7*7}', 'x'.repeat(64), 'x'.repeat(129), 'x'.repeat(5_000), '1e999', 'NaN', 'null',
  'true', '-1', '0x10', 'heart ',
];
const VERBATIM = [
  ...['NaN', 'Infinity', '01', '+1', '.5', '1.', "'a'", 'undefined', '"\\u0000"', '"\\ud800"', '"\\x"', '//', '"\t"'].map((text) => new Verbatim(text)),
  ...(['1e999', '-1e999', '-0', '1e-999', '99999999999999999999999'] as const).map((text) => new Verbatim(text, float64(Number(text)))),
  ...[2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 53n + 1n, -1n, -(2n ** 63n), 1n].map((value) => new Verbatim(String(value), wide(value))),
];
/** Keys of their own that every object inherits others of. */
const POLLUTING: unknown = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
const DEPTHS = [3, 100, 600, 1_900];
/** As objects and as lists the longest that a post takes: seldom, because who reads them reads nothing else for milliseconds. */
const DEPTHS_OF_POSTS = [10_000, 30_000];

export function hostileValue(random: Random): unknown {
  switch (upTo(random, 8)) {
    case 0:
      return pick(random, NUMBERS);
    case 1:
    case 2:
      return pick(random, TEXTS);
    case 3:
      return pick(random, [null, true, false, [], {}, [[]], [null], { a: 1 }, { length: 2 ** 31 }]);
    case 4:
      return nested(pick(random, random() < 0.95 ? DEPTHS : DEPTHS_OF_POSTS), random() < 0.5);
    case 5:
      return pick(random, VERBATIM);
    case 6:
      return POLLUTING;
    default:
      return Array.from({ length: pick(random, [1, 33, 101, 1_000]) }, () => ({ emoji_id: pick(random, TEXTS), count: pick(random, NUMBERS) }));
  }
}

/** Lists or objects in each other. */
export function nested(depth: number, isList: boolean): Verbatim {
  return isList
    ? new Verbatim('['.repeat(depth) + ']'.repeat(depth), Buffer.concat([Buffer.alloc(depth - 1, LIST_OF_ONE), EMPTY_LIST]))
    : new Verbatim(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`, Buffer.concat([Buffer.alloc(3 * depth, MAP_OF_ONE), Uint8Array.of(1)]));
}

/** A copy with one to three things wrong with it, anywhere. */
export function mutateValue(random: Random, value: unknown): unknown {
  let mutated = value;
  for (let wrong = 1 + upTo(random, 3); wrong > 0; wrong--) mutated = mutateOnce(random, mutated);
  return mutated;
}

function mutateOnce(random: Random, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Verbatim || random() < 0.1) return hostileValue(random);
  if (Array.isArray(value)) {
    if (value.length === 0) return [hostileValue(random)];
    const at = upTo(random, value.length);
    if (random() < 0.2) return [...value, ...value];
    return value.map((item: unknown, index) => (index === at ? mutateOnce(random, item) : item));
  }
  const entries = Object.entries(value);
  const at = upTo(random, entries.length);
  const what = random();
  if (what < 0.2) return Object.fromEntries(entries.filter((_, index) => index !== at));
  if (what < 0.35) return { ...value, [pick(random, ['x', 'type', 'token', 'toString', 'length', '\u0000', 'é'.repeat(200)])]: hostileValue(random) };
  return Object.fromEntries(entries.map(([key, item], index) => [key, index === at ? mutateOnce(random, item) : item]));
}

/** The text of a value that JSON cannot say too: keys said twice, numbers that are none. */
export function hostileJson(random: Random, value: unknown): string {
  if (value instanceof Verbatim) return value.text;
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
  if (Array.isArray(value)) return `[${value.map((item) => hostileJson(random, item)).join(',')}]`;
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${hostileJson(random, item)}`);
  if (entries.length > 0 && random() < 0.05) entries.push(pick(random, entries));
  return `{${entries.join(random() < 0.02 ? ',,' : ',')}}`;
}

/** The same in msgpack. Written here because an encoder refuses what is deep, and 64 bits only where it is told to. */
export function hostileMsgpack(value: unknown): Uint8Array {
  if (value instanceof Verbatim) return value.bytes;
  if (Array.isArray(value)) return Buffer.concat([headOf(ARRAY_32, value.length), ...value.map(hostileMsgpack)]);
  if (typeof value === 'bigint') return wide(value);
  if (Object.is(value, -0)) return float64(-0);
  if (typeof value !== 'object' || value === null) return encoder.encode(value);
  const entries = Object.entries(value);
  return Buffer.concat([headOf(MAP_32, entries.length), ...entries.flatMap(([key, item]) => [encoder.encode(key), hostileMsgpack(item)])]);
}

/** Of a list or map: as short as it can be, as encoders write it. */
function headOf(wideHead: typeof ARRAY_32 | typeof MAP_32, length: number): Uint8Array {
  if (length < 16) return Uint8Array.of((wideHead === ARRAY_32 ? 0x90 : 0x80) | length);
  return Uint8Array.of(wideHead, 0, 0, length >> 8, length & 0xff);
}

/** Beginnings that claim more than follows: arrays, maps, texts, bytes and extensions of up to 2^32 − 1; and a type that is none. */
const MSGPACK_HEADS = [
  [0xdd, 255, 255, 255, 255], [0xdf, 255, 255, 255, 255], [0xdb, 255, 255, 255, 255], [0xc6, 255, 255, 255, 255], [0xc9, 255, 255, 255, 255, 1],
  [0xc1], [0xdc, 255, 255], [0xcf, 255, 255, 255, 255, 255, 255, 255, 255], [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], [0xd6, 0xff, 0, 0, 0, 0],
];

/** Flipped bits, cut ends, junk, doubled pieces, lengths that lie, UTF-8 that is none; one time in three nothing. */
export function damage(random: Random, bytes: Uint8Array): Uint8Array {
  const at = upTo(random, bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (upTo(random, 12)) {
    case 0: {
      const flipped = Uint8Array.from(bytes);
      for (let flips = 1 + upTo(random, 4); flips > 0 && bytes.length > 0; flips--) flipped[upTo(random, bytes.length)]! ^= 1 << upTo(random, 8);
      return flipped;
    }
    case 1:
      return head;
    case 2:
      return Buffer.concat([bytes, randomBytes(random, 1 + upTo(random, 40))]);
    case 3:
      return Buffer.concat([head, randomBytes(random, 1 + upTo(random, 8)), tail]);
    case 4:
      return Buffer.concat([head, head, tail]);
    case 5:
      return Buffer.concat([head, Uint8Array.from(pick(random, MSGPACK_HEADS)), tail]);
    case 6:
      return Buffer.concat([head, Uint8Array.from(pick(random, [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]])), tail]);
    case 7:
      return random() < 0.1 ? new Uint8Array(1 + upTo(random, 3_000)).fill(pick(random, [0x91, 0x81, 0x5b, 0x00, 0xff])) : bytes;
    default:
      return bytes;
  }
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => upTo(random, 256));
}
