/**
 * A writer for the two msgpack messages that clients send: small, because every player loads it.
 *
 * It writes what `encodeClientMsgpack` writes, byte for byte, for messages that follow the rules.
 */

import type { ClientMessage } from './messages.ts';

type Field = string | number | undefined | readonly string[];

const FIXSTR = 0xa0;
const FIXARRAY = 0x90;
const TWO_32 = 0x1_0000_0000;

/** The bytes are the caller's own. */
export function writeClientMessage(message: ClientMessage): Uint8Array<ArrayBuffer> {
  const fields: Field[] =
    message.type === 'hello'
      ? [0, message.session_id, message.viewer_id, message.token, message.unacked_from]
      : [1, message.seq, message.timestamp];
  if (message.type === 'batch') {
    for (const { emoji_id, count } of message.reactions) fields.push(emoji_id, count);
    if (message.via !== undefined) fields.push(message.via);
  } else if (message.device_id !== undefined) fields.push(message.device_id);
  const bytes: number[] = [];
  writeList(bytes, fields);
  return Uint8Array.from(bytes);
}

function writeList(bytes: number[], fields: readonly Field[]): void {
  if (fields.length < 16) bytes.push(FIXARRAY + fields.length);
  else bytes.push(0xdc, 0, fields.length);
  for (const field of fields) {
    if (field === undefined) bytes.push(0xc0);
    else if (typeof field === 'number') writeWhole(bytes, field);
    else if (typeof field === 'string') writeText(bytes, field);
    else writeList(bytes, field);
  }
}

function writeWhole(bytes: number[], value: number): void {
  if (value < 0x80) bytes.push(value);
  else if (value < 0x100) bytes.push(0xcc, value);
  else if (value < 0x10000) bytes.push(0xcd, value >> 8, value & 255);
  else if (value < TWO_32) bytes.push(0xce, ...wordOf(value));
  else bytes.push(0xcf, ...wordOf(Math.floor(value / TWO_32)), ...wordOf(value % TWO_32));
}

function wordOf(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** All texts of these messages are visible ASCII, a byte a character. */
function writeText(bytes: number[], text: string): void {
  const { length } = text;
  if (length < 32) bytes.push(FIXSTR + length);
  else if (length < 0x100) bytes.push(0xd9, length);
  else bytes.push(0xda, length >> 8, length & 255);
  for (let index = 0; index < length; index++) bytes.push(text.charCodeAt(index));
}
