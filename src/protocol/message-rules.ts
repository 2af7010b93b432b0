/**
 * The rules that every message keeps, whatever its encoding. Both codecs end here, so that a client
 * cannot say in one encoding what it may not say in the other.
 */

import { isId } from '../../crdt/ids.ts';
import {
  REACTIONS_PER_BATCH_MAX,
  TAPS_PER_REACTION_MAX,
  VIA_MAX,
  type BatchMessage,
  type FrameMessage,
  type Hello,
} from './messages.ts';

/** A message that cannot be read or breaks a rule. The text says which, in words for the sender. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
}

// Visible ASCII: ids of the usual token issuers fit, and no two spellings of one viewer look alike.
const VIEWER_ID = /^[\x21-\x7e]{1,128}$/;
const TOKEN = /^[\x21-\x7e]{1,3072}$/;
/** The last millisecond that a `Date` can hold. */
export const TIMESTAMP_MAX = 8.64e15;

export const LEVELS_IN_ORDER: readonly FrameMessage['level'][] = ['exact', 'relaxed', 'hearts', 'static'];

export function isViewerId(value: unknown): value is string {
  return typeof value === 'string' && VIEWER_ID.test(value);
}

export const isDeviceId = isViewerId;

export function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

export function isTapCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= TAPS_PER_REACTION_MAX;
}

/** Milliseconds since the epoch, fractions allowed. */
export function isTimestamp(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= TIMESTAMP_MAX && !Object.is(value, -0);
}

export function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** @throws MalformedMessage */
export function helloOf(session: unknown, viewer: unknown, token: unknown, unackedFrom: unknown, device: unknown): Hello {
  expect(isId(session), 'hello.session_id must match [A-Za-z0-9_-]{1,64}');
  expect(isViewerId(viewer), 'hello.viewer_id must be 1 to 128 visible ASCII characters');
  expect(token === undefined || (isText(token) && TOKEN.test(token)), 'hello.token must be a token as it was issued');
  expect(unackedFrom === undefined || isSequence(unackedFrom), 'hello.unacked_from must be a whole number from 1');
  expect(device === undefined || isDeviceId(device), 'hello.device_id must be 1 to 128 visible ASCII characters');
  return {
    type: 'hello',
    session_id: session,
    viewer_id: viewer,
    ...(token === undefined ? {} : { token }),
    ...(unackedFrom === undefined ? {} : { unacked_from: unackedFrom }),
    ...(device === undefined ? {} : { device_id: device }),
  };
}

/**
 * A batch of already collected reactions.
 * @throws MalformedMessage
 */
export function batchOf(
  seq: unknown,
  timestamp: unknown,
  reactions: readonly { readonly emoji_id: unknown; readonly count: unknown }[],
  via?: unknown,
): BatchMessage {
  expect(isSequence(seq), 'batch.seq must be a whole number from 1 to 2^53 − 1');
  expect(isTimestamp(timestamp), 'batch.timestamp must be milliseconds since the epoch');
  expect(
    reactions.length >= 1 && reactions.length <= REACTIONS_PER_BATCH_MAX,
    `batch.reactions must name 1 to ${REACTIONS_PER_BATCH_MAX} emoji`,
  );
  const seen = new Set<unknown>();
  for (const { emoji_id, count } of reactions) {
    expect(isId(emoji_id), 'emoji_id must match [A-Za-z0-9_-]{1,64}');
    expect(isTapCount(count), `count must be a whole number from 1 to ${TAPS_PER_REACTION_MAX}`);
    expect(!seen.has(emoji_id), `batch.reactions names ${emoji_id} twice`);
    seen.add(emoji_id);
  }
  const batch: BatchMessage = { type: 'batch', seq, reactions: reactions as BatchMessage['reactions'], timestamp };
  if (via === undefined) return batch;
  expect(isVia(via), `batch.via must name 1 to ${VIA_MAX} regions, none twice in a row`);
  return { ...batch, via };
}

/** Regions that a batch may have been sent to before. */
export function isVia(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > VIA_MAX) return false;
  return value.every((region, index) => isId(region) && region !== value[index - 1]);
}

/** @throws MalformedMessage with the sentence given */
export function expect(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new MalformedMessage(otherwise);
}

/**
 * A record with ids as keys, checked value by value. `unknown` becomes typed without a copy.
 * @throws MalformedMessage
 */
export function recordOf<Value>(
  value: unknown,
  isValue: (value: unknown) => value is Value,
  where: string,
): Readonly<Record<string, Value>> {
  expect(typeof value === 'object' && value !== null && !Array.isArray(value), `${where} must be a map`);
  for (const [key, entry] of Object.entries(value)) {
    expect(isId(key) && isValue(entry), `${where} has an entry that is not allowed`);
  }
  return value as Record<string, Value>;
}
