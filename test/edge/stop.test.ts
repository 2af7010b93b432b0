import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

it('[EDGE-70] a stop acknowledges what is in flight, says goaway, closes with 1012 and leaves nothing open', async () => {
  const region = new FakeRegion();
  const { edge, ws, http, port } = await startEdge(region);
  const url = `${ws}/streams/derby/reactions`;
  const messages: { type: string; retry_after_ms?: number; seq?: number }[] = [];
  const codes: number[] = [];
  const players = [1, 2, 3].map((n) => {
    const socket = new WebSocket(url, 'ovation.v1.json');
    socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as { type: string }));
    socket.on('close', (code) => codes.push(code));
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'hello', session_id: `s${n}`, viewer_id: 'ann' }));
      socket.send(JSON.stringify({ type: 'batch', seq: 1, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: 1 }));
    });
    return socket;
  });
  region.holds = true;
  await eventually(() => expect(region.batches).toHaveLength(3));
  await eventually(() => expect(messages.filter(({ type }) => type === 'welcome')).toHaveLength(3));
  const keepAlive = connect(port, '127.0.0.1');
  keepAlive.write('GET /streams/x/reactions HTTP/1.1\r\nhost: x\r\n\r\n');
  await new Promise((resolve) => keepAlive.once('data', resolve));

  const stopped = edge.stop({ graceMs: 2_000 });
  await eventually(() => expect(messages.filter(({ type }) => type === 'goaway')).toHaveLength(3));
  expect(messages.some(({ type }) => type === 'ack')).toBe(false);
  region.release();
  await stopped;
  await eventually(() => expect(codes).toEqual([1012, 1012, 1012]));
  expect(messages.filter(({ type }) => type === 'ack')).toHaveLength(3);
  expect(players.every(({ readyState }) => readyState === WebSocket.CLOSED)).toBe(true);
  expect(region.listeners).toBe(0);
  await eventually(() => expect(region.watched.get('derby')).toBe(0));
  await expect(fetch(`${http}/streams/x/reactions`)).rejects.toThrow('fetch failed');
});

it('[EDGE-70] a client that does not close is cut when the grace is over', async () => {
  const region = new FakeRegion();
  const { edge, port } = await startEdge(region);
  const deaf = connect(port, '127.0.0.1');
  deaf.on('error', () => {});
  deaf.write(
    'GET /streams/derby/reactions HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await eventually(() => expect(region.watched.get('derby')).toBe(1));
  const isClosed = new Promise((resolve) => deaf.once('close', resolve));
  deaf.resume();
  await edge.stop({ graceMs: 300 });
  await isClosed;
  expect(edge.stats['sockets']).toBe(0);
});

describe('a stop that takes its time', () => {
  const PLAYERS = 20;

  /** Players that say hello, and what they were told. */
  async function crowd(ws: string) {
    const told: number[] = [];
    const codes: number[] = [];
    let welcomed = 0;
    let acknowledged = 0;
    const players = Array.from({ length: PLAYERS }, (_, index) => {
      const player = { isTold: false, socket: new WebSocket(`${ws}/streams/derby/reactions`) };
      player.socket.on('open', () => player.socket.send(JSON.stringify({ type: 'hello', session_id: `s${index}`, viewer_id: 'ann' })));
      player.socket.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as { type: string; retry_after_ms?: number };
        if (message.type === 'welcome') welcomed += 1;
        if (message.type === 'ack') acknowledged += 1;
        if (message.type !== 'goaway') return;
        player.isTold = true;
        told.push(message.retry_after_ms!);
      });
      player.socket.on('close', (code) => codes.push(code));
      return player;
    });
    await eventually(() => expect(welcomed).toBe(PLAYERS));
    return { players, told, codes, acknowledged: () => acknowledged };
  }

  it('[EDGE-71] viewers are told to go one after another, each another time to return, and are served until then', async () => {
    const region = new FakeRegion();
    const { edge, ws } = await startEdge(region);
    const { players, told, codes, acknowledged } = await crowd(ws);
    const startedAt = performance.now();
    const stopped = edge.stop({ drainMs: 1_500, graceMs: 2_000 });
    await eventually(() => expect(told.length).toBeGreaterThan(0));
    expect(told.length).toBeLessThan(PLAYERS / 2);
    const last = players.at(-1)!;
    last.socket.send(JSON.stringify({ type: 'batch', seq: 1, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: 1 }));
    await eventually(() => expect(acknowledged()).toBe(1));
    expect(last.isTold).toBe(false);
    await stopped;
    await eventually(() => expect(codes).toEqual(players.map(() => 1012)));
    expect(performance.now() - startedAt).toBeGreaterThan(1_400);
    expect(new Set(told).size).toBeGreaterThan(PLAYERS / 2);
    expect(Math.max(...told)).toBeLessThan(5_000);
  });

  it('[EDGE-72] nobody new comes in: upgrades and posts are 503 with a time to return, a post that was read is answered', async () => {
    const region = new FakeRegion();
    const { edge, http, ws } = await startEdge(region);
    await crowd(ws);
    const post = () =>
      fetch(`${http}/reactions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ stream_id: 'derby', viewer_id: 'bob', emoji_id: 'heart', count_since_last: 1, timestamp: 1 }),
      });
    region.holds = true;
    const early = post();
    await eventually(() => expect(region.batches).toHaveLength(1));
    const stopped = edge.stop({ drainMs: 1_000, graceMs: 2_000 });
    const refused = await post();
    expect(refused.status).toBe(503);
    expect(refused.headers.get('connection')).toBe('close');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ type: 'urn:ovation:problem:unavailable' });
    for (const path of ['/streams/derby/reactions', '/control/global']) {
      const late = new WebSocket(ws + path);
      late.on('error', () => {});
      const [, response] = (await once(late, 'unexpected-response')) as [unknown, IncomingMessage];
      expect(response.statusCode).toBe(503);
      expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
      response.destroy();
    }
    expect((await fetch(`${http}/streams/derby/reactions`)).status).toBe(200);
    expect(edge.stats.refusedAtDoor).toBe(3);
    region.release();
    expect((await early).status).toBe(202);
    expect(region.batches).toHaveLength(1);
    await stopped;
  });
});
