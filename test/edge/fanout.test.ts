import { EventEmitter } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import * as wsPackage from 'ws';
import type { StreamId } from '../../crdt/ids.ts';
import type { Cancel, Timers } from '../../regions/runtime.ts';
import { VISITS_PER_TURN } from '../../src/edge/fanout-turns.ts';
import { Fanout, webSocketMessage, type Encoding, type FanoutSocket } from '../../src/edge/fanout.ts';
import { ViewerCounts } from '../../src/edge/viewer-counts.ts';
import { decodeServerJson } from '../../src/protocol/json-codec.ts';
import type { FrameMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { decodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';
import { eventually } from './eventually.ts';

/** The parser of ws; exported, but unknown to its types. */
const { Receiver } = wsPackage as unknown as {
  readonly Receiver: new (options: { isServer: boolean }) => EventEmitter & { write(bytes: Uint8Array): boolean };
};

const derby = 'derby' as StreamId;
const frame = (heart: number, changes: Partial<FrameMessage> = {}): FrameMessage => ({
  type: 'frame',
  region: 'us',
  at: heart,
  level: 'exact',
  totals: { heart },
  rates: {},
  hints: {},
  viewers: 1,
  staleness: {},
  ...changes,
});

/** Turns of the event loop that come when they are asked for. */
class FakeTurns implements Timers {
  /** Milliseconds. */
  now = 0;
  #due: (() => void)[] = [];

  get waiting(): number {
    return this.#due.length;
  }

  after(_delayMs: number, call: () => void): Cancel {
    this.#due.push(call);
    return () => {};
  }

  every(): Cancel {
    return () => {};
  }

  turn(): void {
    for (const call of this.#due.splice(0)) call();
  }

  /** Until nothing is left to be written. @returns how many there were */
  run(): number {
    let turns = 0;
    for (; this.#due.length > 0; turns++) this.turn();
    return turns;
  }
}

/** A fan-out, and a way to have it write a frame to all in one go. */
function setUp(idleSweepsMax?: number, waitingBytesMax?: number) {
  const turns = new FakeTurns();
  const fanout = new Fanout({ clock: { now: () => turns.now }, timers: turns }, () => {}, idleSweepsMax, waitingBytesMax);
  const publish = (...args: Parameters<Fanout['publish']>): void => {
    fanout.publish(...args);
    turns.run();
  };
  const crowd = (size: number, stream = derby): FakeSocket[] =>
    Array.from({ length: size }, () => {
      const socket = new FakeSocket();
      fanout.join(stream, socket, 'json');
      return socket;
    });
  return { turns, fanout, publish, crowd };
}

/** Takes everything until it is told to be slow. */
class FakeSocket extends EventEmitter implements FanoutSocket {
  readonly written: Uint8Array[] = [];
  isSlow = false;
  isDestroyed = false;
  writableNeedDrain = false;
  writableLength = 0;
  bytesWritten = 0;

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes);
    this.bytesWritten += bytes.length;
    if (this.isSlow) {
      this.writableNeedDrain = true;
      this.writableLength += bytes.length;
    }
    return !this.isSlow;
  }

  drain(): void {
    this.isSlow = this.writableNeedDrain = false;
    this.writableLength = 0;
    this.emit('drain');
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

/** Reads messages as a WebSocket client would. */
function readerOf(encoding: Encoding, listener: (message: ServerMessage) => void): InstanceType<typeof Receiver> {
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer) => {
    listener(encoding === 'json' ? decodeServerJson(data.toString()) : decodeServerMsgpack(data));
  });
  return receiver;
}

function messagesOf(socket: FakeSocket, encoding: Encoding): ServerMessage[] {
  const messages: ServerMessage[] = [];
  const receiver = readerOf(encoding, (message) => messages.push(message));
  for (const bytes of socket.written) receiver.write(bytes);
  return messages;
}

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

  it('[EDGE-64] a frame is written to some sockets in each turn, and to each of them once', () => {
    const { turns, fanout, crowd } = setUp();
    const sockets = crowd(2.5 * VISITS_PER_TURN);
    const written = (): number => sockets.reduce((sum, socket) => sum + socket.written.length, 0);
    fanout.publish(derby, frame(1));
    expect(written()).toBe(0);
    const each: number[] = [];
    while (turns.waiting > 0) {
      turns.turn();
      each.push(written());
    }
    expect(each).toEqual([1, 2, 2.5].map((times) => times * VISITS_PER_TURN));
    expect(sockets.every((socket) => socket.written.length === 1 && socket.written[0] === sockets[0]!.written[0])).toBe(true);
    expect(fanout.stats).toMatchObject({ framesWritten: sockets.length, framesSkipped: 0 });
  });

  it('[EDGE-64] a turn writes the more, the longer the rest has taken', () => {
    const { turns, fanout, crowd } = setUp();
    const sockets = crowd(40 * VISITS_PER_TURN);
    const written = (): number => sockets.reduce((sum, socket) => sum + socket.written.length, 0);
    fanout.publish(derby, frame(1));
    const each = [2, 100, 0, 10, 1_000].map((restMs) => {
      const before = written();
      turns.now += restMs;
      turns.turn();
      return written() - before;
    });
    expect(each).toEqual([VISITS_PER_TURN, 3_200, VISITS_PER_TURN, 320, 40 * VISITS_PER_TURN - 3_200 - 320 - 2 * VISITS_PER_TURN]);
  });

  it('[EDGE-64] who has not got a frame when the next one comes gets that instead, and nobody is passed over twice', () => {
    const { turns, fanout, crowd } = setUp();
    const sockets = crowd(2 * VISITS_PER_TURN);
    const newest = (socket: FakeSocket): number => (messagesOf(socket, 'json').at(-1) as FrameMessage | undefined)?.at ?? 0;
    // Frames come twice as fast as they are written.
    for (let n = 1; n <= 8; n++) {
      fanout.publish(derby, frame(n));
      turns.turn();
      expect(turns.waiting).toBe(1);
      expect(sockets.filter((socket) => newest(socket) < n - 1)).toHaveLength(0);
    }
    turns.run();
    expect(sockets.map(newest)).toEqual(sockets.map(() => 8));
    expect(sockets.filter((socket) => new Set(socket.written).size !== socket.written.length)).toHaveLength(0);
    expect(fanout.stats.framesWritten + fanout.stats.framesSkipped).toBe(8 * sockets.length);
  });

  it('[EDGE-64] who comes or leaves while a frame is being written keeps nobody from it', () => {
    const { turns, fanout } = setUp();
    const join = () => {
      const socket = new FakeSocket();
      return { socket, member: fanout.join(derby, socket, 'json') };
    };
    const before = Array.from({ length: 4 * VISITS_PER_TURN }, join);
    fanout.publish(derby, frame(1));
    turns.run();
    fanout.publish(derby, frame(2));
    turns.turn();
    fanout.publish(derby, frame(3));
    turns.turn();
    const late = Array.from({ length: 3 * VISITS_PER_TURN }, join);
    const gone = before.filter((_each, index) => index % 3 === 0);
    for (const { member } of gone) fanout.leave(member);
    turns.run();
    const stayed = before.filter((_each, index) => index % 3 !== 0);
    expect(stayed.filter(({ socket }) => (messagesOf(socket, 'json').at(-1) as FrameMessage).at !== 3)).toHaveLength(0);
    expect(late.filter(({ socket }) => socket.written.length > 0)).toHaveLength(0);
    for (const { member } of [...stayed, ...late]) fanout.leave(member);
    expect([turns.waiting, fanout.stats.members]).toEqual([0, 0]);
  });

  it('[EDGE-65] how many streams wait for turns, and how many visits are left, can be read at any time', () => {
    const { turns, fanout, crowd } = setUp();
    const gala = 'gala' as StreamId;
    const waiting = (): number[] => [fanout.stats.roomsWaiting, fanout.stats.visitsWaiting];
    const members = Array.from({ length: 2 * VISITS_PER_TURN }, () => fanout.join(derby, new FakeSocket(), 'json'));
    crowd(3 * VISITS_PER_TURN, gala);
    expect(waiting()).toEqual([0, 0]);
    fanout.publish(derby, frame(1));
    fanout.publish(gala, frame(1));
    expect(waiting()).toEqual([2, 5 * VISITS_PER_TURN]);
    turns.turn();
    turns.turn();
    expect(waiting()).toEqual([2, 3 * VISITS_PER_TURN]);
    // A newer frame starts anew; who comes stands in the way; who leaves is visited no more only when nobody stays.
    fanout.publish(derby, frame(2));
    fanout.join(gala, new FakeSocket(), 'json');
    expect(waiting()).toEqual([2, 4 * VISITS_PER_TURN + 1]);
    for (const member of members) fanout.leave(member);
    expect(waiting()).toEqual([1, 2 * VISITS_PER_TURN + 1]);
    turns.run();
    expect(waiting()).toEqual([0, 0]);
  });

  it('[EDGE-64] a crowd that leaves as a whole ends what was being written to it', () => {
    const { turns, fanout } = setUp();
    const members = Array.from({ length: 2 * VISITS_PER_TURN }, () => fanout.join(derby, new FakeSocket(), 'json'));
    fanout.publish(derby, frame(1));
    turns.turn();
    for (const member of members) fanout.leave(member);
    expect(turns.run()).toBe(1);
    expect(fanout.stats.framesWritten).toBe(VISITS_PER_TURN);
  });

  it('[EDGE-64] a small stream does not wait for a crowd, though frames to that never end', () => {
    const { turns, fanout, crowd } = setUp();
    crowd(8 * VISITS_PER_TURN);
    const few = crowd(3, 'regatta' as StreamId);
    for (let n = 1; n <= 5; n++) {
      fanout.publish(derby, frame(n));
      fanout.publish('regatta' as StreamId, frame(n));
      turns.turn();
      expect(few.map((socket) => socket.written.length)).toEqual([n, n, n]);
    }
  });

  it('[EDGE-64] who is about to be closed gets the newest frame first, and not again', () => {
    const { turns, fanout } = setUp();
    const socket = new FakeSocket();
    const member = fanout.join(derby, socket, 'json');
    fanout.catchUp(member);
    expect(socket.written).toHaveLength(0);
    fanout.publish(derby, frame(1));
    fanout.catchUp(member);
    fanout.catchUp(member);
    expect(messagesOf(socket, 'json')).toEqual([frame(1)]);
    turns.run();
    expect(socket.written).toHaveLength(1);
    fanout.publish(derby, frame(2));
    fanout.leave(member);
    fanout.catchUp(member);
    turns.run();
    expect(socket.written).toHaveLength(1);
  });

  it('[EDGE-64] a change of level goes before the frame, also to who missed the one that brought it', () => {
    const { turns, fanout, crowd } = setUp();
    const sockets = crowd(2 * VISITS_PER_TURN);
    fanout.publish(derby, frame(1, { level: 'relaxed' }));
    turns.turn();
    fanout.publish(derby, frame(2, { level: 'relaxed' }));
    turns.run();
    const told = (socket: FakeSocket): string => messagesOf(socket, 'json').map(({ type }) => type).join(' ');
    expect(new Set(sockets.slice(0, VISITS_PER_TURN).map(told))).toEqual(new Set(['pace frame frame']));
    expect(new Set(sockets.slice(VISITS_PER_TURN).map(told))).toEqual(new Set(['pace frame']));
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

it('[EDGE-38] the first viewer is told at once, a crowd together', () => {
  const timers: (() => void)[] = [];
  const told: [string, number][] = [];
  const counts = new ViewerCounts(
    { after: (_ms, call) => (timers.push(call), () => {}), every: () => () => {} },
    (stream, viewers) => told.push([stream, viewers]),
  );
  for (let n = 1; n <= 1000; n++) counts.set(derby, n);
  expect(told).toEqual([['derby', 1]]);
  expect(timers).toHaveLength(1);
  timers.shift()!();
  expect(told).toEqual([['derby', 1], ['derby', 1000]]);
  counts.set(derby, 0);
  counts.set(derby, 1000);
  timers.shift()!();
  expect(told).toHaveLength(2);
  counts.set(derby, 0);
  timers.shift()!();
  expect(told.at(-1)).toEqual(['derby', 0]);
});
