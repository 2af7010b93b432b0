/**
 * ended-streams: what is left of 10,000 streams that lived and ended, in the memory of a region and in its NATS.
 *
 * A real region on a real nats-server, without a database; its clock is moved on instead of waiting. Two viewers tap on
 * each stream, a moderator ends it. As many streams first, so that neither what is made once is counted nor the room that
 * tables keep for as many viewers as there ever were at a time. What must be left is the id, in the list of ended streams
 * and among those that the ledger has forgotten: it keeps the stream from ever being live again.
 */

import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { sleep, type Runtime } from '../../regions/runtime.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { endStream } from '../../src/moderation/policy-doc.ts';
import { updateMessage } from '../../src/moderation/sync-protocol.ts';
import { startRegion } from '../../src/region.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { NotMeasurable, readable, type Benchmark } from './measure.ts';

const STREAMS = 10_000;
const AT_ONCE = 100;
/** Beyond what contributions are kept, and everything else with it. */
const LATER_MS = 70 * 60_000;
/** Until documents of ended streams go; and until the log need not say any more that they have gone. */
const LONG_AFTER_MS = 130 * 60_000;
const LEFT_BYTES_MAX = 150;
/** Pages of the list, heartbeat, journal. */
const LEFT_MESSAGES_MAX = 50;
const WAIT_MS_MAX = 120_000;

interface Sample {
  readonly heap: number;
  readonly messages: number;
  readonly bytes: number;
}

async function run() {
  if (!natsAvailable) throw new NotMeasurable('no nats-server binary');
  let shiftMs = 0;
  const runtime: Runtime = { ...realRuntime, clock: { now: () => realRuntime.clock.now() + shiftMs } };
  const nats = await startNats();
  const { address, peerAddress } = nats;
  const region = await startRegion(
    {
      region: 'us',
      host: '127.0.0.1',
      port: 0,
      adminPort: 0,
      shardCount: 1,
      topology: { regions: new Map([['us', { nats: address, peer: peerAddress }]]) },
      databaseUrl: null,
      jwt: null,
      origins: ['*'],
      policy: DEFAULT_BASE,
      logLevel: 'silent',
      viewersMax: 1_000,
      proxies: 0,
    },
    undefined,
    { runtime },
  );
  const client = await connect({ servers: address.url, user: address.user ?? '', pass: address.password ?? '' });
  const manager = await jetstreamManager(client, { timeout: 30_000 });
  const http = `http://127.0.0.1:${region.port}`;

  const post = async (stream: string): Promise<number> => {
    const reactions = ['ann', 'bob'].map((viewer) => ({
      stream_id: stream,
      viewer_id: `${viewer}-of-${stream}`,
      emoji_id: 'heart',
      count_since_last: 3,
      session_id: `${viewer}-${stream}`,
      seq: 1,
      timestamp: runtime.clock.now(),
    }));
    const response = await fetch(`${http}/reactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(reactions) });
    await response.arrayBuffer();
    return response.status;
  };

  const end = (stream: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const doc = new Y.Doc();
      endStream(doc, { by: 'bench', at: Math.floor(runtime.clock.now()) });
      const socket = new WebSocket(`${http.replace('http', 'ws')}/control/stream.${stream}`);
      socket.on('open', () => {
        socket.send(updateMessage(Y.encodeStateAsUpdate(doc)));
        socket.close();
      });
      socket.on('error', reject);
      socket.on('close', () => resolve());
    });

  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${region.adminPort}/metrics`)).text();
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  };
  const until = async (what: string, condition: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + WAIT_MS_MAX;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
      await sleep(realRuntime.timers, 250);
    }
  };

  const inGroups = async (streams: readonly string[], act: (stream: string) => Promise<unknown>): Promise<void> => {
    for (let from = 0; from < streams.length; from += AT_ONCE) await Promise.all(streams.slice(from, from + AT_ONCE).map(act));
  };

  const stored = async (): Promise<{ readonly messages: number; readonly bytes: number }> => {
    let messages = 0;
    let bytes = 0;
    for await (const { state } of manager.streams.list()) {
      messages += state.messages;
      bytes += state.bytes;
    }
    return { messages, bytes };
  };

  const sample = async (): Promise<Sample> => {
    for (let round = 0; round < 3; round++) {
      globalThis.gc?.();
      await sleep(realRuntime.timers, 50);
    }
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return { heap: heapUsed + arrayBuffers, ...(await stored()) };
  };

  /** Lets streams live and end, and answers what there was while they lived and once they were over. */
  const lifetime = async (name: string, count: number): Promise<{ readonly alive: Sample; readonly over: Sample }> => {
    const streams = Array.from({ length: count }, (_, index) => `${name}-${index}`);
    await inGroups(streams, async (stream) => {
      const status = await post(stream);
      if (status !== 202) throw new Error(`a tap was answered ${status}`);
    });
    const alive = await sample();
    await inGroups(streams, end);
    await until('every stream refuses taps', async () => (await post(streams.at(-1)!)) === 410 || (await metric('reactions_policies_documents')) >= count);
    shiftMs += LATER_MS;
    await until('nothing is held', async () => {
      const held = await Promise.all(
        ['streams_held', 'streams_removalsWaiting', 'aggregator_streams', 'aggregator_sessions', 'aggregator_contributions'].map((gauge) => metric(`reactions_${snake(gauge)}`)),
      );
      return held.every((value) => value === 0);
    });
    shiftMs += LONG_AFTER_MS;
    await until('no document is kept', async () => (await metric('reactions_policies_documents')) + (await metric('reactions_replicator_documents_waiting')) === 0);
    shiftMs += LATER_MS;
    // The journal forgets at the next look, ten seconds later; the log lets go of a thousand removed documents a second.
    await until('the log has let go of the documents', async () => (await stored()).messages <= LEFT_MESSAGES_MAX);
    await sleep(realRuntime.timers, 11_000);
    if ((await post(streams[0]!)) !== 410) throw new Error('a tap on a stream that is over was taken');
    return { alive, over: await sample() };
  };

  try {
    const { over: before } = await lifetime('earlier', STREAMS);
    const { alive, over } = await lifetime('stream', STREAMS);
    const perStream = (over.heap - before.heap) / STREAMS;
    return {
      measured: `heap ${megabytes(before.heap)} → ${megabytes(alive.heap)} → ${megabytes(over.heap)}; NATS ${readable(before.messages)} → ${readable(alive.messages)} → ${readable(over.messages)} messages, ${megabytes(before.bytes)} → ${megabytes(alive.bytes)} → ${megabytes(over.bytes)}`,
      baseline: `${readable(STREAMS)} streams of two viewers after as many others: before, alive and over`,
      ratio: `${Math.round(perStream)} B of heap, ${over.messages - before.messages} messages more and ${Math.round((over.bytes - before.bytes) / STREAMS)} B of NATS a stream that is over`,
      reached: perStream <= LEFT_BYTES_MAX && over.messages - before.messages <= LEFT_MESSAGES_MAX,
      figures: {
        heapBefore: before.heap,
        heapAlive: alive.heap,
        heapOver: over.heap,
        messagesBefore: before.messages,
        messagesAlive: alive.messages,
        messagesOver: over.messages,
        bytesBefore: before.bytes,
        bytesAlive: alive.bytes,
        bytesOver: over.bytes,
      },
    };
  } finally {
    await client.close();
    await region.stop();
    await nats.stop();
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export const endedStreams: Benchmark = {
  name: 'ended-streams',
  description: 'what 10,000 streams that lived and ended leave behind',
  target: '150 B a stream, and no message: the id',
  run,
};
