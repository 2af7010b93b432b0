/** What is no name and no number, for every surface that takes one. */

/** What no stream, emoji or session is called, and whether a viewer or a device may be: those are called as the apps like it. */
export const NAMES: Readonly<Record<string, readonly [name: string, isViewer: boolean]>> = {
  'an empty text': ['', false],
  'a wildcard of one token': ['a.*', true],
  'a wildcard of all tokens': ['>', true],
  'a dot': ['a.b', true],
  'a hash tag': ['{derby}', true],
  'an empty hash tag': ['{}', true],
  'a way up': ['../../etc/passwd', true],
  'an encoded way up': ['%2e%2e%2f', true],
  'a NUL': ['a\u0000b', false],
  'a line end': ['a\r\nset-cookie: b=c', false],
  'the prototype': ['__proto__', true],
  '65 characters': ['x'.repeat(65), true],
  '3,000 characters': ['x'.repeat(3_000), false],
  'a lone surrogate': ['a\ud800', false],
  'the other half of one': ['\udc00a', false],
  'a glyph': ['❤️', false],
  'its twin without a variation selector': ['❤', false],
  'a chain of joiners': ['👩‍👩‍👧‍👦', false],
  'text from right to left': ['\u202etraeh', false],
  'a byte order mark': ['\ufeffheart', false],
  'letters that look alike': ['hеart', false],
  'full-width digits': ['９', false],
  SQL: ["'; DROP TABLE reaction_windows; --", false],
  HTML: ['<img src=x onerror=alert(1)>', false],
};

export interface BadNumber {
  /** Null for what JSON cannot say. */
  readonly json: string | null;
  readonly msgpack: unknown;
  /** A time has fractions, and begins with 0. */
  readonly isTime?: true;
  /** Says in msgpack that there is none. */
  readonly isNone?: true;
}

/** What is no count, and no sequence: as JSON text, and as bytes of msgpack. */
export const NUMBERS: Readonly<Record<string, BadNumber>> = {
  'not a number': { json: null, msgpack: Number.NaN },
  infinity: { json: '1e999', msgpack: Infinity },
  'less than nothing': { json: '-1', msgpack: -1 },
  'nothing from below': { json: '-0', msgpack: -0 },
  nothing: { json: '0', msgpack: 0, isTime: true },
  'a fraction': { json: '1.5', msgpack: 1.5, isTime: true },
  'beyond 2^53': { json: '9007199254740993', msgpack: 2 ** 53 },
  'the greatest of 64 bits': { json: '18446744073709551615', msgpack: 2n ** 64n - 1n },
  'the greatest there is': { json: '1.7976931348623157e308', msgpack: Number.MAX_VALUE },
  'a text': { json: '"3"', msgpack: '3' },
  truth: { json: 'true', msgpack: true },
  'a list': { json: '[3]', msgpack: [3] },
  'an object': { json: '{"valueOf":3}', msgpack: { valueOf: 3 } },
  null: { json: 'null', msgpack: null, isNone: true },
};
