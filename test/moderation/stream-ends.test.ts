/** Streams that end in three regions whose logs are maps, until nothing of them is kept but their ids. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Clock } from '../../regions/runtime.ts';
import { createControlPlane } from '../../src/moderation/control-plane.ts';
import { EndedStreams } from '../../src/moderation/ended-streams.ts';
import { endStream, mute } from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { policyDocuments } from '../../src/moderation/policy-documents.ts';
import { StreamEnds } from '../../src/moderation/stream-ends.ts';
import { DOCUMENT_GRACES } from '../../src/moderation/stream-life.ts';
import { ADA, DERBY, DERBY_DOCUMENT, DERBY_KEY, GRACE_MS, NAMES, idsOf, lifeOf, row, silent, write, type Life, type Name } from './region-lives.ts';

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
