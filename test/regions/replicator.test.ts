/** The replicator on virtual time: three regions, links that break, the truth to the tap. */

import { afterEach, describe, expect, test } from 'vitest';
import { parseStreamId } from '../../crdt/ids.ts';
import { LogUnavailable, type LogReader } from '../../regions/log.ts';
import { HEARTBEAT_KEY, parseKey } from '../../regions/subjects.ts';
import { REGIONS, RegionProcess, World } from './replicator-world.ts';

let world: World;

afterEach(async () => {
  await world.stop();
  // A stop that leaves a timer behind would keep a process alive.
  expect(world.runtime.pendingTimers).toBe(0);
});

describe('every region holds the truth', () => {
  test.each([1, 2, 3])('[REP-4] after crowds, retractions and slow links (seed %i)', async (seed) => {
    world = await World.of(seed);
    for (const [from, to] of [['us', 'ap'], ['ap', 'us']] as const) world.network.delay(from, to, 150);
    await world.crowd(100);
    await world.converge();
  });

  test('[REP-5] a peer sees a tap within the gossip tick and the link, not at the next heartbeat', async () => {
    world = await World.of(4);
    await world.runtime.runFor(5000);
    world.count('us', 'derby', 'heart', 1);
    expect(await world.converge()).toBeLessThan(250);
  });

  test.each([5, 6, 7])('[REP-4] after a cut between two regions (seed %i)', async (seed) => {
    world = await World.of(seed);
    await world.crowd(20);
    world.cut('us', 'eu');
    await world.crowd(200);
    await world.runtime.runFor(20_000);
    expect(world.converged()).toBe(false);
    world.heal('us', 'eu');
    expect(await world.converge()).toBeLessThan(5000);
  });

  test('[REP-4] after a cut in one direction only, while the other direction goes on', async () => {
    world = await World.of(8);
    world.network.cut('us', 'eu');
    await world.crowd(50);
    await world.runtime.runFor(10_000);
    const [us, eu] = [world.process('us').ledger, world.process('eu').ledger];
    expect(us.regionDigest('eu')).toBe(eu.regionDigest('eu'));
    expect(us.regionDigest('us')).not.toBe(eu.regionDigest('us'));
    world.heal('us', 'eu');
    await world.converge();
  });

  test.each([9, 10, 11])('[REP-4] after links that flap faster than a reader gives up (seed %i)', async (seed) => {
    world = await World.of(seed);
    const { random } = world.runtime;
    for (let flap = 0; flap < 40; flap++) {
      const from = REGIONS[Math.floor(random.next() * 3)]!;
      const to = REGIONS[Math.floor(random.next() * 3)]!;
      if (from !== to && random.next() < 0.6) world.cut(from, to);
      else if (from !== to) world.heal(from, to);
      await world.crowd(5);
      await world.runtime.runFor(random.next() * 3000);
    }
    for (const a of REGIONS) for (const b of REGIONS) if (a !== b) world.heal(a, b);
    await world.converge();
  });

  test('[REP-4] in a region that joins late', async () => {
    world = new World(12);
    await world.boot('us');
    await world.boot('eu');
    await world.crowd(100);
    await world.boot('ap');
    expect(await world.converge()).toBeLessThan(1000);
  });
});

describe('what a region publishes', () => {
  test('[REP-6] is its own rows, its heartbeat, and never the echo of a peer', async () => {
    world = await World.of(13);
    await world.crowd(50);
    await world.converge();
    await world.runtime.runFor(5000);
    for (const region of REGIONS) {
      const keys = world.keysOf(region);
      expect(keys.every((key) => key === HEARTBEAT_KEY || parseKey(region, key)?.kind === 'row')).toBe(true);
      expect(keys).toHaveLength(1 + [...world.process(region).ledger.rows((actor) => actor.startsWith(region))].length);
    }
  });

  test('[REP-7] is only what changed: healing costs the rows, not the changes nor the time', async () => {
    world = await World.of(14);
    const rows = 1000;
    for (let row = 0; row < rows; row++) world.count('us', `s${row}`, 'heart', 1);
    for (let row = 0; row < 3000; row++) world.count('us', `still${row}`, 'heart', 1);
    await world.converge();
    world.cut('us', 'eu');
    await world.runtime.runFor(3000);
    for (let change = 0; change < 50; change++) {
      for (let row = 0; row < rows; row++) world.count('us', `s${row}`, 'heart', 1);
      await world.runtime.runFor(500);
    }
    const { stats } = world.process('eu').replicator;
    const [messagesBefore, bytesBefore] = [stats.messagesReceived, stats.bytesReceived];
    world.heal('us', 'eu');
    expect(await world.converge()).toBeLessThan(5000);
    expect(stats.messagesReceived - messagesBefore).toBeGreaterThanOrEqual(rows);
    expect(stats.messagesReceived - messagesBefore).toBeLessThan(rows + 50);
    expect((stats.bytesReceived - bytesBefore) / rows).toBeLessThan(24);
    expect(stats.repairs).toBe(0);
  });

  test('[REP-8] says what its log lacks: the age of the oldest row, from when the log fell silent, and for how long it has been', async () => {
    world = await World.of(15);
    const { replicator } = world.process('us');
    await world.runtime.runFor(60_000);
    expect(replicator.oldestDirtyMs()).toBe(0);
    expect(replicator.silentMs()).toBeLessThan(3000);
    world.network.log('us').setAvailable(false);
    await world.runtime.runFor(30_000);
    expect(replicator.oldestDirtyMs()).toBe(0);
    // Though nobody taps.
    expect(replicator.silentMs()).toBeGreaterThan(25_000);
    world.count('us', 'derby', 'heart', 1);
    await world.runtime.runFor(5000);
    expect(replicator.rowsWaiting()).toBe(1);
    expect(replicator.oldestDirtyMs()).toBeGreaterThanOrEqual(5000);
    expect(replicator.oldestDirtyMs()).toBeLessThan(8000);
    world.network.log('us').setAvailable(true);
    await world.converge();
    await world.runtime.runFor(100);
    expect(replicator.oldestDirtyMs()).toBe(0);
    expect(replicator.silentMs()).toBeLessThan(3000);
    // A row whose append fails is not forgotten while the log stays away.
    world.count('us', 'derby', 'heart', 1);
    world.network.log('us').setAvailable(false);
    await world.runtime.runFor(5000);
    expect(replicator.stats.appendFailures).toBeGreaterThanOrEqual(2);
    expect(replicator.oldestDirtyMs()).toBeGreaterThan(4000);
    world.network.log('us').setAvailable(true);
    await world.converge();
  });

  test('[REP-8] more rows than one turn takes still arrive, and the heartbeat tells no digest that is not true', async () => {
    world = await World.of(16, { rowsPerTickMax: 10, leftOverMs: 3000 });
    for (let change = 0; change < 100; change++) {
      for (let row = 0; row < 50; row++) world.count('us', `s${row}`, 'heart', 1);
      await world.runtime.runFor(50);
    }
    expect(world.process('us').replicator.oldestDirtyMs()).toBeLessThan(4000);
    await world.converge();
    await world.runtime.runFor(5000);
    expect(world.process('eu').replicator.stats.heartbeatMismatches).toBe(0);
  });

  test('[REP-9] is flushed by a stop, which ends in bounded time even when the log is gone', async () => {
    world = await World.of(17);
    await world.crowd(5);
    world.count('us', 'derby', 'heart', 7);
    await world.runtime.settle(world.process('us').replicator.stop(), 1000);
    world.processes.delete('us');
    await world.converge();
    world.network.log('eu').setAvailable(false);
    world.process('eu').count('derby', 'heart', 1);
    await world.runtime.settle(world.process('eu').replicator.stop(), 3000);
    world.processes.delete('eu');
  });

  test('[REP-17] is nothing after a restart, when the own log holds all that was counted', async () => {
    world = await World.of(19);
    await world.crowd(20);
    await world.converge();
    await world.runtime.settle(world.process('us').replicator.stop());
    await world.boot('us');
    await world.runtime.runFor(3000);
    expect(world.process('us').replicator.stats).toMatchObject({ rowsPublished: 0, heartbeatsPublished: 3 });
    await world.converge();
  });

  test('[REP-17] nothing is published before the own log was read back', async () => {
    world = new World(18);
    world.network.log('us').setAvailable(false);
    const us = world.create('us');
    expect(() => us.replicator.start()).toThrow('recover');
    const recovering = us.replicator.recover();
    await world.runtime.runFor(10_000);
    world.network.log('us').setAvailable(true);
    await world.runtime.settle(recovering);
    expect(world.keysOf('us')).toEqual([]);
  });
});

describe('what is known of peers', () => {
  test('[REP-16] a peer that refuses at once is tried again with backoff, for ever', async () => {
    world = new World(51);
    let tries = 0;
    const refusing: LogReader = {
      async follow() {
        tries += 1;
        throw new LogUnavailable('refused');
      },
    };
    const us = new RegionProcess('us', world.runtime, world.network.writer('us'), new Map([['eu', refusing]]));
    world.processes.set('us', us);
    await world.runtime.settle(us.boot(() => world.runtime.clock.now()));
    await world.runtime.runFor(600_000);
    expect(tries).toBeGreaterThan(300);
    expect(tries).toBeLessThan(900);
  });

  test('[REP-15] staleness grows while a peer cannot be heard, and its viewers are forgotten', async () => {
    world = new World(50);
    const us = await world.boot('us');
    expect(us.replicator.staleness()).toEqual({ eu: null, ap: null });
    const derby = parseStreamId('derby');
    for (const [name, viewers] of [['eu', 30], ['ap', 12]] as const) {
      (await world.boot(name)).viewers.set(derby, viewers);
    }
    await world.runtime.runFor(3000);
    expect(us.replicator.viewers(derby)).toBe(42);
    expect(us.replicator.viewers(parseStreamId('unwatched'))).toBe(0);
    expect(us.replicator.staleness()['eu']).toBeLessThan(1500);
    world.cut('us', 'eu');
    await world.runtime.runFor(9000);
    expect(us.replicator.viewers(derby)).toBe(42);
    await world.runtime.runFor(3000);
    expect(us.replicator.viewers(derby)).toBe(12);
    expect(us.replicator.staleness()['eu']).toBeGreaterThan(10_000);
    expect(us.replicator.peers()).toMatchObject([
      { region: 'eu', connected: false, digestEqual: true },
      { region: 'ap', connected: true, digestEqual: true },
    ]);
    world.heal('us', 'eu');
    await world.runtime.runFor(6000);
    expect(us.replicator.viewers(derby)).toBe(42);
    expect(us.replicator.staleness()['eu']).toBeLessThan(1500);
  });
});
