/**
 * The codec of `ovation.v1.json`: each message is one JSON object in a text frame.
 *
 * Client messages are read strictly: an unknown field is an error, because a misspelt `seq` must not
 * turn into a batch that counts twice. Server messages may gain fields; clients pass over them.
 */

import { MalformedMessage, batchOf, expect, helloOf } from './message-rules.ts';
import type { ClientMessage, ServerMessage } from './messages.ts';
import { serverMessageOf, type Fields } from './server-messages.ts';

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
      onlyFields(fields, ['type', 'seq', 'reactions', 'timestamp', 'via']);
      return batchOf(fields['seq'], fields['timestamp'], reactionsOf(fields['reactions']), fields['via']);
    case 'hello':
      onlyFields(fields, ['type', 'session_id', 'viewer_id', 'token', 'unacked_from', 'device_id']);
      return helloOf(fields['session_id'], fields['viewer_id'], fields['token'], fields['unacked_from'], fields['device_id']);
    default:
      throw new MalformedMessage('type must be "hello" or "batch"');
  }
}

/** @throws MalformedMessage */
export function decodeServerJson(text: string): ServerMessage {
  return serverMessageOf(parseObject(text));
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
