/** The replicator when something was lost: by a log, by a process, by a broker that does not say so, or an identity. */

import { afterEach, describe, expect, test } from 'vitest';
import { encodeRow } from '../../crdt/row.ts';
import { HEARTBEAT_KEY } from '../../regions/subjects.ts';
import { REGIONS, World } from './replicator-world.ts';

let world: World;

afterEach(async () => {
  await world.stop();
  // A stop that leaves a timer behind would keep a process alive.
  expect(world.runtime.pendingTimers).toBe(0);
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
