/**
 * An edge with all its surfaces, and what each of them answers to some bytes, in a word: an HTTP status, a close code, or `goes on`
 * when what is good is answered that comes behind.
 */

import type { StreamId } from '../../crdt/ids.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { createControlPlane, type ControlPlane } from '../../src/moderation/control-plane.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { isAnswer, questionMessage, updateMessage } from '../../src/moderation/sync-protocol.ts';
import { CONTROL_SUBPROTOCOL } from '../../src/protocol/control.ts';
import { decodeServerJson } from '../../src/protocol/json-codec.ts';
import { decodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';
import { createAdminServer } from '../../src/observability/admin-server.ts';
import { createHealth } from '../../src/observability/health.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { BareConnection } from '../hostile/bare-connection.ts';
import { hostileMsgpack } from '../hostile/mutations.ts';
import { OPCODES, frame, upgradeHead } from '../hostile/websocket-bytes.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

export const ENCODINGS = ['json', 'msgpack'] as const;
export type Encoding = (typeof ENCODINGS)[number];
export type Bytes = string | Uint8Array;

export interface Surfaces {
  readonly region: FakeRegion;
  readonly plane: ControlPlane;
  readonly port: number;
  readonly adminPort: number;
  /** What was counted beside the good batches that are sent behind the bad. */
  bad(): readonly object[];
  /** One that nobody has written about. */
  freshStream(): StreamId;
  stop(): Promise<void>;
}

export async function startSurfaces(): Promise<Surfaces> {
  const region = new FakeRegion();
  const plane = createControlPlane({ base: DEFAULT_BASE, clock: realRuntime.clock, log: region.log, publish() {} });
  const none = (): Promise<[]> => Promise.resolve([]);
  const { edge, port } = await startEdge(region, { policyOf: plane.policyOf, control: { plane, changes: none }, history: none, stored: none });
  const admin = createAdminServer({ host: '127.0.0.1', port: 0, health: createHealth(), metrics: createMetrics({ region: 'us', version: '1.2.3' }) });
  const { port: adminPort } = await admin.listen();
  let streams = 0;
  return {
    region,
    plane,
    port,
    adminPort,
    bad: () => region.batches.filter(({ sequence }) => sequence !== LAST_SEQ),
    freshStream: () => `gala-${streams++}` as StreamId,
    async stop() {
      await admin.stop();
      await edge.stop({ graceMs: 500 });
    },
  };
}

export const GOOD_REACTION = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 3, timestamp: 1_795_342_812_345, session_id: 's1', seq: 1 };
type Field = keyof typeof GOOD_REACTION | 'device_id' | 'via';

/** A good reaction but for one field; in JSON `value` is the field's text. */
export function reaction(encoding: Encoding, field: Field, value: unknown): Bytes {
  if (encoding === 'msgpack') return hostileMsgpack({ ...GOOD_REACTION, [field]: value });
  const fields = Object.keys({ ...GOOD_REACTION, [field]: 0 });
  return `{${fields.map((key) => `"${key}":${key === field ? String(value) : JSON.stringify(GOOD_REACTION[key as keyof typeof GOOD_REACTION])}`).join(',')}}`;
}

/** The sequence of a good batch that is sent behind what is bad. */
const LAST_SEQ = 999;
const PATIENCE_MS = 30_000;

const GOOD: Readonly<Record<Encoding, { readonly hello: Bytes; readonly last: Bytes }>> = {
  json: {
    hello: '{"type":"hello","session_id":"s1","viewer_id":"ann"}',
    last: `{"type":"batch","seq":${LAST_SEQ},"reactions":[{"emoji_id":"heart","count":1}],"timestamp":1}`,
  },
  msgpack: { hello: hostileMsgpack([0, 's1', 'ann', null, null]), last: hostileMsgpack([1, LAST_SEQ, 1, 'heart', 1]) },
};

export function messageFrame(encoding: Encoding, message: Bytes): Buffer {
  return frame(encoding === 'json' ? OPCODES.text : OPCODES.binary, Buffer.from(message as string));
}

export async function answerToPost(port: number, encoding: Encoding, body: Bytes, headers = ''): Promise<string> {
  const bytes = Buffer.from(body as string);
  const head = `POST /reactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/${encoding}\r\n${headers}content-length: ${bytes.length}\r\n\r\n`;
  return answerToBytes(port, Buffer.concat([Buffer.from(head), bytes]));
}

/** Of whatever is written instead of a request, or as one. */
export async function answerToBytes(port: number, bytes: Bytes): Promise<string> {
  const connection = await BareConnection.open(port);
  connection.write(bytes);
  const { status } = await connection.answer(PATIENCE_MS);
  connection.close();
  return String(status);
}

/** `frames` come after a good hello, or another first message. */
export function answerToViewer(port: number, encoding: Encoding, frames: Uint8Array, hello: Bytes = GOOD[encoding].hello): Promise<string> {
  const decode = (payload: Buffer) => (encoding === 'json' ? decodeServerJson(payload.toString()) : decodeServerMsgpack(payload));
  const bytes = Buffer.concat([messageFrame(encoding, hello), frames, messageFrame(encoding, GOOD[encoding].last)]);
  return answerToSocket(port, upgradeHead('/streams/derby/reactions', [`ovation.v1.${encoding}`]), bytes, (payload) => {
    const message = decode(payload);
    return message.type === 'ack' && message.seq === LAST_SEQ;
  });
}

export function answerToModerator(port: number, document: string, frames: Uint8Array): Promise<string> {
  const question = frame(OPCODES.binary, questionMessage(Uint8Array.of(0)));
  return answerToSocket(port, upgradeHead(`/control/${document}`, [CONTROL_SUBPROTOCOL]), Buffer.concat([frames, question]), isAnswer);
}

export function answerToUpdate(port: number, stream: string, update: Uint8Array): Promise<string> {
  return answerToModerator(port, `stream.${stream}`, messageFrame('msgpack', updateMessage(update)));
}

/** `isLast` tells the answer to what is good, and was sent last. */
export async function answerToSocket(port: number, upgrade: Bytes, bytes: Uint8Array = Buffer.alloc(0), isLast: (payload: Buffer) => boolean = () => false): Promise<string> {
  const connection = await BareConnection.open(port);
  connection.write(upgrade);
  const { status } = await connection.answer(PATIENCE_MS);
  if (status !== 101) {
    connection.close();
    return String(status);
  }
  connection.write(bytes);
  const ending = await connection.ending(PATIENCE_MS, isLast);
  connection.close();
  return ending === 'heard' ? 'goes on' : ending;
}
