/**
 * A reader for one msgpack value, of the kinds that servers write: nil, booleans, whole numbers, doubles,
 * texts, arrays and maps with texts as keys. Small, because every player loads it; regions use the
 * general decoder. It reads what that one reads, and refuses whatever does not end where it should.
 */

import { MalformedMessage, expect } from './message-rules.ts';

const DEPTH_MAX = 8;
/** One sentence for all of it: each more is weight, and no player can do anything about either. */
const UNREADABLE = 'not msgpack, or not as messages are';
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws MalformedMessage */
export function readMsgpack(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  /** Where the next so many bytes begin. */
  const skip = (length: number): number => {
    at += length;
    expect(at <= bytes.length, UNREADABLE);
    return at - length;
  };
  const unsigned = (width: number): number => {
    let value = 0;
    for (let from = skip(width); from < at; from++) value = value * 256 + bytes[from]!;
    return value;
  };
  const readText = (length: number): string => {
    try {
      return utf8.decode(bytes.subarray(skip(length), at));
    } catch (error) {
      throw new MalformedMessage(UNREADABLE, { cause: error });
    }
  };
  const list = (length: number, depth: number): unknown[] => {
    // Each element takes a byte at least, so that no length makes more than the message is.
    expect(length <= bytes.length - at, UNREADABLE);
    return Array.from({ length }, () => read(depth));
  };
  const map = (size: number, depth: number): Record<string, unknown> => {
    expect(size <= bytes.length - at, UNREADABLE);
    const entries: Record<string, unknown> = {};
    for (let left = size; left > 0; left--) {
      const key = read(DEPTH_MAX);
      expect(typeof key === 'string' && key !== '__proto__', UNREADABLE);
      entries[key] = read(depth);
    }
    return entries;
  };
  const read = (depth: number): unknown => {
    expect(depth <= DEPTH_MAX, UNREADABLE);
    const head = view.getUint8(skip(1));
    if (head < 0x80) return head;
    if (head < 0x90) return map(head & 15, depth + 1);
    if (head < 0xa0) return list(head & 15, depth + 1);
    if (head < 0xc0) return readText(head & 31);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return head === 0xc3;
      case 0xcb:
        return view.getFloat64(skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return unsigned(1 << (head - 0xcc));
      case 0xd0:
        return view.getInt8(skip(1));
      case 0xd1:
        return view.getInt16(skip(2));
      case 0xd2:
        return view.getInt32(skip(4));
      case 0xd3:
        return Number(view.getBigInt64(skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return readText(unsigned(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return list(unsigned(2 << (head - 0xdc)), depth + 1);
      case 0xde:
      case 0xdf:
        return map(unsigned(2 << (head - 0xde)), depth + 1);
    }
    throw new MalformedMessage(UNREADABLE);
  };

  const value = read(0);
  expect(at === bytes.length, UNREADABLE);
  return value;
}
