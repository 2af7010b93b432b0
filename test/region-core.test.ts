/** The core of a region on simulated time: what ends, and what does not, when it is fenced or a part of it fails. */

import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { actorId } from '../crdt/actor.ts';
import type { EmojiId, StreamId } from '../crdt/ids.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../regions/memory-log.ts';
import type { Batch, IngestReply } from '../src/aggregator/ingest.ts';
import { createMemoryWindowQueue } from '../src/analytics/memory-window-queue.ts';
import { MemoryJournal, createMemoryStore } from '../src/hot-store/memory-store.ts';
import { setLevel } from '../src/moderation/policy-doc.ts';
import { DEFAULT_BASE } from '../src/moderation/policy.ts';
import { createRegionCore, type RegionCore } from '../src/region-core.ts';
import { keptLog } from './analytics/kept-log.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from './support/simulated-runtime.ts';

function world() {
  const runtime = createSimulatedRuntime(1);
  const network = createMemoryNetwork(runtime);
  const journal = new MemoryJournal();
  const fences: string[] = [];
  const log = keptLog();
  const core = (): RegionCore =>
    createRegionCore({
      region: 'us',
      shardCount: 1,
      base: DEFAULT_BASE,
      runtime,
      log,
      logWriter: network.writer('us'),
      logReaders: new Map(),
      hotStore: () => createMemoryStore(journal),
      windowQueue: createMemoryWindowQueue(),
      windowStore: null,
      onFenced: (by) => void fences.push(by),
    });
  return { runtime, network, journal, fences, log, core };
}

function lastSequence(network: MemoryNetwork): number {
  return network.log('us').snapshot().lastSequence;
}

function tap(runtime: SimulatedRuntime, { ingest }: RegionCore, sequence: number): Promise<IngestReply> {
  const batch: Batch = {
    stream: 'derby' as StreamId,
    viewer: 'ann',
    device: null,
    address: null,
    session: 'session',
    sequence,
    reactions: [['heart' as EmojiId, 1]],
  };
  return runtime.settle(new Promise((resolve) => ingest.submit(batch, resolve)));
}

describe('the core of a region', () => {
  it('[REP-28] that lost its shard publishes nothing more, at its stop neither', async () => {
    const { runtime, network, journal, fences, core } = world();
    const region = core();
    await runtime.settle(region.start());
    await tap(runtime, region, 1);
    const successor = createMemoryStore(journal);
    await successor.recover(() => {});
    expect(await successor.begin(actorId({ region: 'us', shard: 0, epoch: runtime.clock.now() + 60_000 }))).toBe(true);
    await tap(runtime, region, 2);
    expect(fences).toEqual(['shard']);
    await runtime.runFor(100);
    const sequence = lastSequence(network);
    const doc = new Y.Doc();
    setLevel(doc, 'hearts', { by: 'ada', at: 1 });
    region.plane.apply('global', Y.encodeStateAsUpdate(doc), 'ada');
    await runtime.runFor(5_000);
    await runtime.settle(region.stop());
    expect(lastSequence(network)).toBe(sequence);
    expect(runtime.pendingTimers).toBe(0);
  });

  it('[REP-27] goes on when what it does now and then fails', async () => {
    const { runtime, log, core } = world();
    const region = core();
    await runtime.settle(region.start());
    region.plane.compact = () => {
      throw new Error('a document that cannot be compacted');
    };
    await runtime.runFor(21 * 60_000);
    expect(log.lines.filter(({ message }) => message.startsWith('compacting policies failed'))).toHaveLength(2);
    await runtime.settle(region.stop());
  });
});
