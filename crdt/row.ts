/**
 * The row: one actor's entries for one stream, whole and absolute. The unit that is replicated.
 *
 * Wire format: one version byte, then a msgpack array
 * `[sequence, emoji, increments, decrements, emoji, increments, decrements, …]`.
 * Stream and actor are not repeated in it: they are the key under which the row travels. Absolute
 * values make a lost, doubled or reordered row harmless: the next version repairs it.
 */

import { Encoder } from '@msgpack/msgpack';
import type { ActorId } from './actor.ts';
import type { EmojiId, StreamId } from './ids.ts';
import { RowReader } from './row-reader.ts';

export interface RowEntry {
  readonly emoji: EmojiId;
  readonly increments: number;
  readonly decrements: number;
}

export interface Row {
  readonly stream: StreamId;
  readonly actor: ActorId;
  /** The actor's commit that last changed this row; a positive integer. */
  readonly sequence: number;
  readonly entries: readonly RowEntry[];
}

export const ROW_VERSION = 1;
/** Longer rows are refused: 1,024 emoji are far beyond any palette. */
export const ROW_ENTRIES_MAX = 1024;
export const ROW_BYTES_MAX = 128 * 1024;

/** Bytes that are no row. Nothing was merged; the sender is at fault or the log is corrupt. */
export class MalformedRow extends Error {
  override readonly name = 'MalformedRow';
}

const FIELDS_PER_ENTRY = 3;
const FIELDS_MAX = 1 + ROW_ENTRIES_MAX * FIELDS_PER_ENTRY;
const encoder = new Encoder();
const reader = new RowReader();

export function encodeRow(row: Row): Uint8Array {
  const fields: (number | string)[] = [row.sequence];
  for (const { emoji, increments, decrements } of row.entries) fields.push(emoji, increments, decrements);
  const body = encoder.encodeSharedRef(fields);
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = ROW_VERSION;
  bytes.set(body, 1);
  return bytes;
}

/** @throws MalformedRow */
export function decodeRow(stream: StreamId, actor: ActorId, bytes: Uint8Array): Row {
  if (bytes.length > ROW_BYTES_MAX) throw new MalformedRow(`a row of ${bytes.length} bytes`);
  if (bytes[0] !== ROW_VERSION) throw new MalformedRow(`row version ${bytes[0]}; this build reads ${ROW_VERSION}`);
  reader.start(bytes, 1);
  const length = reader.arrayLength();
  if (length % FIELDS_PER_ENTRY !== 1 || length > FIELDS_MAX) throw new MalformedRow('not an array of entries');
  const sequence = reader.count();
  if (sequence < 1) throw new MalformedRow('the sequence is no positive integer');
  const entries: RowEntry[] = [];
  for (let index = 1; index < length; index += FIELDS_PER_ENTRY) {
    const emoji = reader.id() as EmojiId | undefined;
    const increments = reader.count();
    const decrements = reader.count();
    if (emoji === undefined || increments < 0 || decrements < 0) throw new MalformedRow('not an entry');
    entries.push({ emoji, increments, decrements });
  }
  if (!reader.done) throw new MalformedRow('bytes after the row');
  return { stream, actor, sequence, entries };
}
