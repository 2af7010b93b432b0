/**
 * The codec of `ovation.v1.json`: each message is one JSON object in a text frame.
 *
 * Client messages are read strictly: an unknown field is an error, because a misspelt `seq` must not
 * turn into a batch that counts twice. Server messages may gain fields; clients pass over them.
 */

import {
  LEVELS_IN_ORDER,
  MalformedMessage,
  batchOf,
  expect,
  helloOf,
  isCount,
  isSequence,
  isText,
  isTimestamp,
  recordOf,
} from './message-rules.ts';
import type { ClientMessage, ServerMessage } from './messages.ts';

export function encodeClientJson(message: ClientMessage): string {
  return JSON.stringify(message);
}

export function encodeServerJson(message: ServerMessage): string {
  return JSON.stringify(message);
}

/** @throws MalformedMessage */
export function decodeClientJson(text: string): ClientMessage {
  const fields = parseObject(text);
  switch (fields['type']) {
    case 'batch':
      onlyFields(fields, ['type', 'seq', 'reactions', 'timestamp']);
      return batchOf(fields['seq'], fields['timestamp'], reactionsOf(fields['reactions']));
    case 'hello':
      onlyFields(fields, ['type', 'session_id', 'viewer_id', 'token', 'unacked_from']);
      return helloOf(fields['session_id'], fields['viewer_id'], fields['token'], fields['unacked_from']);
    default:
      throw new MalformedMessage('type must be "hello" or "batch"');
  }
}

/** @throws MalformedMessage */
export function decodeServerJson(text: string): ServerMessage {
  return serverMessageOf(parseObject(text));
}

/**
 * A server message from its fields by name; also the second half of the msgpack codec.
 * @throws MalformedMessage
 */
export function serverMessageOf(fields: Readonly<Record<string, unknown>>): ServerMessage {
  const read = SERVER_MESSAGES[fields['type'] as ServerMessage['type']];
  expect(Object.hasOwn(SERVER_MESSAGES, String(fields['type'])), 'an unknown type of message');
  return read(fields);
}

type Fields = Readonly<Record<string, unknown>>;

const SERVER_MESSAGES: { readonly [type in ServerMessage['type']]: (fields: Fields) => ServerMessage } = {
  welcome: (fields) => ({
    type: 'welcome',
    region: field(fields, 'region', isText),
    palette: recordOf(fields['palette'], isText, 'palette'),
    batch_ms: field(fields, 'batch_ms', isCount),
    frame_ms: field(fields, 'frame_ms', isCount),
    totals: recordOf(fields['totals'], isWhole, 'totals'),
  }),
  ack: (fields) => ({
    type: 'ack',
    seq: field(fields, 'seq', isSequence),
    accepted: field(fields, 'accepted', isCount),
    clamped: field(fields, 'clamped', isCount),
    duplicate: field(fields, 'duplicate', isFlag),
  }),
  error: (fields) => ({
    type: 'error',
    seq: field(fields, 'seq', isCount),
    code: field(fields, 'code', isText),
    message: field(fields, 'message', isText),
    temporary: field(fields, 'temporary', isFlag),
    ...(fields['retry_after_ms'] === undefined ? {} : { retry_after_ms: field(fields, 'retry_after_ms', isCount) }),
  }),
  frame: (fields) => ({
    type: 'frame',
    region: field(fields, 'region', isText),
    at: field(fields, 'at', isTimestamp),
    level: field(fields, 'level', isLevel),
    totals: recordOf(fields['totals'], isWhole, 'totals'),
    rates: recordOf(fields['rates'], isRate, 'rates'),
    hints: recordOf(fields['hints'], isCount, 'hints'),
    viewers: field(fields, 'viewers', isCount),
    staleness: recordOf(fields['staleness'], isAge, 'staleness'),
  }),
  pace: (fields) => ({
    type: 'pace',
    batch_ms: field(fields, 'batch_ms', isCount),
    level: field(fields, 'level', isLevel),
  }),
  goaway: (fields) => ({ type: 'goaway', retry_after_ms: field(fields, 'retry_after_ms', isCount) }),
};

function field<Value>(fields: Fields, name: string, accepts: (value: unknown) => value is Value): Value {
  const value = fields[name];
  expect(accepts(value), `${name} is missing or wrong`);
  return value as Value;
}

function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isLevel(value: unknown): value is (typeof LEVELS_IN_ORDER)[number] {
  return (LEVELS_IN_ORDER as readonly unknown[]).includes(value);
}

/** A net total can be below zero for a moment, when a correction overtakes what it corrects. */
function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

function isRate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < Infinity && !Object.is(value, -0);
}

function isAge(value: unknown): value is number | null {
  return value === null || isCount(value);
}

function parseObject(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new MalformedMessage('not JSON', { cause: error });
  }
  expect(typeof value === 'object' && value !== null && !Array.isArray(value), 'a message is a JSON object');
  return value as Fields;
}

function reactionsOf(value: unknown): { readonly emoji_id: unknown; readonly count: unknown }[] {
  expect(Array.isArray(value), 'batch.reactions must be a list');
  for (const reaction of value as unknown[]) {
    expect(typeof reaction === 'object' && reaction !== null, 'a reaction is {emoji_id, count}');
    onlyFields(reaction as Fields, ['emoji_id', 'count']);
  }
  return value as { emoji_id: unknown; count: unknown }[];
}

function onlyFields(fields: Fields, names: readonly string[]): void {
  for (const name of Object.keys(fields)) expect(names.includes(name), `the field ${JSON.stringify(name)} is unknown`);
}
