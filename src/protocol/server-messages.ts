/** Messages of a server from their fields by name, whichever encoding they came in. Fields may be added; they are passed over. */

import { isCount } from '../../crdt/counts.ts';
import { LEVELS_IN_ORDER, expect, isSequence, isText, isTimestamp, recordOf } from './message-rules.ts';
import type { ServerMessage } from './messages.ts';

/**
 * A server message from its fields by name.
 * @throws MalformedMessage
 */
export function serverMessageOf(fields: Readonly<Record<string, unknown>>): ServerMessage {
  const read = SERVER_MESSAGES[fields['type'] as ServerMessage['type']];
  expect(Object.hasOwn(SERVER_MESSAGES, String(fields['type'])), 'an unknown type of message');
  return read(fields);
}

export type Fields = Readonly<Record<string, unknown>>;

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
    ...(fields['corrected'] === undefined ? {} : { corrected: field(fields, 'corrected', isCount) }),
  }),
  pace: (fields) => ({
    type: 'pace',
    batch_ms: field(fields, 'batch_ms', isCount),
    level: field(fields, 'level', isLevel),
    ...(fields['palette'] === undefined ? {} : { palette: recordOf(fields['palette'], isText, 'palette') }),
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
