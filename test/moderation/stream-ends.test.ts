/** Streams that end in three regions, until nothing of them is kept but their ids: on logs that are maps, and on replicators. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { actorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import type { ReplicationOptions } from '../../regions/replication.ts';
import { createReplicator, type Replicator } from '../../regions/replicator.ts';
import type { Clock } from '../../regions/runtime.ts';
import { createControlPlane, type ControlPlane } from '../../src/moderation/control-plane.ts';
import { EndedStreams } from '../../src/moderation/ended-streams.ts';
import { endStream, mute } from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { logKeyOf, policyDocuments } from '../../src/moderation/policy-documents.ts';
import { StreamEnds } from '../../src/moderation/stream-ends.ts';
import { DOCUMENT_GRACES } from '../../src/moderation/stream-life.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';

const NAMES = ['us', 'eu', 'ap'] as const;
type Name = (typeof NAMES)[number];
const DERBY = 'derby' as StreamId;
const DERBY_DOCUMENT = 'stream.derby';
const DERBY_KEY = logKeyOf(DERBY_DOCUMENT);
const GRACE_MS = 10_000;
const ADA = { by: 'ada', at: 1 };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

interface Life {
  readonly ledger: Ledger;
  readonly ended: EndedStreams;
  readonly plane: ControlPlane;
  readonly ends: StreamEnds;
}

interface Surroundings {
  readonly clock: Clock;
  readonly mark: (key: string) => void;
  readonly isLogged: (key: string) => boolean;
  readonly forget?: (streams: readonly StreamId[]) => void;
  readonly derivedBefore?: () => number;
}

/** A life of a region, composed as `src/region.ts` does. */
function lifeOf({ clock, mark, isLogged, forget, derivedBefore }: Surroundings): Life {
  const ledger = new Ledger();
  const ended = new EndedStreams(mark);
  const plane = createControlPlane({ base: DEFAULT_BASE, clock, log: silent, publish: (document) => mark(logKeyOf(document)), ended });
  const ends = new StreamEnds({
    plane,
    ended,
    ledger,
    forget: forget ?? ((streams) => void ledger.forget(streams)),
    isLogged,
    derivedBefore: derivedBefore ?? (() => clock.now()),
    clock,
    log: silent,
    graceMs: GRACE_MS,
  });
  plane.onPolicy((stream) => {
    if (stream !== null) ends.heard(stream);
  });
  return { ledger, ended, plane, ends };
}

function write(plane: ControlPlane, edit: (doc: Y.Doc) => void): void {
  const doc = new Y.Doc();
  const state = plane.state(DERBY_DOCUMENT);
  if (state !== null) Y.applyUpdate(doc, state);
  edit(doc);
  expect(plane.apply(DERBY_DOCUMENT, Y.encodeStateAsUpdate(doc), 'ada')).toEqual({ kind: 'applied' });
}

function row(name: Name, epoch: number, sequence: number, stream = DERBY) {
  return { stream, actor: actorId({ region: name, shard: 0, epoch }), sequence, entries: [{ emoji: 'heart' as EmojiId, increments: sequence, decrements: 0 }] };
}

function idsOf(ended: EndedStreams): string[] {
  return Array.from(ended.keys(), (key) => new TextDecoder().decode(ended.read(key)!)).flatMap((page) => page.trimEnd().split('\n')).sort();
}

/** A region whose log is a map: what it lacks is written a document at a time, and a crash loses what was not. */
class Region {
  readonly name: Name;
  readonly log = new Map<string, Uint8Array>();
  #dirty = new Set<string>();
  readonly #clock: Clock;
  life: Life;

  constructor(name: Name, clock: Clock) {
    this.name = name;
    this.#clock = clock;
    this.life = this.boot();
  }

  get #kinds() {
    return [policyDocuments(this.life.plane), this.life.ends.documents];
  }

  boot(): Life {
    this.#dirty = new Set();
    const isLogged = (key: string): boolean => equal(this.log.get(key), this.#read(key));
    this.life = lifeOf({ clock: this.#clock, mark: (key) => void this.#dirty.add(key), isLogged });
    for (const [key, bytes] of this.log) this.#receive(this.name, key, bytes);
    // As the publisher does: only what differs is written again.
    this.#dirty.clear();
    for (const { keys } of this.#kinds) for (const key of keys()) if (!equal(this.log.get(key), this.#read(key))) this.#dirty.add(key);
    for (const key of this.log.keys()) if (this.#read(key) === null) this.#dirty.add(key);
    return this.life;
  }

  /** Writes up to so many of the documents that the log lacks. */
  flush(count = Infinity): void {
    for (const key of [...this.#dirty].slice(0, count)) {
      this.#dirty.delete(key);
      const bytes = this.#read(key);
      this.log.delete(key);
      if (bytes !== null) this.log.set(key, bytes.slice());
    }
  }

  /** A log that is full takes nothing new, and is not asked again. */
  refuse(): void {
    for (const key of this.#dirty) if (!this.log.has(key) && this.#read(key) !== null) this.#dirty.delete(key);
  }

  hear(peer: Region, key: string | null = null): void {
    for (const [each, bytes] of peer.log) if (key === null || key === each) this.#receive(peer.name, each, bytes);
  }

  get waits(): boolean {
    return this.#dirty.size > 0;
  }

  #receive(from: string, key: string, bytes: Uint8Array): void {
    this.#kinds.find(({ kind }) => key.startsWith(`${kind}.`))!.receive(from, key, bytes.slice());
  }

  #read(key: string): Uint8Array | null {
    return this.#kinds.find(({ kind }) => key.startsWith(`${kind}.`))!.read(key);
  }
}

function equal(one: Uint8Array | undefined, other: Uint8Array | null): boolean {
  return one !== undefined && other !== null && Buffer.compare(one, other) === 0;
}

describe('streams that end', () => {
  const region = fc.nat(2);
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('hear' as const), region, peer: region, key: fc.constantFrom(null, DERBY_KEY, 'ended.0') }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('flush' as const), region, count: fc.constantFrom(1, 1, 2, 9) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('sweep' as const), region }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('refuse' as const), region }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1_000, GRACE_MS, DOCUMENT_GRACES * GRACE_MS) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const), region }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('tap' as const), region }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('mute' as const), region }) },
  );

  it('[MOD-35] whatever order regions hear, forget and crash in, who was away included, all end up with the id alone; none that knew of the end ever lives on', () => {
    let away = 0;
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), fc.array(command, { maxLength: 40 }), (isOld, isRefused, commands) => {
        let now = 0;
        const clock = { now: () => now };
        const regions = NAMES.map((name) => new Region(name, clock));
        const [us] = regions as [Region, Region, Region];
        const isOver = ({ life }: Region): boolean => life.plane.policyOf(DERBY).state === 'ended';
        const known = new Set<Region>();
        let taps = 0;
        // All have the live document; then us, alone, ends the stream, perhaps long ago; perhaps its log did not take the list.
        write(us.life.plane, (doc) => mute(doc, { kind: 'viewer', id: 'bot' }, ADA));
        us.flush();
        for (const other of regions) other.hear(us);
        for (const other of regions) other.flush();
        write(us.life.plane, (doc) => endStream(doc, { by: 'ada', at: now }));
        us.flush();
        if (isOld) now += DOCUMENT_GRACES * GRACE_MS;
        while (isOld !== (us.life.plane.state(DERBY_DOCUMENT) === null)) {
          now += GRACE_MS;
          us.life.ends.sweep();
          if (isRefused) us.refuse();
          us.flush();
          if (isRefused && us.life.ended.has(DERBY)) break;
        }
        for (const each of commands) {
          if (each.kind === 'wait') now += each.ms;
          else {
            const one = regions[each.region]!;
            if (each.kind === 'hear') one.hear(regions[each.peer]!, each.key);
            else if (each.kind === 'flush') one.flush(each.count);
            else if (each.kind === 'sweep') one.life.ends.sweep();
            else if (each.kind === 'refuse') one.refuse();
            else if (each.kind === 'crash') {
              one.boot();
              // Its log has to say so now; what it had only heard may be lost.
              if (one !== us && !isOver(one)) known.delete(one);
            } else if (each.kind === 'tap') one.life.ledger.join(row(one.name, 1, (taps += 1)));
            else if (!isOver(one)) write(one.life.plane, (doc) => mute(doc, { kind: 'viewer', id: 'ann' }, { by: 'bob', at: now }));
          }
          for (const one of regions) if (isOver(one)) known.add(one);
          for (const one of known) expect(isOver(one)).toBe(true);
        }
        if (us.life.plane.state(DERBY_DOCUMENT) === null && regions.some((one) => !known.has(one))) away += 1;
        let rounds = 0;
        for (let quiet = 0; quiet < 3; rounds++) {
          expect(rounds).toBeLessThan(60);
          now += DOCUMENT_GRACES * GRACE_MS;
          for (const one of regions) for (const other of regions) if (other !== one) one.hear(other);
          for (const one of regions) one.life.ends.sweep();
          quiet = regions.some(({ waits }) => waits) ? 0 : quiet + 1;
          for (const one of regions) one.flush();
        }
        for (const { life, log } of regions) {
          expect([...log.keys()]).toEqual(['ended.0']);
          expect(idsOf(life.ended)).toEqual(['derby']);
          expect([...life.plane.documents()]).toEqual([]);
          expect(life.plane.stats).toMatchObject({ documents: 0, documentBytes: 0, mergesRefused: 0 });
          expect(life.ledger.hasForgotten(DERBY)).toBe(true);
          expect(life.ends.isOver(DERBY)).toBe(true);
          expect(life.ends.size).toBe(0);
        }
        for (const one of regions) {
          one.boot();
          expect(one.waits).toBe(false);
          expect([isOver(one), one.life.ledger.hasForgotten(DERBY)]).toEqual([true, true]);
        }
      }),
      { numRuns: 60 },
    );
    expect(away).toBeGreaterThan(0);
  });

  it('[MOD-34] a stream that is listed refuses taps and edits as ended, and what a page still holds of it may be said again only when it is nothing', () => {
    const { plane, ended } = lifeOf({ clock: { now: () => 0 }, mark() {}, isLogged: () => true });
    write(plane, (doc) => mute(doc, { kind: 'viewer', id: 'bot' }, ADA));
    const before = plane.state(DERBY_DOCUMENT)!;
    plane.drop(DERBY);
    expect(plane.state(DERBY_DOCUMENT)).toBe(before);
    ended.add(DERBY);
    const told: (string | null)[] = [];
    plane.onPolicy((stream) => told.push(stream));
    plane.listed(DERBY);
    expect(told).toEqual([DERBY]);
    expect(plane.policyOf(DERBY)).toMatchObject({ state: 'ended', endedAt: 0 });
    expect(plane.policyOf(DERBY).mutedViewers.size).toBe(0);
    plane.drop(DERBY);
    const over = plane.policyOf(DERBY);
    ended.add('final' as StreamId);
    expect(plane.policyOf('final' as StreamId)).toBe(over);
    expect([plane.endedAt(DERBY), plane.endedAt('other' as StreamId)]).toEqual([0, null]);
    expect(plane.apply(DERBY_DOCUMENT, before, 'ada')).toMatchObject({ kind: 'refused', reason: 'stream-ended' });
    expect(plane.apply(DERBY_DOCUMENT, Y.encodeStateAsUpdate(new Y.Doc()), 'ada')).toEqual({ kind: 'applied' });
    plane.merge(DERBY_DOCUMENT, before, 'eu');
    expect(plane.state(DERBY_DOCUMENT)).toBe(null);
    expect(plane.stats).toMatchObject({ documents: 0, documentBytes: 0, refused: 1, mergesRefused: 0 });
    expect(plane.policyOf('other' as StreamId).state).toBe('live');
  });

  it('[MOD-34] when the list is full the document stays, and says that the stream ended', () => {
    let now = 0;
    const clock = { now: () => now };
    const ended = new EndedStreams(() => {}, { endedMax: 0, joinedMax: 0 });
    const plane = createControlPlane({ base: DEFAULT_BASE, clock, log: silent, publish() {}, ended });
    const ledger = new Ledger();
    const ends = new StreamEnds({ plane, ended, ledger, forget: (streams) => void ledger.forget(streams), isLogged: () => true, derivedBefore: () => now, clock, log: silent, graceMs: GRACE_MS });
    plane.onPolicy((stream) => ends.heard(stream!));
    write(plane, (doc) => endStream(doc, { by: 'ada', at: 0 }));
    for (let round = 0; round < 30; round++) {
      now += GRACE_MS;
      ends.sweep();
    }
    expect(ends.isOver(DERBY)).toBe(true);
    expect(plane.policyOf(DERBY).state).toBe('ended');
    expect(plane.state(DERBY_DOCUMENT)).not.toBe(null);
    expect(ended.stats).toMatchObject({ listed: 0, notListed: 1 });
  });
});

/** Regions with real replicators, on a simulated network. */
class Simulated {
  readonly runtime: SimulatedRuntime = createSimulatedRuntime(7);
  readonly network = createMemoryNetwork(this.runtime);
  readonly lives = new Map<Name, Life & { readonly replicator: Replicator; stop(): Promise<void> }>();
  #epoch = 0;

  async boot(name: Name, options: Partial<ReplicationOptions> = {}): Promise<void> {
    const { clock, timers } = this.runtime;
    const actor = actorId({ region: name, shard: 0, epoch: (this.#epoch += 1) });
    const life = lifeOf({
      clock,
      mark: (key) => replicator.markDocument(key),
      isLogged: (key) => replicator.holdsDocument(key),
      forget: (streams) => replicator.forget(streams),
      derivedBefore: () => clock.now() - replicator.oldestDirtyMs(),
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
