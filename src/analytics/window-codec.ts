/**
 * Windows as bytes, many to a message, as they wait in a durable queue.
 *
 * One version byte, then a msgpack array of records, each
 * `[stream, actor, windowStart, viewers, emoji, increments, decrements, emoji, …]`. Decoding is strict:
 * anything unexpected is a `MalformedWindows` and nothing of the message is used.
 */

import { Decoder, Encoder } from '@msgpack/msgpack';
import { parseActorId, type ActorId } from '../../crdt/actor.ts';
import { isCount } from '../../crdt/counts.ts';
import { isId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import { WINDOW_MS, type WindowRecord } from './window-record.ts';

export const WINDOWS_VERSION = 1;
/** Half of what NATS takes in a message by default. */
export const WINDOWS_BYTES_MAX = 512 * 1024;

/** Bytes that are no windows: written by a newer build, or corrupt. */
export class MalformedWindows extends Error {
  override readonly name = 'MalformedWindows';
}

const HEAD_FIELDS = 4;
const ENTRY_FIELDS = 3;
const ENTRIES_MAX = 1024;
const ACTOR_LENGTH_MAX = 128;
const RECORDS_PER_MESSAGE_MAX = 4096;
/** What msgpack adds at most: to a text its head, and all of a number. */
const TEXT_HEAD_BYTES_MAX = 2;
const NUMBER_BYTES_MAX = 9;

const encoder = new Encoder();
const decoder = new Decoder({
  maxStrLength: ACTOR_LENGTH_MAX,
  maxBinLength: 0,
  maxArrayLength: Math.max(RECORDS_PER_MESSAGE_MAX, HEAD_FIELDS + ENTRY_FIELDS * ENTRIES_MAX),
  maxMapLength: 0,
  maxExtLength: 0,
});

/** As few messages as hold the records, each shorter than `WINDOWS_BYTES_MAX`. */
export function encodeWindows(records: readonly WindowRecord[]): Uint8Array[] {
  const messages: Uint8Array[] = [];
  let fields: (string | number)[][] = [];
  let bytesMax = 0;
  for (const record of records) {
    const recordBytesMax = bytesAtMost(record);
    if (fields.length === RECORDS_PER_MESSAGE_MAX || (fields.length > 0 && bytesMax + recordBytesMax > WINDOWS_BYTES_MAX)) {
      messages.push(encodeMessage(fields));
      fields = [];
      bytesMax = 0;
    }
    fields.push(fieldsOf(record));
    bytesMax += recordBytesMax;
  }
  if (fields.length > 0) messages.push(encodeMessage(fields));
  return messages;
}

/** @throws MalformedWindows */
export function decodeWindows(bytes: Uint8Array): WindowRecord[] {
  if (bytes.length > WINDOWS_BYTES_MAX) throw new MalformedWindows(`a message of ${bytes.length} bytes`);
  if (bytes[0] !== WINDOWS_VERSION) throw new MalformedWindows(`version ${bytes[0]}; this build reads ${WINDOWS_VERSION}`);
  const records = decodeMessage(bytes);
  if (!Array.isArray(records)) throw new MalformedWindows('not an array of records');
  return records.map(recordOf);
}

function encodeMessage(fields: readonly (string | number)[][]): Uint8Array {
  const body = encoder.encodeSharedRef(fields);
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = WINDOWS_VERSION;
  bytes.set(body, 1);
  return bytes;
}

function decodeMessage(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes.subarray(1));
  } catch (error) {
    throw new MalformedWindows('not msgpack', { cause: error });
  }
}

/** Ids are ASCII: a character is a byte. */
function bytesAtMost({ stream, actor, entries }: WindowRecord): number {
  let bytes = stream.length + actor.length + HEAD_FIELDS * NUMBER_BYTES_MAX;
  for (const { emoji } of entries) bytes += emoji.length + TEXT_HEAD_BYTES_MAX + 2 * NUMBER_BYTES_MAX;
  return bytes;
}

function fieldsOf({ stream, actor, windowStart, viewers, entries }: WindowRecord): (string | number)[] {
  const fields: (string | number)[] = [stream, actor, windowStart, viewers];
  for (const { emoji, increments, decrements } of entries) fields.push(emoji, increments, decrements);
  return fields;
}

function recordOf(fields: unknown): WindowRecord {
  if (!Array.isArray(fields) || fields.length < HEAD_FIELDS || (fields.length - HEAD_FIELDS) % ENTRY_FIELDS !== 0) {
    throw new MalformedWindows('not a record');
  }
  const [stream, actor, windowStart, viewers] = fields as unknown[];
  if (!isId(stream)) throw new MalformedWindows('no stream id');
  if (!isCount(windowStart) || windowStart % WINDOW_MS !== 0) throw new MalformedWindows('no window start');
  if (!isCount(viewers)) throw new MalformedWindows('no count of viewers');
  const entries: WindowRecord['entries'][number][] = [];
  for (let index = HEAD_FIELDS; index < fields.length; index += ENTRY_FIELDS) {
    const emoji: unknown = fields[index];
    const increments: unknown = fields[index + 1];
    const decrements: unknown = fields[index + 2];
    if (!isId(emoji) || !isCount(increments) || !isCount(decrements)) throw new MalformedWindows('not an entry');
    entries.push({ emoji: emoji as EmojiId, increments, decrements });
  }
  return { stream: stream as StreamId, actor: actorOf(actor), windowStart, viewers, entries };
}

function actorOf(text: unknown): ActorId {
  try {
    parseActorId(text);
    return text as ActorId;
  } catch (error) {
    throw new MalformedWindows('no actor', { cause: error });
  }
}
