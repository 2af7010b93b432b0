/** What an edge does when its region can bear no more: it reads less, and says no before it has read anything. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Edge } from '../../src/edge/server.ts';
import { CLOSE_CODES } from '../../src/protocol/close-codes.ts';
import { decodeServerJson, encodeClientJson } from '../../src/protocol/json-codec.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { livedTime } from '../support/lived-time.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const region = new FakeRegion();
let edge: Edge;
let ws: string;
let http: string;
let postAgainMs: number | null;
let isFull: boolean;
const open: WebSocket[] = [];

beforeAll(async () => {
  ({ edge, ws, http } = await startEdge(region, { overload: { postAgainMs: () => postAgainMs, isFull: () => isFull } }));
});
beforeEach(() => {
  postAgainMs = null;
  isFull = false;
  region.answer = null;
  region.frame = {};
  region.batches.length = 0;
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.terminate();
  await eventually(() => expect(edge.stats.sockets).toBe(0));
});
afterAll(() => edge.stop({ graceMs: 500 }));

interface Viewer {
  readonly messages: ServerMessage[];
  readonly closed: () => number | null;
  send(...messages: ClientMessage[]): void;
}

async function connect(stream: string): Promise<Viewer> {
  const messages: ServerMessage[] = [];
  let code: number | null = null;
  const socket = new WebSocket(`${ws}/streams/${stream}/reactions`);
  open.push(socket);
  socket.on('message', (data: Buffer) => messages.push(decodeServerJson(data.toString())));
  socket.on('close', (closed) => (code = closed));
  await eventually(() => expect(messages.length > 0 || code !== null).toBe(true));
  return { messages, closed: () => code, send: (...all) => all.forEach((message) => socket.send(encodeClientJson(message))) };
}

const hello = (session: string): ClientMessage => ({ type: 'hello', session_id: session, viewer_id: session });
const batch = (seq: number): ClientMessage => ({ type: 'batch', seq, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: 1_795_342_812_345 });
const sequences = (): number[] => region.batches.map(({ sequence }) => sequence);

it('[LOAD-10] a socket whose batch was refused as overloaded is not read for a while, and what it sends meanwhile counts then', async () => {
  const ann = await connect('derby');
  ann.send(hello('ann'));
  region.answer = () => ({ kind: 'refused', reason: 'overloaded', retryAfterMs: 400 });
  ann.send(batch(1));
  await eventually(() => expect(ann.messages.at(-1)).toMatchObject({ type: 'error', seq: 1, code: 'overloaded', retry_after_ms: 400 }));
  const refusedAt = performance.now();
  expect(edge.stats.held).toBe(1);
  region.answer = null;
  ann.send(batch(1), batch(2));
  // Another one is read.
  const bob = await connect('derby');
  bob.send(hello('bob'), batch(7));
  await eventually(() => expect(bob.messages.at(-1)).toMatchObject({ type: 'ack', seq: 7 }));
  await eventually(() => expect(ann.messages.at(-1)).toMatchObject({ type: 'ack', seq: 2 }));
  expect(performance.now() - refusedAt).toBeGreaterThan(190);
  expect(sequences()).toEqual([1, 7, 1, 2]);
  expect(edge.stats.held).toBe(0);
});

it('[LOAD-10] further down the ladder every socket rests after a batch, and who heeds the pace is not delayed', async () => {
  const ann = await connect('gala');
  ann.send(hello('cat'), batch(1));
  await eventually(() => expect(ann.messages.at(-1)).toMatchObject({ type: 'ack', seq: 1 }));
  const before = edge.stats.holds;
  region.frame = { level: 'relaxed' };
  region.publish('gala');
  await eventually(() => expect(ann.messages.at(-2)).toMatchObject({ type: 'pace', level: 'relaxed' }));
  expect(edge.stats.holds).toBe(before);
  ann.send(batch(2));
  await eventually(() => expect(ann.messages.at(-1)).toMatchObject({ type: 'ack', seq: 2 }));
  expect(edge.stats.held).toBe(1);
  // It ends long before the next batch is due.
  const since = livedTime();
  await eventually(() => expect(edge.stats.held).toBe(0));
  expect(since.ms()).toBeLessThan(750);
  since.stop();
  expect(edge.stats.holds).toBe(before + 1);
});

it('[LOAD-11] a post that would only be refused is refused unread, with 503 and when to come again', async () => {
  postAgainMs = 2_400;
  const refused = await fetch(`${http}/reactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"never read' });
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('3');
  expect(await refused.json()).toMatchObject({ type: 'urn:ovation:problem:overloaded' });
  expect(region.batches).toEqual([]);
  const totals = await fetch(`${http}/streams/derby/reactions`);
  expect(totals.status).toBe(200);
  await totals.arrayBuffer();
  postAgainMs = null;
  const reaction = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 1, timestamp: 1_795_342_812_345 };
  const taken = await fetch(`${http}/reactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(reaction) });
  expect(taken.status).toBe(202);
  await taken.arrayBuffer();
});

it('[LOAD-11] a region at its last rung lets nobody new in, and those who are there go on', async () => {
  const ann = await connect('derby');
  ann.send(hello('dan'));
  isFull = true;
  const late = await connect('derby');
  expect(late.closed()).toBe(CLOSE_CODES.overloaded);
  ann.send(batch(3));
  await eventually(() => expect(ann.messages.at(-1)).toMatchObject({ type: 'ack', seq: 3 }));
  isFull = false;
  expect((await connect('derby')).messages[0]).toMatchObject({ type: 'welcome' });
});

it('[LOAD-10] a socket that is not read is shown out like any other', async () => {
  const other = new FakeRegion();
  const { edge: leaving, ws: url } = await startEdge(other);
  const socket = new WebSocket(`${url}/streams/derby/reactions`);
  open.push(socket);
  let code = 0;
  socket.on('close', (closed) => (code = closed));
  await new Promise((resolve) => socket.once('message', resolve));
  other.answer = () => ({ kind: 'refused', reason: 'overloaded', retryAfterMs: 60_000 });
  socket.send(encodeClientJson(hello('eve')));
  socket.send(encodeClientJson(batch(1)));
  await eventually(() => expect(leaving.stats.held).toBe(1));
  await leaving.stop({ graceMs: 900 });
  await eventually(() => expect(code).toBe(1012));
  expect(leaving.stats).toMatchObject({ held: 0, sockets: 0 });
});
