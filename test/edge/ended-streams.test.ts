/** Viewers of streams that drain or have ended, over real sockets. */

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Edge } from '../../src/edge/server.ts';
import { DEFAULT_POLICY, type StreamState } from '../../src/moderation/policy.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

interface Message {
  readonly type: string;
  readonly code?: string;
  readonly seq?: number;
  readonly temporary?: boolean;
}

const region = new FakeRegion();
const open: WebSocket[] = [];
let state: StreamState = 'live';
let edge: Edge;
let ws: string;
let http: string;

beforeAll(async () => {
  ({ edge, ws, http } = await startEdge(region, {
    policyOf: () => ({ ...DEFAULT_POLICY, state }),
    limits: { helloMs: 1_000 },
  }));
});
afterAll(() => edge.stop({ graceMs: 500 }));
afterEach(async () => {
  state = 'live';
  region.holds = false;
  for (const socket of open.splice(0)) socket.terminate();
  await eventually(() => expect(edge.stats['sockets']).toBe(0));
});

async function viewer(stream = 'derby') {
  const socket = new WebSocket(`${ws}/streams/${stream}/reactions`);
  open.push(socket);
  const messages: Message[] = [];
  const closed: { code?: number; reason?: string } = {};
  socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as Message));
  socket.on('close', (code, reason) => Object.assign(closed, { code, reason: reason.toString() }));
  const types = (): string[] => messages.map(({ type }) => type);
  await eventually(() => expect(types()).toContain('welcome'));
  const send = (message: object): void => socket.send(JSON.stringify(message));
  return { send, messages, closed, types };
}

const hello = { type: 'hello', session_id: 's1', viewer_id: 'ann' };
const batch = (seq: number) => ({ type: 'batch', seq, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: 1_795_342_812_345 });

it('[EDGE-44] who comes to a stream that drains is told so and closed, and who was there goes on', async () => {
  const [ann, bob] = await Promise.all([viewer(), viewer()]);
  ann.send(hello);
  state = 'draining';
  const [late, watcher] = await Promise.all([viewer(), viewer()]);
  late.send({ ...hello, session_id: 's2' });
  late.send(batch(1));
  await eventually(() => expect(late.closed.code).toBe(4423));
  expect(late.messages.at(-1)).toMatchObject({ type: 'error', seq: 0, code: 'stream-draining', temporary: false });
  await eventually(() => expect(watcher.closed.code).toBe(4423));
  ann.send(batch(1));
  await eventually(() => expect(ann.types()).toContain('ack'));
  region.publish('derby');
  await eventually(() => expect(bob.types()).toContain('frame'));
  expect([ann.closed, bob.closed]).toEqual([{}, {}]);
  expect(region.batches.map(({ session }) => session)).toEqual(['s1']);
});

it('[EDGE-44] who comes back with unanswered taps to a stream that drains was there before', async () => {
  state = 'draining';
  const ann = await viewer();
  ann.send({ ...hello, session_id: 's3', unacked_from: 4 });
  ann.send(batch(4));
  await eventually(() => expect(ann.types()).toContain('ack'));
  expect(ann.closed).toEqual({});
});

it('[EDGE-45] when a stream ends its sockets get the last answers and the last frame, and are closed for good', async () => {
  const ann = await viewer();
  ann.send({ ...hello, session_id: 's4' });
  region.holds = true;
  ann.send(batch(1));
  await eventually(() => expect(edge.stats['inFlight']).toBe(1));
  state = 'ended';
  region.publish('derby');
  await eventually(() => expect(ann.types()).toContain('frame'));
  const late = await viewer();
  await eventually(() => expect(late.closed.code).toBe(4410));
  expect(ann.closed).toEqual({});
  region.release();
  await eventually(() => expect(ann.closed.code).toBe(4410));
  expect(ann.types().slice(-2)).toEqual(['ack', 'error']);
  expect(ann.messages.at(-1)).toMatchObject({ seq: 0, code: 'stream-ended', temporary: false });
  expect(ann.closed.reason).toBe('The stream has ended.');
});

it('[EDGE-45] totals of an ended stream are answered while they are kept, and then 410', async () => {
  const get = () => fetch(`${http}/streams/gone/reactions`);
  expect((await get()).status).toBe(200);
  state = 'ended';
  region.frame = { totals: { heart: 3 } };
  expect((await get()).status).toBe(200);
  region.frame = { totals: { heart: 0 } };
  const response = await get();
  expect(response.status).toBe(410);
  expect(await response.json()).toMatchObject({ type: 'urn:ovation:problem:stream-ended' });
  region.frame = {};
});
