/** The replicator on virtual time: three regions, every fault, the truth to the tap. */

import { afterEach, describe, expect, test } from 'vitest';
import { parseStreamId } from '../../crdt/ids.ts';
import { decodeRow, encodeRow } from '../../crdt/row.ts';
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

  test('[REP-8] says what its log lacks: the age of the oldest row, from when the log fell silent', async () => {
    world = await World.of(15);
    const { replicator } = world.process('us');
    await world.runtime.runFor(60_000);
    expect(replicator.oldestDirtyMs()).toBe(0);
    world.network.log('us').setAvailable(false);
    await world.runtime.runFor(30_000);
    expect(replicator.oldestDirtyMs()).toBe(0);
    world.count('us', 'derby', 'heart', 1);
    await world.runtime.runFor(5000);
    expect(replicator.rowsWaiting()).toBe(1);
    expect(replicator.oldestDirtyMs()).toBeGreaterThanOrEqual(5000);
    expect(replicator.oldestDirtyMs()).toBeLessThan(8000);
    world.network.log('us').setAvailable(true);
    await world.converge();
    await world.runtime.runFor(100);
    expect(replicator.oldestDirtyMs()).toBe(0);
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

  test('[REP-9] is nothing after a restart, when the own log holds all that was counted', async () => {
    world = await World.of(19);
    await world.crowd(20);
    await world.converge();
    await world.runtime.settle(world.process('us').replicator.stop());
    await world.boot('us');
    await world.runtime.runFor(3000);
    expect(world.process('us').replicator.stats).toMatchObject({ rowsPublished: 0, heartbeatsPublished: 3 });
    await world.converge();
  });

  test('[REP-9] nothing is published before the own log was read back', async () => {
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

describe('a log that loses what it acknowledged', () => {
  test('[REP-10] is given everything again by the process that lives', async () => {
    world = await World.of(20);
    await world.crowd(50);
    await world.converge();
    world.network.log('us').wipe();
    await world.crowd(20);
    await world.converge();
    await world.runtime.runFor(10_000);
    expect(world.keysOf('us')).toHaveLength(1 + [...world.process('us').ledger.rows((actor) => actor.startsWith('us'))].length);
    for (const region of REGIONS) expect(world.process(region).replicator.peers().every((peer) => peer.digestEqual)).toBe(true);
  });

  test('[REP-10] is given again what a rollback took, also when it has grown beyond what was lost', async () => {
    world = await World.of(21);
    await world.crowd(30);
    const snapshot = world.network.log('us').snapshot();
    await world.crowd(30, 40);
    await world.converge();
    world.cut('us', 'eu');
    world.network.log('us').restore(snapshot);
    await world.crowd(30, 100);
    await world.runtime.runFor(10_000);
    world.heal('us', 'eu');
    await world.converge();
    await world.runtime.runFor(10_000);
    expect(world.process('eu').replicator.peers().every((peer) => peer.digestEqual)).toBe(true);
  });

  test('[REP-11] gets back from its peers what its process has lost too', async () => {
    world = await World.of(22);
    await world.crowd(60, 20);
    await world.converge();
    await world.kill('us');
    world.network.log('us').wipe();
    await world.boot('us');
    expect(world.converged()).toBe(false);
    expect(await world.converge()).toBeLessThan(15_000);
    // Back in its own log, so that the custody is no longer needed.
    await world.runtime.runFor(5000);
    const rows = [...world.process('us').ledger.rows((actor) => actor.startsWith('us'))].length;
    expect(world.keysOf('us').filter((key) => key.startsWith('row.'))).toHaveLength(rows);
    expect(world.process('eu').replicator.peers().every((peer) => peer.digestEqual)).toBe(true);
    expect(world.process('us').clashes).toEqual([]);
  });

  test('[REP-11] and a rollback under a process that restarts with nothing', async () => {
    world = await World.of(23);
    for (let row = 0; row < 50; row++) world.count('us', `kept${row}`, 'heart', 1);
    await world.converge();
    await world.runtime.runFor(1000);
    const snapshot = world.network.log('us').snapshot();
    for (let row = 0; row < 5; row++) world.count('us', `lost${row}`, 'heart', 1);
    for (let row = 0; row < 5; row++) world.count('us', `kept${row}`, 'heart', 1);
    await world.converge();
    await world.kill('us');
    world.network.log('us').restore(snapshot);
    await world.boot('us');
    await world.crowd(30);
    await world.converge();
    // Only the rows that were lost are kept, not all that are held.
    const kept = new Set(['eu', 'ap'].flatMap((region) => world.keysOf(region).filter((key) => key.startsWith('custody.'))));
    const streams = [...kept].map((key) => key.split('.').at(-1)).sort();
    expect(streams).toEqual([0, 1, 2, 3, 4].flatMap((row) => [`kept${row}`, `lost${row}`]).sort());
  });

  test('[REP-11] custody outlives its keeper: it is read back with the own log', async () => {
    world = await World.of(24);
    await world.crowd(30);
    await world.converge();
    await world.kill('us');
    world.network.log('us').wipe();
    await world.boot('us');
    await world.kill('ap');
    await world.runtime.runUntil(() => world.keysOf('eu').some((key) => key.startsWith('custody.us.')));
    await world.runtime.runFor(1000);
    await world.kill('us');
    await world.kill('eu');
    world.network.log('us').wipe();
    await world.boot('eu');
    await world.boot('us');
    await world.converge();
  });

  test('[REP-11] a region that never comes back costs its peers nothing', async () => {
    world = await World.of(25);
    await world.crowd(30);
    await world.converge();
    await world.kill('us');
    world.network.log('us').wipe();
    await world.runtime.runFor(120_000);
    expect(world.process('eu').replicator.stats.repairs).toBe(0);
    expect(world.keysOf('eu').some((key) => key.startsWith('custody.'))).toBe(false);
  });
});

describe('a broker that loses silently', () => {
  test('[REP-3] a lost row is noticed by heartbeats and mended by reading again', async () => {
    world = await World.of(30);
    await world.crowd(20);
    await world.converge();
    let lost = 0;
    world.tamper = (reader, log, message) => {
      const drop = reader === 'eu' && log === 'us' && message.key.endsWith('.quiet') && lost === 0;
      if (drop) lost += 1;
      return drop ? null : message;
    };
    world.count('us', 'quiet', 'heart', 5);
    await world.runtime.runFor(2500);
    expect(lost).toBe(1);
    expect(world.converged()).toBe(false);
    expect(world.process('eu').replicator.peers().find(({ region }) => region === 'us')?.digestEqual).toBe(false);
    await world.converge(5000);
    await world.runtime.runFor(3000);
    const { replicator } = world.process('eu');
    expect(replicator.stats.repairs).toBe(1);
    expect(replicator.stats.custodyRowsPublished).toBe(0);
    expect(replicator.peers().every((peer) => peer.digestEqual)).toBe(true);
  });

  test('[REP-3] a lost sequence is noticed as well, although no count differs', async () => {
    world = await World.of(34);
    world.count('us', 'derby', 'heart', 5);
    await world.converge();
    await world.runtime.runFor(2000);
    let lost = 0;
    world.tamper = (reader, _log, message) => {
      const drop = reader === 'eu' && message.key.endsWith('.derby') && lost === 0;
      if (drop) lost += 1;
      return drop ? null : message;
    };
    world.count('us', 'derby', 'heart', 0);
    await world.runtime.runUntil(() => world.process('eu').replicator.stats.repairs === 1);
    expect(lost).toBe(1);
  });

  test('[REP-3] a mismatch that nothing mends is looked at less and less often', async () => {
    world = await World.of(31);
    world.tamper = (reader, _log, message) => (reader === 'eu' && message.key.endsWith('.never') ? null : message);
    world.count('us', 'never', 'heart', 1);
    await world.runtime.runFor(600_000);
    const { repairs } = world.process('eu').replicator.stats;
    expect(repairs).toBeGreaterThan(3);
    expect(repairs).toBeLessThan(10);
    world.tamper = null;
    await world.converge(300_000);
  });

  test('[REP-12] malformed messages are counted and skipped, and the next version repairs them', async () => {
    world = await World.of(32);
    world.tamper = (reader, log, message) => {
      if (reader !== 'eu' || log !== 'us') return message;
      return message.key.endsWith('.torn') ? { ...message, payload: message.payload.subarray(0, 3) } : { ...message, key: `x.${message.key}` };
    };
    world.count('us', 'torn', 'heart', 1);
    world.count('us', 'other', 'heart', 1);
    await world.runtime.runFor(3000);
    expect(world.process('eu').replicator.stats.malformed).toBeGreaterThanOrEqual(4);
    expect(world.process('eu').ledger.regionDigest('us')).toBe('0'.repeat(16));
    world.tamper = null;
    await world.converge();
  });

  test('[REP-4] after older versions of rows arrived in place of newer ones', async () => {
    world = await World.of(33);
    const seen = new Map<string, Uint8Array>();
    world.tamper = (reader, log, message) => {
      // Every other time an older version arrives in place of the newer one.
      const key = `${reader} ${log} ${message.key}`;
      const older = seen.get(key);
      seen.set(key, message.payload);
      return older !== undefined && world.runtime.random.next() < 0.5 ? { ...message, payload: older } : message;
    };
    await world.crowd(60);
    world.tamper = null;
    await world.converge();
  });
});

describe('identity', () => {
  test('[REP-13] a claim about a current actor beyond what it has counted fences it, and is joined', async () => {
    world = await World.of(40);
    const us = world.process('us');
    world.count('us', 'derby', 'heart', 3);
    await world.converge();
    const actor = us.actor!;
    // The process restarts, has lost everything, and wrongly goes on with its epoch.
    await world.kill('us');
    world.network.log('us').wipe();
    const again = world.create('us');
    await world.runtime.settle(again.replicator.recover());
    again.begin(0, Number(actor.split('/')[2]));
    expect(again.actor).toBe(actor);
    again.replicator.start();
    await world.runtime.runUntil(() => again.clashes.length > 0);
    expect(again.clashes).toEqual([actor]);
    expect(world.difference(again.ledger)).toBeNull();
    expect(again.replicator.stats.identityClashes).toBe(1);
    await world.converge();
  });

  test('[REP-13] claims that the process knows already, and those of its earlier lives, are no clash', async () => {
    world = await World.of(41);
    await world.crowd(20);
    await world.kill('us');
    await world.boot('us');
    const us = world.process('us');
    world.count('us', 'derby', 'heart', 3);
    const row = us.count('derby', 'heart', 0);
    // Custody of what the process knows itself arrives in a peer's log.
    const writer = world.network.writer('eu');
    await world.runtime.settle(writer.open(() => {}));
    const key = `custody.us.0.${row.actor.split('/')[2]}.derby`;
    await world.runtime.settle(writer.append([{ key, payload: encodeRow(row) }]));
    await world.runtime.runFor(1000);
    expect(us.clashes).toEqual([]);
    expect(decodeRow(row.stream, row.actor, encodeRow(row))).toEqual(row);
  });

  test('[REP-14] when another process writes the own log, publishing ends and the owner is told', async () => {
    world = await World.of(42);
    await world.crowd(5);
    const usurper = world.network.writer('us');
    await world.runtime.settle(usurper.open(() => {}));
    await world.runtime.settle(usurper.append([{ key: HEARTBEAT_KEY, payload: new Uint8Array() }]));
    await world.runtime.runUntil(() => world.process('us').fenced);
    const published = world.process('us').replicator.stats.rowsPublished;
    world.process('us').count('derby', 'heart', 1);
    await world.runtime.runFor(10_000);
    expect(world.process('us').replicator.stats.rowsPublished).toBe(published);
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
