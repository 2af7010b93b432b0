/** The bytes of WebSocket as a client writes them by hand: its upgrade, and frames that a library would not send. */

import { randomBytes } from 'node:crypto';

export const OPCODES = { text: 1, binary: 2, close: 8, ping: 9 } as const;

/** A frame of a client, with a mask of zeros. */
export function frame(opcode: number, payload: Uint8Array, isFinal = true): Buffer {
  const { length } = payload;
  const size = length < 126 ? [0x80 | length] : length < 65_536 ? [0x80 | 126, length >> 8, length & 0xff] : [0x80 | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Uint8Array.of((isFinal ? 0x80 : 0) | opcode, ...size, 0, 0, 0, 0), payload]);
}

/** `headers` are whole lines, and stand before all others. */
export function upgradeHead(path: string, subprotocols: readonly string[], headers = ''): string {
  const offered = subprotocols.length === 0 ? '' : `sec-websocket-protocol: ${subprotocols.join(', ')}\r\n`;
  const key = randomBytes(16).toString('base64');
  return `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n${offered}\r\n`;
}
