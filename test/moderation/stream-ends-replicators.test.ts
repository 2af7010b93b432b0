/** Streams that end in three regions with real replicators, on a simulated network, until nothing of them is kept but their ids. */

import { describe, expect, it } from 'vitest';
import { actorId } from '../../crdt/actor.ts';
import type { StreamId } from '../../crdt/ids.ts';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import type { ReplicationOptions } from '../../regions/replication.ts';
import { createReplicator, type Replicator } from '../../regions/replicator.ts';
import { endStream, mute } from '../../src/moderation/policy-doc.ts';
import { policyDocuments } from '../../src/moderation/policy-documents.ts';
import { DOCUMENT_GRACES } from '../../src/moderation/stream-life.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { ADA, DERBY, DERBY_DOCUMENT, GRACE_MS, NAMES, idsOf, lifeOf, row, silent, write, type Life, type Name } from './region-lives.ts';

/** Regions with real replicators, on a simulated network. */
class Simulated {
  readonly runtime: SimulatedRuntime = createSimulatedRuntime(7);
  readonly network;
  readonly lives = new Map<Name, Life & { readonly replicator: Replicator; stop(): Promise<void> }>();
  #epoch = 0;

  constructor(logBytesMax?: number) {
    this.network = createMemoryNetwork(this.runtime, logBytesMax === undefined ? {} : { logBytesMax });
  }

  async boot(name: Name, options: Partial<ReplicationOptions> = {}): Promise<void> {
    const { clock, timers } = this.runtime;
    const actor = actorId({ region: name, shard: 0, epoch: (this.#epoch += 1) });
    const life = lifeOf({
      clock,
      mark: (key) => replicator.markDocument(key),
      isLogged: (key) => replicator.holdsDocument(key),
      forget: (streams) => replicator.forget(streams),
      derivedBefore: () => clock.now() - replicator.oldestUntriedMs(),
    });
    const replicator: Replicator = createReplicator({
      region: name,
      ledger: life.ledger,
      runtime: this.runtime,
      log: silent,
      writer: this.network.writer(name),
      readers: new Map(NAMES.filter((peer) => peer !== name).map((peer) => [peer, this.network.reader(peer, name)])),
      documents: [policyDocuments(life.plane), life.ends.documents],
      ownViewers: () => [],
      currentActors: () => new Map([[actor, life.ledger.sequence(actor)]]),
      onFenced: () => expect.unreachable('fenced'),
      onIdentityClash: () => expect.unreachable('clash'),
      options: { tombstoneMs: 20_000, ...options },
    });
    await this.runtime.settle(replicator.recover());
    life.ends.sweep();
    const stopSweeping = timers.every(1_000, () => life.ends.sweep());
    replicator.start();
    const stop = async (): Promise<void> => {
      stopSweeping();
      await this.runtime.settle(replicator.stop());
    };
    this.lives.set(name, { ...life, replicator, stop });
  }

  life(name: Name) {
    return this.lives.get(name)!;
  }

  count(name: Name, taps: number, stream = DERBY): void {
    const { ledger } = this.life(name);
    const epoch = 1 + NAMES.indexOf(name);
    ledger.join(row(name, epoch, ledger.sequence(row(name, epoch, 0).actor) + taps, stream));
  }

  keysOf(name: Name): string[] {
    return this.network.log(name).snapshot().messages.map(({ key }) => key).filter((key) => key !== 'heartbeat').sort();
  }
}

describe('streams that end, on replicators', () => {
  it('[MOD-35] a region that was away from before a stream ended until it was listed comes back with the live document: ended there too, equal everywhere, no row taken for lost', async () => {
    const world = new Simulated();
    const { runtime, network } = world;
    for (const name of NAMES) await world.boot(name);
    write(world.life('us').plane, (doc) => mute(doc, { kind: 'viewer', id: 'bot' }, ADA));
    for (const name of NAMES) world.count(name, 3);
    for (const name of NAMES) world.count(name, 1, 'other' as StreamId);
    await runtime.runFor(5_000);
    const readAnew = (): number[] => NAMES.map((name) => world.life(name).replicator.stats.repairs);
    const before = readAnew();
    for (const near of ['us', 'eu'] as const) for (const [from, to] of [[near, 'ap'], ['ap', near]] as const) network.cut(from, to);
    write(world.life('us').plane, (doc) => endStream(doc, { by: 'ada', at: runtime.clock.now() }));
    await runtime.runFor((DOCUMENT_GRACES + 2) * GRACE_MS + 30_000);
    world.count('ap', 7);
    await runtime.runFor(5_000);
    for (const name of ['us', 'eu'] as const) {
      expect(world.keysOf(name).some((key) => key.includes('derby'))).toBe(false);
      expect(idsOf(world.life(name).ended)).toEqual(['derby']);
    }
    expect(world.life('ap').plane.policyOf(DERBY).state).toBe('live');

    for (const near of ['us', 'eu'] as const) for (const [from, to] of [[near, 'ap'], ['ap', near]] as const) network.heal(from, to);
    const ap = world.life('ap');
    await runtime.runUntil(() => ap.plane.policyOf(DERBY).state === 'ended', 20_000);
    await runtime.runUntil(() => ap.ledger.hasForgotten(DERBY), 3_000);
    // Its viewers may still resend what was counted there.
    expect(ap.ends.isOver(DERBY)).toBe(false);
    expect(ap.plane.state(DERBY_DOCUMENT)).not.toBe(null);
    await runtime.runFor(2 * GRACE_MS + 30_000);
    expect(ap.ends.isOver(DERBY)).toBe(true);
    const agreed = (): void => {
      for (const name of NAMES) {
        const { plane, ended, ledger, replicator } = world.life(name);
        expect(plane.policyOf(DERBY).state).toBe('ended');
        expect([...plane.documents()]).toEqual([]);
        expect(idsOf(ended)).toEqual(['derby']);
        expect(ledger.tally(DERBY)).toBeUndefined();
        expect(replicator.stats.custodyRowsPublished).toBe(0);
        expect(ledger.forgottenDigest()).toBe(world.life('us').ledger.forgottenDigest());
        expect(replicator.peers().map(({ digestEqual }) => digestEqual)).toEqual([true, true]);
        expect(world.keysOf(name).some((key) => key.includes('derby'))).toBe(false);
      }
    };
    agreed();
    // Logs say for an hour that a document is gone: who was away for longer reads each once from its first message.
    expect(readAnew()).toEqual([before[0], before[1], before[2]! + 2]);

    // A restart has forgotten it at once: nothing that peers say is compared with anything else.
    for (const name of NAMES) {
      await world.life(name).stop();
      await world.boot(name);
      expect(world.life(name).ledger.hasForgotten(DERBY)).toBe(true);
      expect(world.life(name).ends.isOver(DERBY)).toBe(true);
    }
    await runtime.runFor(5_000);
    agreed();
    expect(readAnew()).toEqual([0, 0, 0]);
    for (const { stop } of world.lives.values()) await stop();
    expect(runtime.pendingTimers).toBe(0);
  });

  it('[MOD-30] a log that is full is freed by ending streams: those whose rows it has, and those whose rows it has no room for', async () => {
    const world = new Simulated(20_000);
    const { runtime } = world;
    for (const name of NAMES) await world.boot(name);
    const { ledger, plane, replicator } = world.life('us');
    let taps = 0;
    const streams: StreamId[] = [];
    while (replicator.stats.keysRefused === 0) {
      streams.push(`s${streams.length}` as StreamId);
      ledger.join(row('us', 1, (taps += 1), streams.at(-1)!));
      await runtime.runFor(200);
    }
    await runtime.runFor(GRACE_MS);
    const refused = streams.at(-1)!;
    expect(replicator.rowsWaiting()).toBe(1);
    for (const stream of [...streams.slice(0, 20), refused]) write(plane, (doc) => endStream(doc, { by: 'ada', at: runtime.clock.now() }), stream);
    await runtime.runFor(2 * GRACE_MS + 2_000);
    expect([streams[0]!, refused].map((stream) => ledger.hasForgotten(stream))).toEqual([true, true]);
    // Nothing waits any more, so that taps are taken again; there is room once the documents are gone, too, and no more is said of them.
    await runtime.runUntil(() => replicator.rowsWaiting() === 0, 35_000);
    await runtime.runFor(DOCUMENT_GRACES * GRACE_MS + 25_000);
    ledger.join(row('us', 1, (taps += 1), 'later' as StreamId));
    await runtime.runUntil(() => world.life('eu').ledger.tally('later' as StreamId) !== undefined, 5_000);
    for (const { stop } of world.lives.values()) await stop();
  });

  it('[MOD-35] whatever of an append is lost, a log always says that the stream ended: the document goes only after the list is there', async () => {
    const world = new Simulated();
    const { runtime, network } = world;
    // One document an append: what failed is tried again after what was marked meanwhile.
    await world.boot('us', { documentBytesPerTickMax: 1 });
    write(world.life('us').plane, (doc) => endStream(doc, { by: 'ada', at: runtime.clock.now() }));
    await runtime.runUntil(() => world.keysOf('us').length === 1);
    let refused = 0;
    for (let round = 0; world.life('us').plane.state(DERBY_DOCUMENT) !== null; round++) {
      expect(round).toBeLessThan(500);
      if (round % 3 !== 2) network.log('us').failNextAppend(round % 2);
      for (let step = 0; step < 20; step++) {
        await runtime.runFor(50);
        const { messages } = network.log('us').snapshot();
        expect(messages.some(({ key, payload }) => key.includes('ended.0') || (key.includes('derby') && payload.length > 0))).toBe(true);
      }
      refused = world.life('us').replicator.stats.appendFailures;
    }
    expect(refused).toBeGreaterThan(20);
    await world.life('us').stop();
  });
});
