/** Streams that move between shards while an earlier life goes on: what it writes until the last shard has begun is known, too. */

import { beforeEach, describe, expect, it } from 'vitest';
import { Ledger } from '../../crdt/ledger.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import type { ClaimRecord } from '../../src/hot-store/hot-store.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { DERBY, HEART } from './shard-life.ts';

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };

describe('a shard that a stream moves to', () => {
  let runtime: SimulatedRuntime;
  let journals: MemoryJournal[];
  let ledger: Ledger;

  beforeEach(() => {
    runtime = createSimulatedRuntime(3);
    journals = [new MemoryJournal(), new MemoryJournal()];
    ledger = new Ledger();
  });

  /** Of a region of so many shards, of which the last one has the stream. */
  const create = (shard: number, shardCount: number): Aggregator =>
    createAggregator({
      region: 'us',
      shard,
      owns: () => shard === shardCount - 1,
      hotStore: createMemoryStore(journals[shard]!, journals, shardCount),
      ledger,
      policyOf: () => DEFAULT_POLICY,
      runtime,
      log: QUIET,
      admission: () => null,
      windowsStoredBefore: () => 0,
      derivedBefore: () => 0,
      onCommit: () => {},
      onFenced: () => {},
      options: { peers: ['eu'] },
    });
  const send = async (shard: Aggregator, sequence: number, via?: readonly string[]): Promise<void> => {
    const batch = { stream: DERBY, viewer: 'v', device: null, address: null, session: 's', sequence, reactions: [[HEART, 2]] as const };
    shard.submit({ ...batch, ...(via === undefined ? {} : { via }) }, (reply) => expect(reply).toMatchObject({ kind: 'counted', accepted: 2 }));
    await runtime.runFor(20);
  };
  const hear = async (shard: Aggregator): Promise<void> => {
    shard.hear({ kind: 'verdict', from: 'eu', verdict: { stream: DERBY, session: 's', sequence: 1, verdict: 'counted', clamped: 0 } });
    await runtime.runFor(20);
  };
  const pending = (shard: Aggregator): ClaimRecord[] => [...shard.pendingClaims()].filter(({ rivals }) => rivals.length > 0);
  const total = (): number => ledger.tally(DERBY)?.counter(HEART)?.value ?? 0;
  const beginAll = async (young: readonly Aggregator[]): Promise<void> => {
    await runtime.settle(young[0]!.open());
    for (const shard of young) await runtime.settle(shard.start());
  };

  it('[AGG-55] [CLAIM-1] has what was claimed until the last shard had begun settled', async () => {
    const old = create(0, 1);
    await runtime.settle(old.start());
    const young = [create(0, 2), create(1, 2)] as const;
    await runtime.settle(young[1].open());
    await send(old, 1, ['eu']);
    await beginAll(young);
    expect(pending(young[1])).toMatchObject([{ sequence: 1, rivals: ['eu'] }]);
    await hear(young[1]);
    expect(total()).toBe(0);
  });

  it('[AGG-55] [CLAIM-1] gives nothing back that was given back until the last shard had begun', async () => {
    const old = create(0, 1);
    await runtime.settle(old.start());
    await send(old, 1, ['eu']);
    await send(old, 2);
    const young = [create(0, 2), create(1, 2)] as const;
    await runtime.settle(young[1].open());
    await hear(old);
    expect(total()).toBe(2);
    await beginAll(young);
    expect(pending(young[1])).toEqual([]);
    await hear(young[1]);
    expect(total()).toBe(2);
  });

  it('[AGG-56] keeps in its own journal what it has from another one, which may then be lost', async () => {
    const old = create(0, 1);
    await runtime.settle(old.start());
    await send(old, 1);
    await beginAll([create(0, 2), create(1, 2)]);
    journals[0]!.wipe();
    const young = [create(0, 2), create(1, 2)] as const;
    await beginAll(young);
    await send(young[1], 1);
    expect(young[1].stats).toMatchObject({ duplicates: 1 });
    expect(total()).toBe(2);
  });
});
