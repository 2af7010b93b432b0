/**
 * fan-out: one frame to 4,000 sockets through our fan-out, beside a C program that calls send() in a loop
 * and beside a Socket.IO room. CPU of the sending process per frame and socket; the readers are other
 * processes.
 */

import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { Server as SocketIo } from 'socket.io';
import { parseStreamId } from '../../crdt/ids.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { Fanout, webSocketMessage } from '../../src/edge/fanout.ts';
import type { FrameMessage } from '../../src/protocol/messages.ts';
import { NotMeasurable, collectGarbage, median, type Benchmark } from './measure.ts';

const SOCKETS = 4_000;
const FRAMES_PER_ROUND = 20;
const FRAME_MS = 100;
const ROUNDS = 5;
const PING_MS = 600_000;
const OF_C_MAX = 1.4;
const OF_SOCKET_IO_MIN = 2.5;
const STREAM = parseStreamId('derby');

/** Sends so many frames to all sockets and answers the CPU microseconds per frame and socket. */
interface Sender {
  readonly name: 'own' | 'c' | 'socketIo';
  send(frames: number): Promise<number>;
}

type Cleanup = () => unknown;

function frameOf(number: number): FrameMessage {
  const perEmoji = (value: number): Record<string, number> =>
    Object.fromEntries(['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'].map((emoji, index) => [emoji, value + index]));
  const at = 1_795_342_812_345 + number * 250;
  const staleness = { eu: 75, ap: 148 };
  return {
    type: 'frame', region: 'us', at, level: 'exact', totals: perEmoji(1_000_000 + number), rates: perEmoji(1234.5), hints: perEmoji(17), viewers: SOCKETS, staleness,
  };
}

async function startOwn(cleanups: Cleanup[]): Promise<Sender> {
  const fanout = new Fanout(realRuntime);
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    fanout.join(STREAM, socket, 'msgpack');
  });
  const port = await listen(server);
  cleanups.push(() => server.close());
  await startAudience('plain', port, cleanups);
  return {
    name: 'own',
    async send(frames) {
      const before = fanout.stats.framesWritten;
      const micros = await cpuMicrosOfFrames(frames, (number) => fanout.publish(STREAM, frameOf(number)));
      return micros / (fanout.stats.framesWritten - before);
    },
  };
}

async function startSocketIo(cleanups: Cleanup[]): Promise<Sender> {
  const server = createHttpServer();
  // Its pings are put off, or they would be charged to whoever is being measured in the same process.
  const io = new SocketIo(server, { transports: ['websocket'], perMessageDeflate: false, serveClient: false, pingInterval: PING_MS });
  io.on('connection', (socket) => void socket.join(STREAM));
  const port = await listen(server);
  cleanups.push(() => io.close());
  await startAudience('socket.io', port, cleanups);
  return {
    name: 'socketIo',
    async send(frames) {
      const micros = await cpuMicrosOfFrames(frames, (number) => {
        io.to(STREAM).emit('frame', webSocketMessage(frameOf(number), 'msgpack'));
      });
      return micros / (frames * SOCKETS);
    },
  };
}

async function startC(cleanups: Cleanup[]): Promise<Sender> {
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-bench-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const binary = path.join(folder, 'fan-out');
  try {
    execFileSync('cc', ['-O2', '-o', binary, sourceOf('fan-out.c')], { stdio: 'ignore' });
  } catch {
    throw new NotMeasurable('there is no C compiler for the floor to measure against (on Debian: apt-get install gcc libc6-dev)');
  }
  const bytes = webSocketMessage(frameOf(0), 'msgpack').length;
  const child = spawn(binary, [String(SOCKETS), String(bytes)], { stdio: ['pipe', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill());
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const readLine = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new NotMeasurable(`the C program ended: are ${SOCKETS} open files allowed?`);
    return value;
  };
  const audience = startAudience('plain', Number(await readLine()), cleanups);
  await Promise.all([audience, readLine()]);
  return {
    name: 'c',
    async send(frames) {
      child.stdin.write(`${frames} ${FRAME_MS}\n`);
      return Number(await readLine()) / (frames * SOCKETS);
    },
  };
}

async function cpuMicrosOfFrames(frames: number, send: (number: number) => void): Promise<number> {
  collectGarbage();
  const start = process.cpuUsage();
  for (let number = 0; number < frames; number++) {
    send(number);
    await pause(FRAME_MS);
  }
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

async function listen(server: net.Server): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 511 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function startAudience(kind: 'plain' | 'socket.io', port: number, cleanups: Cleanup[]): Promise<void> {
  const program = path.join(import.meta.dirname, `fan-out-clients${path.extname(import.meta.filename)}`);
  const child: ChildProcess = fork(program, [kind, String(port), String(SOCKETS)]);
  cleanups.push(() => child.kill());
  const [message] = (await once(child, 'message')) as [string];
  if (message !== 'ready') throw new NotMeasurable(message);
}

/** A file beside this one; from dist/ it is found in the source tree. */
function sourceOf(name: string): string {
  const candidates = [path.join(import.meta.dirname, name), path.resolve(import.meta.dirname, '../../../test/bench', name)];
  return candidates.find((candidate) => existsSync(candidate)) ?? candidates[0]!;
}

async function measure(cleanups: Cleanup[]): Promise<Record<Sender['name'], number>> {
  const senders = [await startC(cleanups), await startOwn(cleanups), await startSocketIo(cleanups)];
  const samples: Record<Sender['name'], number[]> = { own: [], c: [], socketIo: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, send } of senders) {
      const micros = await send(FRAMES_PER_ROUND);
      if (round > 0) samples[name].push(micros);
    }
  }
  return { own: median(samples.own), c: median(samples.c), socketIo: median(samples.socketIo) };
}

export const fanOut: Benchmark = {
  name: 'fan-out',
  description: `one frame to each of ${SOCKETS} sockets`,
  target: `≤ ${OF_C_MAX} × the CPU of a C send() loop; ≥ ${OF_SOCKET_IO_MIN} × less than Socket.IO`,
  async run() {
    const cleanups: Cleanup[] = [];
    try {
      const { own, c, socketIo } = await measure(cleanups);
      return {
        measured: `${own.toFixed(1)} µs of CPU a frame and socket`,
        baseline: `C send() ${c.toFixed(1)} µs, Socket.IO room ${socketIo.toFixed(1)} µs`,
        ratio: `${(own / c).toFixed(2)} × C, ${(socketIo / own).toFixed(1)} × less than Socket.IO`,
        reached: own <= c * OF_C_MAX && socketIo >= own * OF_SOCKET_IO_MIN,
        figures: { own, c, socketIo },
      };
    } finally {
      for (const cleanup of cleanups.toReversed()) cleanup();
    }
  },
};
