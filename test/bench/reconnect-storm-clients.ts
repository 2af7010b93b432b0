/**
 * Viewers of the reconnect-storm benchmark, in a process of their own, on bare sockets so that thousands cost little.
 *
 * Arguments: kind, sockets, ports of the endpoints in order. A `crowd` says hello and sends one batch at each region that welcomes
 * it, and goes to the next endpoint when its connection ends or is not welcomed in time, after the waits of the SDK: full jitter
 * below 0.5 s, then twice as long. The `control` group stays where it is, sends a batch four times a second and keeps the latencies
 * of the acknowledgements.
 */

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import type { BatchMessage, Hello } from '../../src/protocol/messages.ts';
import { encodeClientMsgpack } from '../../src/protocol/msgpack-codec.ts';

export type FromClients =
  /** All are welcomed and have their acknowledgement, at so many different endpoints since the start. */
  | { readonly kind: 'settled'; readonly endpoint: number; readonly refused: number; readonly attempts: number }
  | { readonly kind: 'latencies'; readonly ms: readonly number[]; readonly unanswered: number };

/** `latencies` asks for those since it was asked for last; after `storm` whose connection ends goes to the next endpoint. */
export type ToClients = 'latencies' | 'storm';

const [kind, countText, ...portTexts] = process.argv.slice(2) as ['crowd' | 'control', string, ...string[]];
const COUNT = Number(countText);
const PORTS = portTexts.map(Number);
const REGIONS = ['us', 'eu'];
const STREAM = 'derby';
const WAIT_MS_FIRST = 500;
const WAIT_MS_MAX = 20_000;
const WELCOME_MS_MAX = 8_000;
/** That come at the same time before the storm. */
const AT_ONCE = 50;
const BATCH_MS = 250;
const RUN = randomBytes(6).toString('hex');
const [WELCOME, ACK] = [2, 3];
const PING = 0x89;
/** Without content, with a mask of zeros. */
const PONG = Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0);

const settledAt = PORTS.map(() => 0);
const latencies: number[] = [];
const sentAt = new Map<string, number>();
let attempts = 0;
let refused = 0;
let isStorm = false;
let next = 0;

class Viewer {
  readonly #name: string;
  #endpoint = 0;
  #failures = 0;
  #socket: net.Socket | null = null;
  #sequence = 0;
  #isWelcome = false;

  constructor(index: number) {
    this.#name = `${kind}-${RUN}-${index}`;
  }

  connect(): void {
    attempts += 1;
    this.#isWelcome = false;
    const socket = net.connect({ port: PORTS[this.#endpoint]!, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    let bytes: Buffer = Buffer.alloc(0);
    let isUpgraded = false;
    socket.on('error', () => {});
    socket.on('connect', () => socket.write(this.#upgrade()));
    socket.on('data', (chunk) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      if (!isUpgraded) {
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) return;
        if (!bytes.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
          refused += 1;
          return void socket.destroy();
        }
        isUpgraded = true;
        bytes = bytes.subarray(end + 4);
      }
      bytes = this.#readMessages(bytes);
    });
    const cancel = setTimeout(() => this.#isWelcome || socket.destroy(), WELCOME_MS_MAX);
    socket.on('close', () => {
      clearTimeout(cancel);
      this.#lost();
    });
  }

  send(): void {
    if (!this.#isWelcome) return;
    this.#sequence += 1;
    sentAt.set(`${this.#name} ${this.#sequence}`, performance.now());
    this.#write({ type: 'batch', seq: this.#sequence, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: Date.now() });
  }

  #upgrade(): string {
    const key = randomBytes(16).toString('base64');
    return `GET /streams/${STREAM}/reactions HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\nsec-websocket-protocol: ovation.v1.msgpack\r\n\r\n`;
  }

  /** Answers what is left of them. */
  #readMessages(bytes: Buffer): Buffer {
    let at = 0;
    while (bytes.length - at >= 2) {
      const short = bytes[at + 1]! & 0x7f;
      const head = short < 126 ? 2 : 4;
      if (bytes.length - at < head) break;
      const length = short < 126 ? short : bytes.readUInt16BE(at + 2);
      if (bytes.length - at < head + length) break;
      // Who says nothing is pinged, and cut when no answer comes.
      if (bytes[at] === PING) this.#socket?.write(PONG);
      // Second byte of the array: its type; after it, in an acknowledgement, the sequence.
      else this.#onMessage(bytes[at + head + 1]!, bytes.subarray(at + head + 2, at + head + length));
      at += head + length;
    }
    return at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at);
  }

  #onMessage(type: number, rest: Buffer): void {
    if (type === WELCOME) {
      this.#isWelcome = true;
      this.#write({ type: 'hello', session_id: this.#name, viewer_id: this.#name });
      if (kind === 'control') return note(this.#endpoint);
      this.#sequence += 1;
      const via = REGIONS.slice(0, this.#endpoint);
      const batch = { type: 'batch', seq: this.#sequence, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: Date.now() } as const;
      this.#write(via.length === 0 ? batch : { ...batch, via });
    } else if (type === ACK && kind === 'crowd') {
      this.#failures = 0;
      note(this.#endpoint);
      if (!isStorm) viewers[next++]?.connect();
    } else if (type === ACK) {
      const key = `${this.#name} ${rest[0]! < 0x80 ? rest[0]! : rest[0] === 0xcc ? rest[1]! : rest.readUInt16BE(1)}`;
      latencies.push(performance.now() - sentAt.get(key)!);
      sentAt.delete(key);
    }
  }

  #lost(): void {
    const waitMs = Math.random() * Math.min(WAIT_MS_MAX, WAIT_MS_FIRST * 2 ** this.#failures);
    this.#failures += 1;
    if (isStorm) this.#endpoint = Math.min(this.#endpoint + 1, PORTS.length - 1);
    setTimeout(() => this.connect(), waitMs);
  }

  /** With a mask of zeros. */
  #write(message: Hello | BatchMessage): void {
    const payload = encodeClientMsgpack(message);
    const { length } = payload;
    const head = length < 126 ? [0x82, 0x80 | length] : [0x82, 0x80 | 126, length >> 8, length & 0xff];
    this.#socket?.write(Uint8Array.of(...head, 0, 0, 0, 0, ...payload));
  }
}

function note(endpoint: number): void {
  settledAt[endpoint]! += 1;
  if (settledAt[endpoint] === COUNT) process.send?.({ kind: 'settled', endpoint, refused, attempts } satisfies FromClients);
}

const viewers = Array.from({ length: COUNT }, (_, index) => new Viewer(index));
process.on('disconnect', () => process.exit());
process.on('message', (message: ToClients) => {
  if (message === 'storm') isStorm = true;
  else process.send?.({ kind: 'latencies', ms: latencies.splice(0), unanswered: sentAt.size } satisfies FromClients);
});
if (kind === 'control') {
  for (const viewer of viewers) viewer.connect();
  viewers.forEach((viewer, index) => setTimeout(() => setInterval(() => viewer.send(), BATCH_MS), (BATCH_MS * index) / COUNT));
} else {
  while (next < AT_ONCE) viewers[next++]!.connect();
}
