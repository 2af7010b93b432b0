/** A fan-out whose turns come when they are asked for, sockets that keep what is written to them, and readers of it. */

import { EventEmitter } from 'node:events';
import * as wsPackage from 'ws';
import type { StreamId } from '../../crdt/ids.ts';
import type { Cancel, Timers } from '../../regions/runtime.ts';
import { Fanout, type Encoding, type FanoutSocket } from '../../src/edge/fanout.ts';
import { decodeServerJson } from '../../src/protocol/json-codec.ts';
import type { FrameMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { decodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';

/** The parser of ws; exported, but unknown to its types. */
const { Receiver } = wsPackage as unknown as {
  readonly Receiver: new (options: { isServer: boolean }) => EventEmitter & { write(bytes: Uint8Array): boolean };
};

export const derby = 'derby' as StreamId;
export const frame = (heart: number, changes: Partial<FrameMessage> = {}): FrameMessage => ({
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
export function setUp(idleSweepsMax?: number, waitingBytesMax?: number) {
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
export class FakeSocket extends EventEmitter implements FanoutSocket {
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
export function readerOf(encoding: Encoding, listener: (message: ServerMessage) => void): InstanceType<typeof Receiver> {
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer) => {
    listener(encoding === 'json' ? decodeServerJson(data.toString()) : decodeServerMsgpack(data));
  });
  return receiver;
}

export function messagesOf(socket: FakeSocket, encoding: Encoding): ServerMessage[] {
  const messages: ServerMessage[] = [];
  const receiver = readerOf(encoding, (message) => messages.push(message));
  for (const bytes of socket.written) receiver.write(bytes);
  return messages;
}
