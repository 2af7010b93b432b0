/**
 * The codec of `ovation.v1.msgpack`: each message is one positional msgpack array in a binary frame,
 * its first element the type. `docs/PROTOCOL.md` has the table of positions.
 *
 * Client messages have exactly the documented number of elements. Server messages may gain elements
 * at the end; clients pass over them.
 */

import { Decoder, Encoder } from '@msgpack/msgpack';
import { LEVELS_IN_ORDER, MalformedMessage, batchOf, expect, helloOf } from './message-rules.ts';
import { REACTIONS_PER_BATCH_MAX, type BatchMessage, type ClientMessage, type FrameMessage, type ServerMessage } from './messages.ts';
import { readBatch } from './msgpack-batch.ts';
import { FIELDS_PER_EMOJI, RATE_UNITS, TYPE, serverMessageOfFields } from './msgpack-fields.ts';

/** The last one, the device, may be left out. */
const HELLO_FIELDS = 6;
const BATCH_HEAD_FIELDS = 3;
const EMOJI_PER_FRAME_MAX = 1024;

const encoder = new Encoder();
const clientDecoder = new Decoder({
  maxStrLength: 4096,
  maxBinLength: 0,
  maxArrayLength: BATCH_HEAD_FIELDS + 2 * REACTIONS_PER_BATCH_MAX + 1,
  maxMapLength: 0,
  maxExtLength: 0,
});
const serverDecoder = new Decoder({
  maxStrLength: 4096,
  maxBinLength: 0,
  maxArrayLength: FIELDS_PER_EMOJI * EMOJI_PER_FRAME_MAX,
  maxMapLength: EMOJI_PER_FRAME_MAX,
  maxExtLength: 0,
});

/** The bytes are the caller's own. */
export function encodeClientMsgpack(message: ClientMessage): Uint8Array {
  return encoder.encode(clientFields(message));
}

/** The bytes are the caller's own. */
export function encodeServerMsgpack(message: ServerMessage): Uint8Array {
  return encoder.encode(serverFields(message));
}

/** @throws MalformedMessage */
export function decodeClientMsgpack(bytes: Uint8Array): ClientMessage {
  // The usual batch is read by a reader for just that shape; everything else, errors too, below.
  return readBatch(bytes) ?? decodeClientSlowly(bytes);
}

/** What `decodeClientMsgpack` does without its fast path. @throws MalformedMessage */
export function decodeClientSlowly(bytes: Uint8Array): ClientMessage {
  const fields = decodeArray(clientDecoder, bytes);
  switch (fields[0]) {
    case TYPE.batch:
      return batchOfFields(fields);
    case TYPE.hello:
      expect(fields.length === HELLO_FIELDS || fields.length === HELLO_FIELDS - 1, `a hello has ${HELLO_FIELDS - 1} or ${HELLO_FIELDS} elements`);
      return helloOf(fields[1], fields[2], fields[3] ?? undefined, fields[4] ?? undefined, fields[5]);
    default:
      throw new MalformedMessage(`the first element must be ${TYPE.hello} (hello) or ${TYPE.batch} (batch)`);
  }
}

/** @throws MalformedMessage */
export function decodeServerMsgpack(bytes: Uint8Array): ServerMessage {
  return serverMessageOfFields(decodeArray(serverDecoder, bytes));
}

function clientFields(message: ClientMessage): unknown[] {
  if (message.type === 'hello') {
    const { session_id, viewer_id, token = null, unacked_from = null, device_id } = message;
    return [TYPE.hello, session_id, viewer_id, token, unacked_from, ...(device_id === undefined ? [] : [device_id])];
  }
  const fields: unknown[] = [TYPE.batch, message.seq, message.timestamp];
  for (const { emoji_id, count } of message.reactions) fields.push(emoji_id, count);
  if (message.via !== undefined) fields.push(message.via);
  return fields;
}

/** Pairs follow the head, so that one element more can only be `via`. */
function batchOfFields(fields: readonly unknown[]): BatchMessage {
  const hasVia = Array.isArray(fields.at(-1));
  return batchOf(fields[1], fields[2], pairsOf(hasVia ? fields.slice(0, -1) : fields), hasVia ? fields.at(-1) : undefined);
}

function serverFields(message: ServerMessage): unknown[] {
  switch (message.type) {
    case 'ack':
      return [TYPE.ack, message.seq, message.accepted, message.clamped, message.duplicate];
    case 'frame':
      return frameFields(message);
    case 'welcome':
      return [TYPE.welcome, message.region, message.palette, message.batch_ms, message.frame_ms, message.totals];
    case 'error': {
      const { seq, code, message: text, temporary, retry_after_ms } = message;
      return [TYPE.error, seq, code, text, temporary, retry_after_ms ?? null];
    }
    case 'pace':
      return [TYPE.pace, message.batch_ms, LEVELS_IN_ORDER.indexOf(message.level), ...(message.palette === undefined ? [] : [message.palette])];
    case 'goaway':
      return [TYPE.goaway, message.retry_after_ms];
  }
}

function frameFields(frame: FrameMessage): unknown[] {
  const entries: (string | number)[] = [];
  for (const [emoji, total] of Object.entries(frame.totals)) {
    entries.push(emoji, total, Math.round(own(frame.rates, emoji) * RATE_UNITS), own(frame.hints, emoji));
  }
  const level = LEVELS_IN_ORDER.indexOf(frame.level);
  const fields = [TYPE.frame, frame.region, frame.at, level, frame.viewers, entries, frame.staleness];
  return frame.corrected === undefined ? fields : [...fields, frame.corrected];
}

/** An emoji may be called `constructor`, which every object inherits. */
function own(numbers: Readonly<Record<string, number>>, emoji: string): number {
  return Object.hasOwn(numbers, emoji) ? numbers[emoji]! : 0;
}

function pairsOf(fields: readonly unknown[]): { emoji_id: unknown; count: unknown }[] {
  expect((fields.length - BATCH_HEAD_FIELDS) % 2 === 0, 'a batch ends in pairs of emoji and count');
  const pairs: { emoji_id: unknown; count: unknown }[] = [];
  for (let index = BATCH_HEAD_FIELDS; index < fields.length; index += 2) {
    pairs.push({ emoji_id: fields[index], count: fields[index + 1] });
  }
  return pairs;
}

function decodeArray(decoder: Decoder, bytes: Uint8Array): readonly unknown[] {
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch (error) {
    throw new MalformedMessage('not msgpack, or larger than any message', { cause: error });
  }
  expect(Array.isArray(value), 'a message is a msgpack array');
  return value as unknown[];
}
