/**
 * How deep msgpack goes, told from its headers alone: a decoder without a limit makes an object for every level, and 64 KiB of lists in
 * each other keep the event loop busy for longer than all posts of a turn. Pure.
 */

/**
 * Whether containers stand in each other more than `depthMax` deep. Bytes that end too early, or are no msgpack, are not judged: the
 * decoder says what is wrong with them.
 */
export function isDeeperThan(depthMax: number, bytes: Uint8Array): boolean {
  /** Values that are still to come, of each container that is open. */
  const open: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const head = bytes[at]!;
    const { size, values } = headerAt(bytes, at, head);
    at += size;
    if (open.length > 0) open[open.length - 1]! -= 1;
    if (values > 0 && open.push(values) > depthMax) return true;
    while (open.at(-1) === 0) open.pop();
  }
  return false;
}

/** Bytes up to the next value, and how many values the container holds that begins here; 0 of what is none. */
function headerAt(bytes: Uint8Array, at: number, head: number): { readonly size: number; readonly values: number } {
  if (head < 0x80 || head >= 0xe0) return { size: 1, values: 0 };
  if (head < 0x90) return { size: 1, values: 2 * (head - 0x80) };
  if (head < 0xa0) return { size: 1, values: head - 0x90 };
  if (head < 0xc0) return { size: 1 + head - 0xa0, values: 0 };
  const { fixed, length = 0, perItem = 0 } = FORMATS[head - 0xc0]!;
  let counted = 0;
  for (let index = 1; index <= length; index++) counted = counted * 256 + (bytes[at + index] ?? 0);
  return { size: 1 + length + fixed + (perItem === 0 ? counted : 0), values: perItem * counted };
}

interface Format {
  /** Bytes of the value beside header and length. */
  readonly fixed: number;
  /** Bytes that say how long it is. */
  readonly length?: number;
  /** Values of each item of a container. */
  readonly perItem?: number;
}

/** What the first bytes 0xc0 to 0xdf mean (https://github.com/msgpack/msgpack/blob/master/spec.md). */
const FORMATS: readonly Format[] = [
  ...[0, 0, 0, 0].map((fixed) => ({ fixed })), // nil, unused, false, true
  ...[1, 2, 4].map((length) => ({ fixed: 0, length })), // bin
  ...[1, 2, 4].map((length) => ({ fixed: 1, length })), // ext
  ...[4, 8, 1, 2, 4, 8, 1, 2, 4, 8].map((fixed) => ({ fixed })), // float, uint, int
  ...[2, 3, 5, 9, 17].map((fixed) => ({ fixed })), // fixext
  ...[1, 2, 4].map((length) => ({ fixed: 0, length })), // str
  ...[2, 4].map((length) => ({ fixed: 0, length, perItem: 1 })), // array
  ...[2, 4].map((length) => ({ fixed: 0, length, perItem: 2 })), // map
];
