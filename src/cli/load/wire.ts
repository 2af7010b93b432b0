/** How messages travel: the codecs of the two subprotocols, and a cheap look at what is a frame. */

import { decodeServerJson, encodeClientJson } from '../../protocol/json-codec.ts';
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type ClientMessage, type ServerMessage } from '../../protocol/messages.ts';
import { decodeServerMsgpack, encodeClientMsgpack } from '../../protocol/msgpack-codec.ts';

export interface Wire {
  readonly subprotocol: string;
  encode(message: ClientMessage): string | Uint8Array;
  /** @throws MalformedMessage */
  decode(bytes: Buffer): ServerMessage;
  /**
   * True for a frame, told by its first bytes alone: thousands of viewers receive the same frames and
   * none of them needs the contents. May answer false for a frame, never true for anything else.
   */
  isFrame(bytes: Buffer): boolean;
}

const JSON_FRAME = Buffer.from('{"type":"frame"');
const MSGPACK_FRAME = 5;

export const WIRES = {
  json: {
    subprotocol: SUBPROTOCOL_JSON,
    encode: encodeClientJson,
    decode: (bytes) => decodeServerJson(bytes.toString()),
    isFrame: (bytes) => bytes.subarray(0, JSON_FRAME.length).equals(JSON_FRAME),
  },
  msgpack: {
    subprotocol: SUBPROTOCOL_MSGPACK,
    encode: encodeClientMsgpack,
    decode: decodeServerMsgpack,
    // A short array whose first element is the type.
    isFrame: (bytes) => (bytes[0]! & 0xf0) === 0x90 && bytes[1] === MSGPACK_FRAME,
  },
} as const satisfies Record<string, Wire>;

export type Encoding = keyof typeof WIRES;
export const ENCODINGS = Object.keys(WIRES) as Encoding[];
