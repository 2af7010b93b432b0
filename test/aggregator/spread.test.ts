/** A stream that several shards of a region count, over lives in which it is spread differently. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { FlaggedViewer } from '../../src/antispam/flagged.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import { Spreads, joinFlagged, shardsOf } from '../../src/aggregator/spread.ts';
import { bookEntries } from '../../src/broadcaster/books.ts';
import { compareBooks } from '../../src/cli/audit/compare-books.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY, type Mute, type Policy } from '../../src/moderation/policy.ts';
import { muting } from '../support/muting.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { DERBY, HEART, counted } from './shard-life.ts';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const SHARDS = 4;
const MUTE: Mute = { until: null, by: 'm', reason: 'bot', retractFrom: 0, at: 0, liftedAt: null };
const SESSIONS = Array.from({ length: 40 }, (_, index) => `s${index}`);

class SpreadRegion {
  readonly ledger = new Ledger();
  readonly shards: Aggregator[] = [];
  readonly spreads = new Spreads(SHARDS);
  readonly #runtime: SimulatedRuntime;
  policy: Policy;

  constructor(runtime: SimulatedRuntime, journals: readonly MemoryJournal[], spread: number, policy: Policy = DEFAULT_POLICY) {
    this.#runtime = runtime;
    this.policy = policy;
    this.spreads.read([DERBY], () => spread, 1);
    for (let shard = 0; shard < SHARDS; shard++) {
      this.shards.push(
        createAggregator({
          region: 'us',
          shard,
          owns: (stream, origin) => this.spreads.owns(shard, stream, origin),
          hotStore: createMemoryStore(journals[shard]!, journals),
          ledger: this.ledger,
          policyOf: () => this.policy,
          runtime,
          log: quiet,
          admission: () => null,
          windowsStoredBefore: () => 0,
          derivedBefore: () => 0,
          onCommit: () => {},
          onFenced: () => {},
          options: { peers: ['eu'] },
        }),
      );
    }
  }

  start(): Promise<unknown> {
    const open = Promise.all(this.shards.map((shard) => shard.open()));
    return this.#runtime.settle(open.then(() => Promise.all(this.shards.map((shard) => shard.start()))));
  }

  stop(): Promise<unknown> {
    return this.#runtime.settle(Promise.all(this.shards.map((shard) => shard.stop())));
  }

  async send(batches: readonly Partial<Batch>[]): Promise<IngestReply[]> {
    const replies: IngestReply[] = [];
    for (const [index, fields] of batches.entries()) {
      const batch: Batch = { stream: DERBY, viewer: 'v', device: null, address: null, session: null, sequence: 1, reactions: [[HEART, 2]], ...fields };
      this.shards[this.spreads.shardOfBatch(batch)]!.submit(batch, (reply) => (replies[index] = reply));
    }
    await this.#runtime.runFor(100);
    return replies;
  }

  async order(policy: Policy): Promise<void> {
    this.policy = policy;
    for (const shard of this.spreads.shardsOf(DERBY)) this.shards[shard]!.policyChanged(DERBY);
    await this.#runtime.runFor(100);
  }

  total(): number {
    return this.ledger.tally(DERBY)?.counter(HEART)?.value ?? 0;
  }

  /** What an audit of this region alone says. */
  differences(): readonly unknown[] {
    const own = this.spreads.shardsOf(DERBY).map((shard) => this.shards[shard]!);
    const entries = bookEntries(this.ledger.tally(DERBY));
    const actors = own.map(({ actor }) => actor!);
    const acknowledged = own.reduce((taps, shard) => taps + shard.acknowledged(DERBY), 0);
    return compareBooks([{ region: 'us', digest: 'd', actor: actors[0]!, actors, acknowledged, entries, stored: entries }]).differences;
  }
}

describe('a stream spread over shards', () => {
  let runtime: SimulatedRuntime;
  let journals: MemoryJournal[];

  beforeEach(() => {
    runtime = createSimulatedRuntime(11);
    journals = Array.from({ length: SHARDS }, () => new MemoryJournal());
  });

  const begin = async (spread: number, policy?: Policy): Promise<SpreadRegion> => {
    const region = new SpreadRegion(runtime, journals, spread, policy);
    await region.start();
    return region;
  };
  const batches = SESSIONS.map((session, index) => ({ session, viewer: index < 30 ? 'cheater' : session, device: index < 10 ? 'phone' : null }));
  const generous = { ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, viewer: { tapsPerSecondMax: 1000, tapBurstMax: 1000 } } };

  it('[AGG-50] is counted by its home shard and the next ones, by session, or by viewer where there is none', async () => {
    expect(shardsOf(DERBY, 256, 3)).toHaveLength(3);
    expect(shardsOf(DERBY, 3, SHARDS)).toEqual([0, 1, 2].map((next) => (shardsOf(DERBY, 1, SHARDS)[0]! + next) % SHARDS));
    const region = await begin(4, generous);
    expect(await region.send(batches)).toEqual(batches.map(() => counted(2)));
    expect(await region.send(batches)).toEqual(batches.map(() => counted(2, 0, true)));
    await region.send(SESSIONS.map((viewer) => ({ viewer, sequence: 0 })));
    expect(region.total()).toBe(160);
    for (const shard of region.shards) expect(shard.acknowledged(DERBY)).toBeGreaterThan(0);
    expect(region.differences()).toEqual([]);
    // Another stream stays in one shard.
    expect(region.spreads.shardsOf('other' as StreamId)).toHaveLength(1);
    await region.stop();
  });

  it('[AGG-51] keeps the spread that it was started with, whatever is read of the policies later', () => {
    let spread = 4;
    const spreads = new Spreads(SHARDS);
    expect(spreads.shardsOf(DERBY)).toHaveLength(1);
    spreads.read([DERBY], () => spread, 1);
    spread = 2;
    expect(spreads.shardsOf(DERBY)).toHaveLength(4);
    const all = new Spreads(SHARDS);
    all.read([DERBY], () => 1, 2);
    expect([DERBY, 'other' as StreamId].map((stream) => all.shardsOf(stream).length)).toEqual([1, 2]);
  });

  it('[AGG-52] is taken back from once, in all its shards, and over lives of another spread nothing counts twice', async () => {
    let region = await begin(4, generous);
    await region.send(batches);
    expect(region.total()).toBe(80);
    const notesIn = ({ shards }: SpreadRegion): number[] => shards.map((shard) => shard.stats['contributions']!);
    const all = notesIn(region).reduce((sum, size) => sum + size);
    let policy: Policy = { ...muting({}, { phone: MUTE }), limits: generous.limits };
    await region.order(policy);
    expect(region.total()).toBe(60);
    expect(region.differences()).toEqual([]);
    for (const [spread, total] of [[1, 60], [2, 20], [4, 20], [3, 20]] as const) {
      await region.stop();
      // A mute of before the life, heard again, and from the second on one more.
      if (spread === 2) policy = { ...muting({ cheater: MUTE }, { phone: MUTE }), limits: generous.limits };
      region = await begin(spread, policy);
      await runtime.runFor(100);
      expect(region.total()).toBe(total);
      expect(await region.send(batches)).toEqual(batches.map(() => counted(2, 0, true)));
      expect(region.total()).toBe(total);
      expect(region.differences()).toEqual([]);
      expect(notesIn(region).filter((size) => size > 0)).toHaveLength(spread);
      expect(notesIn(region).reduce((sum, size) => sum + size)).toBe(all);
    }
    await region.stop();
  });

  it.each([1, 2, 4])('[AGG-52] settles a claim once that a life before made in one of four shards, in one of %i', async (spread) => {
    let region = await begin(4, generous);
    await region.send(batches.map((batch) => ({ ...batch, via: ['eu'] })));
    await region.stop();
    region = await begin(spread, generous);
    const pending = region.shards.flatMap((shard) => [...shard.pendingClaims()]);
    expect(pending).toHaveLength(40);
    for (let time = 0; time < 2; time++) {
      for (const { session } of batches) {
        const verdict = { stream: DERBY, session, sequence: 1, verdict: 'counted', clamped: 0 } as const;
        for (const shard of region.spreads.shardsOf(DERBY)) region.shards[shard]!.hear({ kind: 'verdict', from: 'eu', verdict });
      }
      await runtime.runFor(100);
      expect(region.total()).toBe(0);
    }
    await region.stop();
  });

  it('[AGG-53] shows each suspect once, with the highest score', () => {
    const one = (viewer: string, score: number) => ({ viewer, score }) as FlaggedViewer;
    const joined = joinFlagged([[one('a', 50), one('b', 46)], [one('b', 90)], []]);
    expect(joined.map(({ viewer, score }) => [viewer, score])).toEqual([['b', 90], ['a', 50]]);
    expect(joinFlagged([[], Array.from({ length: 150 }, (_, index) => one(`v${index}`, 50))])).toHaveLength(100);
  });
});
