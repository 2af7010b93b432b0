/**
 * A reader for one shape of msgpack bytes: the batch that clients usually send.
 *
 * Decoding batches is the most frequent thing that a region does, and a general decoder spends most
 * of its time on generality. This reader knows the one shape, checks every bound, remembers the few
 * emoji ids that are in use, and answers null for whatever is unusual: the general path then decides
 * what it is. It accepts nothing that the general path refuses.
 */

import { isId } from '../../crdt/ids.ts';
import { isSequence, isTapCount, isTimestamp } from './message-rules.ts';
import type { BatchMessage } from './messages.ts';

const FIXARRAY = 0x90;
const FIXSTR = 0xa0;
const UINT8 = 0xcc;
const UINT16 = 0xcd;
const UINT32 = 0xce;
const UINT64 = 0xcf;
const BATCH_TYPE = 1;
const HEAD_FIELDS = 3;
const FIELDS_MAX = 15;

/** Where the next read starts. Module-wide because decoding is synchronous and the path is hot. */
let position = 0;

/** The batch, or null when the bytes are not a batch of the usual shape. */
export function readBatch(bytes: Uint8Array): BatchMessage | null {
  const fields = (bytes[0] ?? 0) - FIXARRAY;
  if (fields <= HEAD_FIELDS || fields > FIELDS_MAX || (fields & 1) === 0 || bytes[1] !== BATCH_TYPE) return null;
  position = 2;
  const seq = readUnsigned(bytes);
  const timestamp = readUnsigned(bytes);
  if (!isSequence(seq) || !isTimestamp(timestamp)) return null;
  const reactions: { emoji_id: string; count: number }[] = [];
  for (let pair = (fields - HEAD_FIELDS) >> 1; pair > 0; pair--) {
    const emoji = readShortId(bytes);
    const count = readUnsigned(bytes);
    if (emoji === null || !isTapCount(count)) return null;
    for (const reaction of reactions) if (reaction.emoji_id === emoji) return null;
    reactions.push({ emoji_id: emoji, count });
  }
  return position === bytes.length ? { type: 'batch', seq, reactions, timestamp } : null;
}

/** A non-negative integer of any width; −1 when the bytes are something else or end too early. */
function readUnsigned(bytes: Uint8Array): number {
  const head = bytes[position];
  if (head === undefined) return -1;
  position += 1;
  if (head < 0x80) return head;
  const width = head === UINT8 ? 1 : head === UINT16 ? 2 : head === UINT32 ? 4 : head === UINT64 ? 8 : 0;
  if (width === 0 || position + width > bytes.length) return -1;
  let value = 0;
  for (const end = position + width; position < end; position++) value = value * 256 + bytes[position]!;
  // Beyond 2^53 the sum was rounded, and both paths refuse it.
  return value;
}

interface KnownId {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Ids seen lately, by a hash of their bytes: a palette is small, so nearly every lookup hits. */
const knownIds: (KnownId | undefined)[] = /* @__PURE__ */ Array.from({ length: 256 });

/** An id of at most 31 bytes; null when the bytes are something else. */
function readShortId(bytes: Uint8Array): string | null {
  const length = (bytes[position] ?? 0) - FIXSTR;
  const start = position + 1;
  if (length < 1 || length > 31 || start + length > bytes.length) return null;
  position = start + length;
  const slot = (length * 31 + bytes[start]! * 7 + bytes[position - 1]! * 131 + bytes[start + (length >> 1)]! * 17) & 255;
  const known = knownIds[slot];
  if (known !== undefined && equals(known.bytes, bytes, start, length)) return known.text;
  const name = bytes.slice(start, position);
  const text = String.fromCharCode(...name);
  if (!isId(text)) return null;
  knownIds[slot] = { bytes: name, text };
  return text;
}

function equals(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let index = 0; index < length; index++) if (known[index] !== bytes[start + index]) return false;
  return true;
}
