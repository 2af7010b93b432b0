/** What hostile clients send: values that were made wrong, texts of them, and bytes that were damaged. Pure, from a seed. */

export type Random = () => number;

export function pick<Value>(random: Random, values: readonly Value[]): Value {
  return values[Math.floor(random() * values.length)]!;
}

export function upTo(random: Random, max: number): number {
  return Math.floor(random() * max);
}

/** Of JSON text what no value of JavaScript says. */
class Verbatim {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const NUMBERS = [0, -0, -1, 1.5, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e308, 5e-324, Number.NaN, Infinity, -Infinity, 10_000, 10_001, 4_102_444_800_000];
const TEXTS = [
  '', ' ', '\u0000', 'a\u0000b', '../../etc/passwd', '%2e%2e%2f', 'a.b', '*', '>', 'a.*', '{derby}', '__proto__', 'constructor', 'prototype', 'toString',
  'hasOwnProperty', '\ud800', 'x\udfff', '\u202egnp.exe', '❤️', '❤', '👩‍👩‍👧‍👦'.repeat(40), '\ufeffheart', "'; DROP TABLE reaction_windows; --", '<img src=x onerror=alert(1)>',
  '${7*7}', '\r\nSet-Cookie: a=b', 'x'.repeat(64), 'x'.repeat(65), 'x'.repeat(129), 'x'.repeat(5_000), '1e999', 'NaN', 'null', 'true', '-1', '0x10', '９', 'heart ',
];
const VERBATIM = ['1e999', '-1e999', '-0', '1e-999', '18446744073709551615', '99999999999999999999999', 'NaN', 'Infinity', '01', '+1', '.5', '1.', "'a'", 'undefined', '"\\u0000"', '"\\ud800"', '"\\x"', '//', '"\t"'];

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
      return nested(pick(random, [3, 100, 600]), random() < 0.5);
    case 5:
      return new Verbatim(pick(random, VERBATIM));
    case 6:
      return new Verbatim('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    default:
      return Array.from({ length: pick(random, [1, 33, 101, 1_000]) }, () => ({ emoji_id: pick(random, TEXTS), count: pick(random, NUMBERS) }));
  }
}

function nested(depth: number, asArray: boolean): Verbatim {
  return new Verbatim(asArray ? '['.repeat(depth) + ']'.repeat(depth) : '{"a":'.repeat(depth) + '1' + '}'.repeat(depth));
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

/** A value as msgpack can say it. */
export function withoutVerbatim(value: unknown): unknown {
  if (value instanceof Verbatim) return value.text;
  if (Array.isArray(value)) return value.map(withoutVerbatim);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key === '__proto__' ? 'constructor' : key, withoutVerbatim(item)]));
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
