/**
 * Claims between whole regions on virtual time: real aggregators, desks and replicators, over logs and links that are cut, with
 * processes that are killed and come back from their journals.
 */

import { describe, expect, it } from 'vitest';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../regions/memory-log.ts';
import { createReplicator, type Replicator } from '../../regions/replicator.ts';
import type { Log } from '../../regions/runtime.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import { ClaimsDesk } from '../../src/aggregator/claims-desk.ts';
import { sessionsHeldFrom } from '../../src/aggregator/claims-horizon.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';

const NAMES = ['us', 'eu', 'ap'];
const DERBY = 'derby' as StreamId;
const HEART = 'heart' as EmojiId;
const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };
const policy = { ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, viewer: { tapBurstMax: 12, tapsPerSecondMax: 4 } } };

/** One life of a region. */
class RegionLife {
  readonly ledger = new Ledger();
  readonly aggregator: Aggregator;
  readonly replicator: Replicator;
  readonly desk: ClaimsDesk;
  isAlive = true;

  constructor(runtime: SimulatedRuntime, network: MemoryNetwork, name: string, journal: MemoryJournal) {
    const peers = NAMES.filter((peer) => peer !== name);
    const startedAt = runtime.clock.now();
    this.desk = new ClaimsDesk({
      region: name,
      shardFor: () => this.aggregator,
      shards: () => [this.aggregator],
      markDocument: (key) => this.replicator.markDocument(key),
      lacksDocument: (key) => this.replicator.lacksDocument(key),
      heardAt: (peer) => this.replicator.documentsHeardAt(peer),
      runtime,
      log: QUIET,
    });
    this.replicator = createReplicator({
      region: name,
      ledger: this.ledger,
      runtime,
      log: QUIET,
      writer: network.writer(name),
      readers: new Map(peers.map((peer) => [peer, network.reader(peer, name)])),
      documents: this.desk.kinds,
      ownViewers: () => new Map(),
      currentActors: () => new Map(this.aggregator.actor === null ? [] : [[this.aggregator.actor, this.aggregator.sequence]]),
      onFenced: () => {},
      onIdentityClash: (actor) => expect(actor, 'nobody else counts as it').toBeNull(),
    });
    this.aggregator = createAggregator({
      region: name,
      shard: 0,
      owns: () => true,
      hotStore: createMemoryStore(journal),
      ledger: this.ledger,
      runtime,
      log: QUIET,
      policyOf: () => policy,
      admission: () => null,
      derivedBefore: () => runtime.clock.now() - this.replicator.oldestDirtyMs(),
      windowsStoredBefore: () => 0,
      sessionsHeldFrom: () => sessionsHeldFrom(runtime.clock.now(), startedAt, peers.map((peer) => this.replicator.documentsHeardAt(peer))),
      onCommit: (commit) => {
        if (this.isAlive) this.desk.committed(commit);
      },
      onFenced: () => {},
      options: { peers },
    });
  }

  async start(): Promise<void> {
    await this.replicator.recover();
    await this.aggregator.start();
    this.desk.start();
    this.replicator.start();
  }

  total(): number {
    return this.ledger.tally(DERBY)?.counter(HEART)?.value ?? 0;
  }
}

function withClock(runtime: SimulatedRuntime, offsetMs: number): SimulatedRuntime {
  return { ...runtime, clock: { now: () => runtime.clock.now() + offsetMs } };
}

interface Sent {
  readonly session: string;
  readonly sequence: number;
  readonly taps: number;
  readonly visits: string[];
  acknowledged: number | null;
}

async function run(seed: number): Promise<{ moved: number; kills: number }> {
  const runtime = createSimulatedRuntime(seed);
  const network = createMemoryNetwork(runtime);
  const below = (bound: number): number => Math.floor(runtime.random.next() * bound);
  const pick = (): string => NAMES[below(NAMES.length)]!;
  const journals = new Map(NAMES.map((name) => [name, new MemoryJournal()]));
  const regions = new Map<string, RegionLife>();
  const boot = async (name: string): Promise<void> => {
    // No two clocks need be alike.
    const life = new RegionLife(withClock(runtime, (below(3) - 1) * 3_600_000), network, name, journals.get(name)!);
    await runtime.settle(life.start());
    regions.set(name, life);
  };
  for (const name of NAMES) await boot(name);
  let kills = 0;
  const kill = async (name: string): Promise<void> => {
    const life = regions.get(name)!;
    regions.delete(name);
    kills += 1;
    // Whatever is in flight may still become durable; nobody hears of it.
    life.isAlive = false;
    life.desk.stop();
    await runtime.settle(Promise.all([life.replicator.stop(), life.aggregator.stop()]));
  };
  /** Batch → what each region that counted it had of it. */
  const countings = new Map<Sent, number[]>();
  const all: Sent[] = [];
  const send = (batch: Sent, to: string, answersArrive: boolean): void => {
    const life = regions.get(to);
    if (batch.visits.at(-1) !== to) batch.visits.push(to);
    const via = batch.visits.slice(0, -1);
    if (life === undefined) return;
    life.aggregator.submit(
      {
        stream: DERBY,
        viewer: batch.session,
        device: null,
        address: null,
        session: batch.session,
        sequence: batch.sequence,
        reactions: [[HEART, batch.taps]],
        ...(via.length === 0 ? {} : { via }),
      },
      (reply) => {
        if (reply.kind !== 'counted') return;
        if (!reply.duplicate) countings.set(batch, [...(countings.get(batch) ?? []), reply.accepted]);
        if (life.isAlive && answersArrive) batch.acknowledged ??= reply.accepted;
      },
    );
  };
  const places = new Map<string, string>();
  for (let turn = 0; turn < 120; turn++) {
    await runtime.runFor(below(400));
    const session = `s${below(4)}`;
    const place = places.get(session) ?? pick();
    places.set(session, place);
    const unanswered = all.filter((batch) => batch.session === session && batch.acknowledged === null);
    const chance = below(100);
    if (chance < 35 && unanswered.length < 20) {
      const sequence = 1 + all.filter((batch) => batch.session === session).length;
      const batch = { session, sequence, taps: 1 + below(5), visits: [], acknowledged: null };
      all.push(batch);
      send(batch, place, below(2) === 0);
    } else if (chance < 60) {
      if (unanswered.every(({ visits }) => visits.length < 8)) places.set(session, pick());
      for (const batch of unanswered) send(batch, places.get(session)!, below(2) === 0);
    } else if (chance < 75) {
      network.cut(pick(), pick());
    } else if (chance < 90) {
      network.heal(pick(), pick());
    } else if (chance < 95) {
      const name = pick();
      if (regions.has(name)) await kill(name);
    } else {
      for (const name of NAMES) if (!regions.has(name)) await boot(name);
    }
  }
  for (const a of NAMES) for (const b of NAMES) network.heal(a, b);
  for (const name of NAMES) if (!regions.has(name)) await boot(name);
  for (let round = 0; round < 60 && all.some(({ acknowledged }) => acknowledged === null); round++) {
    for (const batch of all) if (batch.acknowledged === null) send(batch, places.get(batch.session)!, true);
    await runtime.runFor(2000);
  }
  await runtime.runFor(60_000);

  const truth = all.reduce((sum, batch) => sum + Math.max(0, ...(countings.get(batch) ?? [])), 0);
  for (const [name, life] of regions) {
    expect(life.total(), `seed ${seed}: ${name}`).toBe(truth);
    expect(life.aggregator.stats['claimsPending'], `seed ${seed}: ${name}`).toBe(0);
    expect(network.log(name).snapshot().messages.filter(({ key, payload }) => key.startsWith('doc.') && payload.length > 0), `seed ${seed}: ${name}`).toEqual([]);
  }
  for (const batch of all) expect(batch.acknowledged, `seed ${seed}`).not.toBeNull();
  const moved = [...countings.values()].filter((each) => each.length > 1).length;
  for (const life of regions.values()) {
    life.desk.stop();
    await runtime.settle(Promise.all([life.replicator.stop(), life.aggregator.stop()]));
  }
  return { moved, kills };
}

describe('regions with claims', () => {
  it('[CLAIM-1] [CLAIM-2] agree on one count of each batch after cuts, kills and moves, and nothing is left of the claims', async () => {
    const occurred = { moved: 0, kills: 0 };
    for (let seed = 1; seed <= 12; seed++) {
      const { moved, kills } = await run(seed);
      occurred.moved += moved;
      occurred.kills += kills;
    }
    expect(occurred.moved).toBeGreaterThan(10);
    expect(occurred.kills).toBeGreaterThan(10);
  }, 60_000);

  it.each([
    ['the claimant’s is an hour ahead', 3_600_000, 0],
    ['the rival’s is set forward between two lives', 1_200_000, 1_200_000],
  ])('[CLAIM-6] what was counted is known after twenty minutes without a word of the claimant, whatever the clocks say: %s', async (_, ahead, forward) => {
    const runtime = createSimulatedRuntime(1);
    const network = createMemoryNetwork(runtime);
    const journals = new Map(NAMES.map((name) => [name, new MemoryJournal()]));
    const boot = async (name: string, offsetMs: number): Promise<RegionLife> => {
      const life = new RegionLife(withClock(runtime, offsetMs), network, name, journals.get(name)!);
      await runtime.settle(life.start());
      return life;
    };
    const stop = (life: RegionLife): Promise<unknown> => {
      life.isAlive = false;
      life.desk.stop();
      return runtime.settle(Promise.all([life.replicator.stop(), life.aggregator.stop()]));
    };
    const batch = { stream: DERBY, viewer: 'v', device: null, address: null, session: 's', sequence: 1, reactions: [[HEART, 5]] as const };
    const eu = await boot('eu', 0);
    const us = await boot('us', ahead);
    let ap = await boot('ap', 0);
    const restart = async (): Promise<void> => {
      await stop(ap);
      ap = await boot('ap', forward);
    };
    await runtime.runFor(5_000);
    ap.aggregator.submit(batch, () => {});
    await runtime.runFor(1_000);
    if (forward > 0) await restart();
    await runtime.runFor(15_000);
    network.cut('us', 'ap');
    network.cut('ap', 'us');
    us.aggregator.submit({ ...batch, via: ['ap'] }, () => {});
    await runtime.runFor(1_200_000);
    await restart();
    network.heal('us', 'ap');
    network.heal('ap', 'us');
    await runtime.runFor(10_000);
    for (const life of [us, eu, ap]) expect(life.total()).toBe(5);
    expect(us.aggregator.stats).toMatchObject({ claimsSettled: 1, claimsUnknown: 0, tapsGivenBack: 5 });
    for (const life of [us, eu, ap]) await stop(life);
  });
});
