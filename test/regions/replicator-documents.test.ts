/** Documents beside the rows, on virtual time: merged by all or each region's own, lost, removed, given again. */

import { afterEach, describe, expect, test } from 'vitest';
import { LOGGED_DOCUMENT_BYTES_MAX } from '../../regions/documents.ts';
import { REGIONS, World, type RegionProcess } from './replicator-world.ts';

let world: World;

afterEach(async () => {
  await world.stop();
  expect(world.runtime.pendingTimers).toBe(0);
});

function documentsConverge(limitMs = 30_000): Promise<void> {
  return world.runtime.runUntil(() => world.documentsConverged(), limitMs);
}

function published(): number {
  return [...world.processes.values()].reduce((sum, { replicator }) => sum + replicator.stats.documentsPublished, 0);
}

/** Every living region holds of every other what its heartbeat says. */
function quiet(): boolean {
  return [...world.processes.values()].every(({ replicator }) => replicator.peers().every(({ digestEqual }) => digestEqual === true));
}

function documentKeys(region: string): string[] {
  return world.keysOf(region).filter((key) => key.startsWith('doc.'));
}

function status(reader: RegionProcess, peer: string) {
  return reader.replicator.peers().find(({ region }) => region === peer);
}

describe('a document', () => {
  test('[REP-18] reaches every peer at the next tick, whole, and in its last version', async () => {
    world = await World.of(60);
    await world.runtime.runFor(5000);
    const us = world.process('us').pages;
    for (let version = 1; version <= 20; version += 1) us.put('page.a.b', `version ${version}`);
    us.put('page.large', 'x'.repeat(64 * 1024));
    await documentsConverge(250);
    for (const peer of ['eu', 'ap']) {
      expect(world.process(peer).pages.told.map((told) => told.slice(0, 26))).toEqual(['us page.a.b=version 20', `us page.large=${'x'.repeat(12)}`]);
    }
    expect(world.process('us').replicator.stats.documentsPublished).toBe(2);
  });

  test('[REP-18] of a peer is never published: who merges publishes what it has learned, and then all are silent', async () => {
    world = await World.of(61);
    world.process('us').pages.put('page.mine', '1');
    world.cut('us', 'eu');
    for (let change = 0; change < 10; change += 1) {
      for (const region of REGIONS) world.process(region).notes.write(`note.n${change % 3}`, region);
      await world.runtime.runFor(500);
    }
    expect(world.documentsConverged()).toBe(false);
    world.heal('us', 'eu');
    await documentsConverge(5000);
    await world.runtime.runFor(1000);
    const before = published();
    await world.runtime.runFor(30_000);
    expect(published()).toBe(before);
    expect(documentKeys('us')).toContain('doc.page.mine');
    for (const peer of ['eu', 'ap']) expect(documentKeys(peer).filter((key) => key.startsWith('doc.page.'))).toEqual([]);
    expect(quiet()).toBe(true);
  });

  test('[REP-18] that nobody changed is not published, however often it is marked', async () => {
    world = await World.of(62);
    const us = world.process('us');
    us.pages.put('page.same', 'same');
    await documentsConverge();
    await world.runtime.runFor(1000);
    for (let marked = 0; marked < 20; marked += 1) {
      expect(us.replicator.markDocument('page.same')).toBe(true);
      await world.runtime.runFor(200);
    }
    expect(us.replicator.stats.documentsPublished).toBe(1);
    for (const key of ['page', 'page.', 'page.a..b', 'page.a b', 'row.0.1.derby', 'toString.a', 'heartbeat']) {
      expect(() => us.replicator.markDocument(key), key).toThrow('document');
    }
  });

  test('[REP-19] waits for its turn when there are many, and no heartbeat tells a digest that the log does not hold', async () => {
    world = await World.of(63, { documentBytesPerTickMax: 10_000 });
    const us = world.process('us');
    for (let page = 0; page < 200; page += 1) us.pages.put(`page.p${page}`, `${page}`.repeat(500));
    await world.runtime.runFor(300);
    expect(us.replicator.documentsWaiting()).toBeGreaterThan(0);
    // The rows do not wait for them.
    world.count('us', 'derby', 'heart', 1);
    expect(await world.converge()).toBeLessThan(250);
    expect(us.replicator.documentsWaiting()).toBeGreaterThan(0);
    expect(us.replicator.oldestDirtyMs()).toBeLessThan(250);
    await documentsConverge();
    await world.runtime.runFor(3000);
    expect(us.replicator.documentsWaiting()).toBe(0);
    for (const peer of ['eu', 'ap']) expect(world.process(peer).replicator.stats.heartbeatMismatches).toBe(0);
  });

  test('[REP-19] that is too large is refused and holds up nothing else', async () => {
    world = await World.of(64);
    const us = world.process('us');
    us.pages.put('page.huge', 'x'.repeat(LOGGED_DOCUMENT_BYTES_MAX + 1));
    us.pages.put('page.fits', 'x');
    world.count('us', 'derby', 'heart', 1);
    await world.converge();
    expect(world.process('eu').pages.of('us')).toBe('page.fits=x');
    expect(us.replicator.stats.documentsRefused).toBe(1);
    await world.runtime.runFor(5000);
    expect(quiet()).toBe(true);
    us.pages.put('page.huge', 'small');
    await documentsConverge();
  });

  test('[REP-19] whose owner fails is counted, and everything else goes on', async () => {
    world = await World.of(65);
    const [us, eu] = [world.process('us'), world.process('eu')];
    eu.pages.receive = () => {
      throw new Error('an owner that fails');
    };
    us.pages.put('page.a', '1');
    world.count('us', 'derby', 'heart', 1);
    await world.converge();
    await world.runtime.runFor(5000);
    expect(eu.replicator.stats.documentsRefused).toBe(1);
    us.pages.read = eu.pages.receive as never;
    us.pages.put('page.a', '2');
    world.count('us', 'derby', 'heart', 1);
    await world.converge();
    await world.runtime.runFor(5000);
    expect(us.replicator.stats.documentsRefused).toBe(1);
    expect(quiet()).toBe(true);
  });

  test('[REP-9, REP-18] that still waits is published by a stop', async () => {
    world = await World.of(66, { documentBytesPerTickMax: 1 });
    for (let page = 0; page < 5; page += 1) world.process('us').pages.put(`page.p${page}`, 'last words');
    await world.runtime.settle(world.process('us').replicator.stop(), 1000);
    const { pages } = world.process('us');
    world.processes.delete('us');
    await world.runtime.runUntil(() => world.process('eu').pages.of('us') === pages.of('us'));
  });
});

describe('a removed document', () => {
  test('[REP-20] is gone at every peer at once, and after a while the log does not speak of it any more', async () => {
    world = await World.of(70, { tombstoneMs: 60_000 });
    const us = world.process('us');
    for (const page of ['a', 'b', 'c']) us.pages.put(`page.${page}`, page);
    await documentsConverge();
    us.pages.drop('page.a');
    us.pages.drop('page.c');
    await world.runtime.runFor(250);
    expect(world.process('eu').pages.of('us')).toBe('page.b=b');
    await world.runtime.runFor(55_000);
    expect(documentKeys('us')).toEqual(['doc.page.b', 'doc.page.a', 'doc.page.c']);
    us.pages.put('page.c', 'again');
    await world.runtime.runFor(10_000);
    expect(documentKeys('us')).toEqual(['doc.page.b', 'doc.page.c']);
    expect(world.process('eu').pages.of('us')).toBe('page.b=b page.c=again');
    expect(world.process('eu').replicator.stats.heartbeatMismatches).toBe(0);
    // A removal that nobody has published has nothing to say.
    const before = published();
    us.pages.put('page.never', 'x');
    us.pages.drop('page.never');
    await world.runtime.runFor(2000);
    expect(published()).toBe(before);
  });

  test('[REP-20] is gone also for a peer that was cut off for longer than the log speaks of it', async () => {
    world = await World.of(71, { tombstoneMs: 5_000 });
    const us = world.process('us');
    for (let page = 0; page < 10; page += 1) us.pages.put(`page.p${page}`, '1');
    await documentsConverge();
    world.cut('us', 'eu');
    for (let page = 0; page < 9; page += 1) us.pages.drop(`page.p${page}`);
    await world.runtime.runFor(30_000);
    expect(documentKeys('us')).toEqual(['doc.page.p9']);
    expect(world.process('ap').pages.of('us')).toBe('page.p9=1');
    world.heal('us', 'eu');
    await documentsConverge(15_000);
    expect(world.process('eu').replicator.stats.repairs).toBe(1);
    await world.runtime.runFor(5000);
    expect(quiet()).toBe(true);
  });

  test('[REP-20] stays removed over a restart, whose log forgets it in time', async () => {
    world = await World.of(72, { tombstoneMs: 20_000 });
    world.process('us').pages.put('page.a', '1');
    await documentsConverge();
    world.process('us').pages.drop('page.a');
    await world.runtime.runFor(1000);
    await world.runtime.settle(world.process('us').replicator.stop());
    await world.boot('us');
    expect(world.process('us').pages.of('us')).toBe('');
    expect(documentKeys('us')).toEqual(['doc.page.a']);
    await world.runtime.runFor(25_000);
    expect(documentKeys('us')).toEqual([]);
    expect(world.process('eu').pages.of('us')).toBe('');
  });
});

describe('a document that was lost', () => {
  test('[REP-21] on its way is noticed by heartbeats and mended by reading again', async () => {
    world = await World.of(80);
    await world.runtime.runFor(2000);
    let lost = 0;
    world.tamper = (reader, _log, message) => {
      const drop = reader === 'eu' && message.key === 'doc.page.quiet' && lost === 0;
      if (drop) lost += 1;
      return drop ? null : message;
    };
    const eu = world.process('eu');
    world.process('us').pages.put('page.quiet', '1');
    await world.runtime.runUntil(() => status(eu, 'us')?.digestEqual === false, 3000);
    expect([lost, world.documentsConverged()]).toEqual([1, false]);
    await documentsConverge(5000);
    await world.runtime.runFor(2000);
    expect(eu.replicator.stats.repairs).toBe(1);
    expect(eu.replicator.stats.custodyRowsPublished).toBe(0);
    expect(quiet()).toBe(true);
  });

  test('[REP-21] as a removal, or in a newer version only, as well', async () => {
    world = await World.of(81);
    const [us, eu] = [world.process('us'), world.process('eu')];
    for (const page of ['a', 'b']) us.pages.put(`page.${page}`, '1');
    await documentsConverge();
    const lost: string[] = [];
    world.tamper = (reader, _log, message) => {
      const drop = reader === 'eu' && message.key.startsWith('doc.page.') && lost.length < 2;
      if (drop) lost.push(message.key);
      return drop ? null : message;
    };
    us.pages.put('page.a', '2');
    us.pages.drop('page.b');
    await world.runtime.runFor(1000);
    expect([lost.length, eu.pages.of('us')]).toEqual([2, 'page.a=1 page.b=1']);
    await documentsConverge(10_000);
    expect(eu.replicator.stats.repairs).toBe(1);
  });

  test('[REP-21] again and again is looked at less and less often, and holds up no row', async () => {
    world = await World.of(82);
    world.tamper = (reader, _log, message) => (reader === 'eu' && message.key === 'doc.page.never' ? null : message);
    world.process('us').pages.put('page.never', '1');
    await world.runtime.runFor(600_000);
    const { stats } = world.process('eu').replicator;
    expect(stats.repairs).toBeGreaterThan(3);
    expect(stats.repairs).toBeLessThan(10);
    expect(stats.custodyRowsPublished).toBe(0);
    world.count('us', 'derby', 'heart', 1);
    expect(await world.converge()).toBeLessThan(250);
    world.tamper = null;
    await documentsConverge(300_000);
  });

  test('[REP-21] malformed keys and payloads beyond the bound are counted and skipped', async () => {
    world = await World.of(83);
    world.tamper = (reader, _log, message) => {
      if (reader !== 'eu' || !message.key.startsWith('doc.page.')) return message;
      return message.key.endsWith('a') ? { ...message, key: 'doc.page' } : { ...message, payload: new Uint8Array(LOGGED_DOCUMENT_BYTES_MAX + 1) };
    };
    const { pages, replicator } = world.process('eu');
    for (const page of ['a', 'b']) world.process('us').pages.put(`page.${page}`, '1');
    await world.runtime.runFor(1000);
    expect([pages.told, replicator.stats.malformed]).toEqual([[], 2]);
    world.tamper = null;
    await documentsConverge(60_000);
  });

  test('[REP-21] a region that does not know of documents proves nothing about them, and is not troubled', async () => {
    world = new World(84);
    world.old.add('us');
    for (const name of REGIONS) await world.boot(name);
    const [us, eu] = [world.process('us'), world.process('eu')];
    eu.pages.put('page.a', '1');
    eu.notes.write('note.a', 'eu');
    await world.crowd(20);
    await world.converge();
    await documentsConverge();
    await world.runtime.runFor(5000);
    expect(quiet()).toBe(true);
    // It is updated, and knows of documents from then on; and set back, and its documents stay in its log.
    await world.kill('us');
    world.old.delete('us');
    const updated = await world.boot('us');
    updated.pages.put('page.b', '1');
    await documentsConverge();
    expect(updated.notes.toString()).toBe(eu.notes.toString());
    await world.runtime.settle(updated.replicator.stop());
    world.old.add('us');
    await world.boot('us');
    await world.runtime.runFor(10_000);
    expect(documentKeys('us').sort()).toEqual(['doc.note.a', 'doc.page.b']);
    expect(eu.pages.of('us')).toBe('page.b=1');
    expect([us.replicator.stats.malformed, quiet()]).toEqual([0, true]);
  });
});

describe('a log that loses', () => {
  test('[REP-22] a restart gives the owners what the log holds before anything starts, and publishes nothing', async () => {
    world = await World.of(90);
    const us = world.process('us');
    for (let page = 0; page < 20; page += 1) us.pages.put(`page.p${page}`, `${page}`);
    us.notes.write('note.a', 'us');
    await documentsConverge();
    await world.runtime.settle(us.replicator.stop());
    const again = world.create('us');
    await world.runtime.settle(again.replicator.recover());
    expect(again.pages.of('us')).toBe(us.pages.of('us'));
    expect(again.notes.toString()).toBe(us.notes.toString());
    again.begin(world.runtime.clock.now());
    again.replicator.start();
    await world.runtime.runFor(5000);
    expect(again.replicator.stats.documentsPublished).toBe(0);
    expect(quiet()).toBe(true);
  });

  test('[REP-22] a deleted, rolled-back or failing log is given again what it lacks, by the process that lives', async () => {
    world = await World.of(91);
    const us = world.process('us');
    for (let page = 0; page < 20; page += 1) us.pages.put(`page.p${page}`, '1');
    await documentsConverge();
    const snapshot = world.network.log('us').snapshot();
    for (let page = 0; page < 20; page += 2) us.pages.put(`page.p${page}`, '2');
    us.pages.drop('page.p1');
    us.pages.put('page.new', '1');
    await documentsConverge();
    for (const lose of [
      () => world.network.log('us').wipe(),
      () => world.network.log('us').restore(snapshot),
      () => world.network.log('us').failNextAppend(1),
    ]) {
      lose();
      const held = us.pages.of('us');
      await documentsConverge();
      await world.runtime.runFor(10_000);
      // Not what the log has gone back to.
      expect(us.pages.of('us')).toBe(held);
      us.pages.put('page.new', `after ${us.replicator.stats.opens}`);
      us.pages.put('page.other', `after ${us.replicator.stats.opens}`);
      await documentsConverge();
      await world.runtime.runFor(3000);
      expect(documentKeys('us').filter((key) => key !== 'doc.page.p1')).toHaveLength(21);
      expect(quiet()).toBe(true);
    }
    world.network.log('us').setAvailable(false);
    us.pages.put('page.new', 'while the log is away');
    await world.runtime.runFor(5000);
    expect(us.replicator.documentsWaiting()).toBe(1);
    world.network.log('us').setAvailable(true);
    await documentsConverge();
    // Only what was lost, not what is held each time.
    expect(us.replicator.stats.documentsPublished).toBeLessThan(90);
  });

  test('[REP-22] with its process: what is merged comes back from the peers, and what was its own is told to be gone', async () => {
    world = await World.of(92);
    const us = world.process('us');
    us.pages.put('page.mine', '1');
    us.notes.write('note.ours', 'us');
    await documentsConverge();
    await world.kill('us');
    world.network.log('us').wipe();
    const again = await world.boot('us');
    await documentsConverge(15_000);
    expect(again.notes.toString()).toBe('note.ours=[["us",1]]');
    expect(world.process('eu').pages.of('us')).toBe('');
    again.notes.write('note.ours', 'us');
    await documentsConverge(1000);
    expect(world.process('ap').notes.toString()).toBe('note.ours=[["us",2]]');
  });

  test.each([93, 94, 95, 96])('[REP-18, REP-20, REP-21, REP-22] everything at once, then heal (seed %i)', async (seed) => {
    world = await World.of(seed, { tombstoneMs: 4000 });
    const { random } = world.runtime;
    const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(random.next() * values.length)]!;
    world.tamper = (_reader, _log, message) => (message.key.startsWith('doc.') && random.next() < 0.1 ? null : message);
    const faults: readonly ((a: string, b: string) => void | Promise<void>)[] = [
      (a, b) => (a === b ? undefined : world.cut(a, b)),
      (a, b) => (a === b ? undefined : world.heal(a, b)),
      (a, b) => world.network.delay(a, b, random.next() * 300),
      (a) => world.network.log(a).failNextAppend(2),
      (a) => world.network.log(a).wipe(),
      async (a) => {
        await world.kill(a);
        await world.boot(a);
      },
    ];
    for (let round = 0; round < 60; round += 1) {
      for (const { name, notes, pages } of world.processes.values()) {
        if (random.next() < 0.5) notes.write(`note.n${Math.floor(random.next() * 4)}`, `${name}-${round}`);
        if (random.next() < 0.5) pages.put(`page.p${Math.floor(random.next() * 6)}`, `${round}`);
        if (random.next() < 0.3) pages.drop(`page.p${Math.floor(random.next() * 6)}`);
      }
      await world.crowd(2);
      if (random.next() < 0.4) await pick(faults)(pick(REGIONS), pick(REGIONS));
      await world.runtime.runFor(random.next() * 2000);
    }
    world.tamper = null;
    for (const a of REGIONS) for (const b of REGIONS) if (a !== b) world.heal(a, b);
    await documentsConverge(600_000);
    await world.runtime.runUntil(quiet, 600_000);
    const before = published();
    await world.runtime.runFor(20_000);
    expect(published()).toBe(before);
    expect([world.documentsConverged(), quiet()]).toEqual([true, true]);
  });
});
