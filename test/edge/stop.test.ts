import { connect } from 'node:net';
import { expect, it } from 'vitest';
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
