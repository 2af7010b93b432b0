import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { webSocketMessage, type Encoding } from '../../src/edge/fanout.ts';
import type { FrameMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { eventually } from './eventually.ts';
import { FakeSocket, derby, frame, messagesOf, readerOf, setUp } from './fanout-crowd.ts';

describe('fan-out', () => {
  it('[EDGE-60] encodes once per encoding and writes the same bytes to all', () => {
    const { fanout, publish } = setUp();
    const sockets = (['json', 'msgpack', 'json', 'msgpack'] as const).map((encoding) => {
      const socket = new FakeSocket();
      fanout.join(derby, socket, encoding);
      return socket;
    });
    publish(derby, frame(1));
    expect(sockets[0]!.written[0]).toBe(sockets[2]!.written[0]);
    expect(sockets[1]!.written[0]).toBe(sockets[3]!.written[0]);
    expect(messagesOf(sockets[0]!, 'json')).toEqual([frame(1)]);
    expect(messagesOf(sockets[1]!, 'msgpack')).toEqual([frame(1)]);
  });

  it.each([0, 60, 130, 66_000])('[EDGE-60] messages of every header size are read by a WebSocket client (%i)', (length) => {
    const socket = new FakeSocket();
    const message: ServerMessage = { type: 'error', seq: 0, code: 'x', message: 'x'.repeat(length), temporary: false };
    socket.written.push(webSocketMessage(message, 'json'));
    expect(messagesOf(socket, 'json')).toEqual([message]);
  });

  it('[EDGE-61] a slow socket is passed over and then gets only the newest frame', () => {
    const { fanout, publish } = setUp();
    const slow = new FakeSocket();
    const fast = new FakeSocket();
    fanout.join(derby, slow, 'json');
    fanout.join(derby, fast, 'json');
    slow.isSlow = true;
    for (let n = 1; n <= 100; n++) publish(derby, frame(n));
    expect(slow.written).toHaveLength(1);
    expect(fast.written).toHaveLength(100);
    slow.drain();
    expect(messagesOf(slow, 'json')).toEqual([frame(1), frame(100)]);
    slow.drain();
    publish(derby, frame(101));
    expect(slow.written).toHaveLength(3);
    expect(fanout.stats.framesSkipped).toBe(99);
  });

  it('[EDGE-61] a socket that others have filled is passed over too', () => {
    const { fanout, publish } = setUp();
    const socket = new FakeSocket();
    fanout.join(derby, socket, 'json');
    socket.writableNeedDrain = true;
    publish(derby, frame(1));
    expect(socket.written).toHaveLength(0);
    socket.drain();
    expect(messagesOf(socket, 'json')).toEqual([frame(1)]);
  });

  it('[EDGE-62] a socket without progress is cut, one that crawls is not', () => {
    const { fanout, publish } = setUp(30);
    const stuck = new FakeSocket();
    const crawling = new FakeSocket();
    for (const socket of [stuck, crawling]) {
      fanout.join(derby, socket, 'json');
      socket.isSlow = true;
    }
    publish(derby, frame(1));
    for (let second = 0; second < 31; second++) {
      crawling.writableLength -= 1;
      fanout.sweep();
    }
    expect([stuck.isDestroyed, crawling.isDestroyed]).toEqual([true, false]);
    expect(fanout.stats).toMatchObject({ members: 1, stuckSockets: 1 });
  });

  it('[EDGE-63] who left, or is closing, is written nothing more', () => {
    const { fanout, publish } = setUp();
    const gone = new FakeSocket();
    const closing = new FakeSocket();
    const member = fanout.join(derby, gone, 'json');
    fanout.join(derby, closing, 'json', () => false);
    gone.isSlow = true;
    publish(derby, frame(1));
    fanout.leave(member);
    fanout.leave(member);
    publish(derby, frame(2));
    gone.drain();
    expect([gone.written.length, closing.written.length, fanout.stats.members]).toEqual([1, 0, 1]);
  });

  it('[EDGE-39] whoever missed a change of level is told with the next frame', () => {
    const { fanout, publish } = setUp();
    const slow = new FakeSocket();
    fanout.join(derby, slow, 'msgpack');
    slow.isSlow = true;
    publish(derby, frame(1));
    publish(derby, frame(2, { level: 'relaxed' }));
    slow.drain();
    publish(derby, frame(3, { level: 'relaxed' }));
    expect(messagesOf(slow, 'msgpack').map((message) => message.type)).toEqual(['frame', 'pace', 'frame', 'frame']);
  });

  it('[EDGE-41] a palette that changed is told to each socket once, before the next frame, also to who missed it or came meanwhile', () => {
    const { fanout, publish } = setUp();
    const hearts = new Map([['heart', '❤️']]);
    const stars = new Map([...hearts, ['star', '⭐']]);
    const [quick, slow, late] = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
    fanout.join(derby, quick, 'json', () => true, 'exact', hearts);
    fanout.join(derby, slow, 'msgpack', () => true, 'exact', hearts);
    publish(derby, frame(1), hearts);
    slow.isSlow = true;
    publish(derby, frame(2), new Map(hearts));
    // Its welcome told the new one already, and the others learn of it with the next frame.
    fanout.join(derby, late, 'json', () => true, 'exact', stars);
    publish(derby, frame(3), stars);
    slow.drain();
    publish(derby, frame(4), stars);
    const told = (socket: FakeSocket, encoding: Encoding): unknown[] =>
      messagesOf(socket, encoding).map((message) => (message.type === 'pace' ? Object.keys(message.palette!) : message.type));
    expect(told(quick, 'json')).toEqual(['frame', 'frame', ['heart', 'star'], 'frame', 'frame']);
    expect(told(slow, 'msgpack')).toEqual(['frame', 'frame', ['heart', 'star'], 'frame', 'frame']);
    expect(told(late, 'json')).toEqual(['frame', 'frame']);
  });

  it('[LOAD-12] a socket that lets more answers wait than it may is cut, whether it crawls or not, and one that lets fewer wait is not', () => {
    const { fanout } = setUp(30, 64 * 1024);
    const [greedy, fair] = [new FakeSocket(), new FakeSocket()];
    for (const socket of [greedy, fair]) fanout.join(derby, socket, 'json');
    for (let sweep = 0; sweep < 100; sweep++) {
      greedy.bytesWritten += 1_000;
      greedy.writableLength = 900 * sweep;
      fair.bytesWritten += 1_000;
      fair.writableLength = 60 * 1024;
      fanout.sweep();
    }
    expect([greedy.isDestroyed, fair.isDestroyed]).toEqual([true, false]);
    expect(fanout.stats).toMatchObject({ members: 1, stuckSockets: 1 });
  });

  it('[LOAD-12] how many sockets are behind is known, also of those that left', () => {
    const { fanout, publish } = setUp();
    const sockets = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
    const members = sockets.map((socket) => fanout.join(derby, socket, 'json'));
    for (const socket of sockets.slice(0, 2)) socket.isSlow = true;
    for (let n = 1; n <= 3; n++) publish(derby, frame(n));
    expect(fanout.stats.behind).toBe(2);
    fanout.leave(members[0]!);
    expect(fanout.stats.behind).toBe(1);
    for (const socket of sockets) socket.drain();
    expect(fanout.stats.behind).toBe(0);
  });

  it('[EDGE-60] what a change of level adds to a frame is made once, too', () => {
    const { fanout, publish } = setUp();
    const sockets = [new FakeSocket(), new FakeSocket()];
    for (const socket of sockets) fanout.join(derby, socket, 'msgpack');
    publish(derby, frame(1, { level: 'relaxed' }));
    expect(sockets[0]!.written[0]).toBe(sockets[1]!.written[0]);
    expect(messagesOf(sockets[0]!, 'msgpack').map(({ type }) => type)).toEqual(['pace', 'frame']);
  });

  it('[EDGE-61] memory for a reader that stopped is bounded, and it catches up with one frame', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const reader = connect((server.address() as AddressInfo).port, '127.0.0.1');
    reader.pause();
    const socket = await accepted;
    const { fanout, publish } = setUp();
    fanout.join(derby, socket, 'json');
    const totals = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`emoji-${n}`, n]));
    for (let n = 1; n <= 2_000; n++) {
      publish(derby, frame(n, { totals }));
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(fanout.stats.framesSkipped).toBeGreaterThan(1_000);
    expect(socket.writableLength).toBeLessThan(64 * 1024);
    let newest = 0;
    const receiver = readerOf('json', (message) => (newest = (message as FrameMessage).at));
    reader.on('data', (chunk) => receiver.write(chunk));
    reader.resume();
    await eventually(() => expect(newest).toBe(2_000));
    reader.destroy();
    socket.destroy();
    server.close();
  });
});
