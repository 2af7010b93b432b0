/**
 * edge-ingest: batches over WebSocket, each a read of its own, through edge and aggregator to the commit
 * and its acknowledgement, beside a bare `net` server that reads the same frames and does nothing. A
 * second `net` server writes as many bytes back as an acknowledgement has: what answering costs anybody.
 */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Log } from '../../regions/runtime.ts';
import { createAggregator } from '../../src/aggregator/aggregator.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Frame, FrameFeed } from '../../src/broadcaster/frame-feed.ts';
import { createEdge } from '../../src/edge/server.ts';
import { webSocketMessage } from '../../src/edge/fanout.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { NotMeasurable, collectGarbage, median, readable, type Benchmark } from './measure.ts';

const SOCKETS = 1_000;
const BATCHES_PER_ROUND = 20;
const MESSAGES_PER_ROUND = SOCKETS * BATCHES_PER_ROUND;
const ROUNDS = 5;
const OF_NET_MIN = 0.6;
const WAIT_MS_MAX = 60_000;
const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

type Cleanup = () => unknown;

interface Server {
  readonly name: 'own' | 'net' | 'netAnswering';
  readonly viewers: ChildProcess;
  /** Messages dealt with so far. */
  readonly done: () => number;
}

function quietFeed(): FrameFeed {
  const empty = (stream: StreamId): Frame => ({
    stream, region: 'us', at: realRuntime.clock.now(), level: 'exact', totals: {}, rates: {}, hints: {}, viewers: 0, staleness: {},
  });
  return {
    watch() {},
    onFrame: () => () => {},
    read: (stream) => Promise.resolve(empty(stream)),
    books: () => Promise.reject(new Error('nobody asks for the books')),
    streams: () => Promise.reject(new Error('nobody asks for the streams')),
  };
}

async function startOwn(cleanups: Cleanup[]): Promise<Server> {
  const aggregator = createAggregator({
    region: 'us', shard: 0, owns: () => true, hotStore: createMemoryStore(new MemoryJournal()), ledger: new Ledger(), runtime: realRuntime, log: QUIET,
    windowsStoredBefore: () => 0, derivedBefore: () => Infinity, policyOf: () => DEFAULT_POLICY, admission: () => null, onCommit() {}, onFenced() {},
  });
  await aggregator.start();
  const edge = await createEdge({
    region: 'us', config: { host: '127.0.0.1', port: 0, origins: ['*'], jwt: null, viewersMax: 2 * SOCKETS },
    ingest: aggregator, feed: quietFeed(), history: null, stored: null, peers: () => ({}), policyOf: () => DEFAULT_POLICY, runtime: realRuntime, log: QUIET,
  });
  const { port } = await edge.listen();
  cleanups.push(() => edge.stop({ graceMs: 0 }).then(() => aggregator.stop()));
  return { name: 'own', viewers: await startViewers('edge', port, cleanups), done: () => edge.stats.acks };
}

async function startNet(name: 'net' | 'netAnswering', cleanups: Cleanup[]): Promise<Server> {
  const answer = webSocketMessage({ type: 'ack', seq: 1, accepted: 1, clamped: 0, duplicate: false }, 'msgpack');
  let reads = 0;
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', () => {
      reads += 1;
      if (name === 'netAnswering') socket.write(answer);
    });
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 511 });
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const viewers = await startViewers('plain', (server.address() as AddressInfo).port, cleanups);
  return { name, viewers, done: () => reads };
}

async function startViewers(kind: 'edge' | 'plain', port: number, cleanups: Cleanup[]): Promise<ChildProcess> {
  const program = path.join(import.meta.dirname, `edge-ingest-clients${path.extname(import.meta.filename)}`);
  const child = fork(program, [kind, String(port), String(SOCKETS)]);
  cleanups.push(() => child.kill());
  const [message] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown];
  if (message !== 'ready') throw new NotMeasurable(`the viewers' process ended: are ${SOCKETS} open files allowed?`);
  return child;
}

/** CPU microseconds of this process per message. */
async function cpuMicrosOfRound({ name, viewers, done }: Server): Promise<number> {
  collectGarbage();
  const goal = done() + MESSAGES_PER_ROUND;
  const deadline = performance.now() + WAIT_MS_MAX;
  const start = process.cpuUsage();
  viewers.send(BATCHES_PER_ROUND);
  while (done() < goal) {
    if (performance.now() > deadline) throw new Error(`${name}: ${goal - done()} messages are missing`);
    await pause(10);
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / MESSAGES_PER_ROUND;
}

export const edgeIngest: Benchmark = {
  name: 'edge-ingest',
  description: `batches of ${SOCKETS} WebSockets, one a read, to the commit and its acknowledgement`,
  target: `≥ ${OF_NET_MIN} × the messages per CPU-second of a bare net server that reads the same frames`,
  async run() {
    const cleanups: Cleanup[] = [];
    const samples: Record<Server['name'], number[]> = { own: [], net: [], netAnswering: [] };
    try {
      const servers = [await startOwn(cleanups), await startNet('net', cleanups), await startNet('netAnswering', cleanups)];
      for (let round = 0; round <= ROUNDS; round++) {
        for (const server of servers) {
          const micros = await cpuMicrosOfRound(server);
          if (round > 0) samples[server.name].push(micros);
        }
      }
    } finally {
      for (const cleanup of cleanups.toReversed()) await cleanup();
    }
    const [own, bare, answering] = [samples.own, samples.net, samples.netAnswering].map((micros) => 1e6 / median(micros));
    return {
      measured: `${readable(own!)} batches per CPU-second, acknowledged`,
      baseline: `net reading: ${readable(bare!)}; net reading and writing an answer: ${readable(answering!)}`,
      ratio: `${(own! / bare!).toFixed(2)} × net, ${(own! / answering!).toFixed(2)} × net that answers`,
      reached: own! / bare! >= OF_NET_MIN,
      figures: { own: own!, net: bare!, netAnswering: answering! },
    };
  },
};
