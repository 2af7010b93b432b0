/**
 * The viewers of the edge-ingest benchmark, in a process of their own.
 *
 * Arguments: kind, port, sockets. Says 'ready' when all sockets are open; for each number that its parent
 * sends, every socket sends that many batches, one each 100 ms, so that every batch is a read of its own.
 */

import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { SUBPROTOCOL_MSGPACK } from '../../src/protocol/messages.ts';
import { encodeClientMsgpack } from '../../src/protocol/msgpack-codec.ts';

const INTERVAL_MS = 100;
const SLICES = 20;
const STREAMS = 100;
const [kind, portText, countText] = process.argv.slice(2) as [string, string, string];
const port = Number(portText);
let sequence = 0;

type Send = (payload: Uint8Array) => void;

async function openEdge(index: number): Promise<Send> {
  const url = `ws://127.0.0.1:${port}/streams/stream-${index % STREAMS}/reactions`;
  const socket = new WebSocket(url, SUBPROTOCOL_MSGPACK, { perMessageDeflate: false });
  socket.on('message', () => {});
  await once(socket, 'open');
  const id = `session-${index}`.padEnd(22, 'x');
  socket.send(encodeClientMsgpack({ type: 'hello', session_id: id, viewer_id: `viewer-${index}` }));
  return (payload) => socket.send(payload);
}

async function openPlain(): Promise<Send> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  socket.resume();
  await once(socket, 'connect');
  return (payload) => socket.write(maskedFrame(payload));
}

/** The bytes that a WebSocket client puts on the wire, with a mask of zeros. */
function maskedFrame(payload: Uint8Array): Uint8Array {
  return Uint8Array.of(0x82, 0x80 | payload.length, 0, 0, 0, 0, ...payload);
}

const sends: Send[] = [];
for (let index = 0; index < Number(countText); index++) sends.push(kind === 'edge' ? await openEdge(index) : await openPlain());

process.on('disconnect', () => process.exit());
process.on('message', (batches: number) => void sendBatches(batches));
process.send?.('ready');

async function sendBatches(batches: number): Promise<void> {
  for (let batch = 0; batch < batches; batch++) {
    sequence += 1;
    const reactions = [{ emoji_id: 'heart', count: 1 }];
    const payload = encodeClientMsgpack({ type: 'batch', seq: sequence, reactions, timestamp: Date.now() });
    for (let slice = 0; slice < SLICES; slice++) {
      for (let index = slice; index < sends.length; index += SLICES) sends[index]!(payload);
      await pause(INTERVAL_MS / SLICES);
    }
  }
}
