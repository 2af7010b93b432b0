/** The replicator when it must not, or cannot, publish: a log without room, a process that was followed, mistakes of its own. */

import { afterEach, describe, expect, test } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { LogUnavailable } from '../../regions/log.ts';
import { HEARTBEAT_KEY } from '../../regions/subjects.ts';
import { RegionProcess, World } from './replicator-world.ts';

let world: World;

afterEach(async () => {
  await world.stop();
  expect(world.runtime.pendingTimers).toBe(0);
});

const LOG_BYTES = 20_000;

/** Counts in one more stream after another until the log of `us` has no room for them. */
async function fill(): Promise<number> {
  const us = world.process('us');
  const { keysRefused } = us.replicator.stats;
  let streams = us.ledger.streamCount;
  while (us.replicator.stats.keysRefused === keysRefused) {
    for (let more = 0; more < 20; more++) us.count(`s${streams++}`, 'heart', 1);
    await world.runtime.runFor(200);
    expect(streams).toBeLessThan(1_000);
  }
  return streams;
}

describe('a log that has no room', () => {
  test('[REP-27] refuses rows of further streams; the others, documents and heartbeats go on, and it is not read again', async () => {
    world = await World.of(60, {}, LOG_BYTES);
    const us = world.process('us');
    await world.runtime.runFor(3_000);
    const { opens } = us.replicator.stats;
    const streams = await fill();
    // Each second another stream that there is no room for, and taps in those that are refused already.
    for (let second = 0; second < 60; second++) {
      us.count(`more${second}`, 'heart', 1);
      us.count(`s${streams - 1}`, 'heart', 1);
      us.count('s0', 'heart', 1);
      if (second % 10 === 0) us.notes.write(`note.${second}`, 'ann');
      await world.runtime.runFor(1_000);
      expect(world.process('eu').ledger.tally('s0' as StreamId)).toEqual(us.ledger.tally('s0' as StreamId));
      expect(world.process('eu').replicator.staleness()['us']).toBeLessThan(2_500);
      expect(us.replicator.oldestUntriedMs()).toBeLessThan(1_000);
    }
    expect(us.replicator.stats).toMatchObject({ opens, appendFailures: 0 });
    expect(us.replicator.rowsWaiting()).toBeGreaterThan(60);
    expect(us.replicator.oldestDirtyMs()).toBeGreaterThan(55_000);
    expect(world.process('eu').notes.toString()).toBe(us.notes.toString());
    // Twice a minute each, once more when it first was there.
    expect(us.replicator.stats.keysRefused).toBeLessThan(4 * us.replicator.rowsWaiting());
    // In each turn another one.
    for (let fast = 0; fast < 250; fast++) {
      us.count(`fast${fast}`, 'heart', 1);
      us.count('s0', 'heart', 1);
      await world.runtime.runFor(40);
    }
    expect(world.process('eu').replicator.staleness()['us']).toBeLessThan(2_500);
    // Peers do not take what they lack for lost.
    expect(world.process('eu').replicator.stats).toMatchObject({ heartbeatMismatches: 0, repairs: 0, custodyRowsPublished: 0 });
  });

  test('[REP-27] takes what it refused half a minute after there is room again, and a stop does not wait for it', async () => {
    world = await World.of(61, {}, LOG_BYTES);
    const us = world.process('us');
    const streams = await fill();
    await world.runtime.runFor(1_000);
    us.replicator.forget(Array.from({ length: 50 }, (_, index) => `s${index}` as StreamId));
    await world.runtime.runFor(31_000);
    expect(us.replicator.rowsWaiting()).toBe(0);
    expect(us.replicator.oldestDirtyMs()).toBe(0);
    const last = `s${streams - 1}` as StreamId;
    expect(world.process('eu').ledger.tally(last)).toEqual(us.ledger.tally(last));
    await fill();
    const from = world.runtime.clock.now();
    await world.runtime.settle(us.replicator.stop());
    expect(world.runtime.clock.now() - from).toBeLessThan(500);
    world.processes.delete('us');
  });

  test('[REP-27] a heartbeat that cannot tell a digest goes before the rows, and one that can after them', async () => {
    world = new World(67);
    const writer = world.network.writer('us');
    const appends: string[][] = [];
    const us = new RegionProcess(
      'us',
      world.runtime,
      {
        open: (visit) => writer.open(visit),
        append: (messages) => {
          appends.push(messages.map(({ key }) => key));
          return writer.append(messages);
        },
        remove: (keys) => writer.remove(keys),
        close: () => writer.close(),
      },
      new Map(),
      { rowsPerTickMax: 10 },
    );
    world.processes.set('us', us);
    await world.runtime.settle(us.boot(() => world.runtime.clock.now()));
    for (let stream = 0; stream < 15; stream++) us.count(`s${stream}`, 'heart', 1);
    await world.runtime.runFor(2_000);
    expect(appends[0]).toHaveLength(11);
    expect(appends[0]!.indexOf(HEARTBEAT_KEY)).toBe(0);
    for (const append of appends.slice(1)) if (append.includes(HEARTBEAT_KEY)) expect(append.at(-1)).toBe(HEARTBEAT_KEY);
    expect(appends.slice(1).some((append) => append.includes(HEARTBEAT_KEY))).toBe(true);
  });

  test('[REP-27] a log that fails again and again is opened less and less often', async () => {
    world = new World(62);
    const writer = world.network.writer('us');
    let opens = 0;
    const us = new RegionProcess(
      'us',
      world.runtime,
      {
        open: (visit) => {
          opens += 1;
          return writer.open(visit);
        },
        append: async () => {
          throw new LogUnavailable('it opens and takes nothing');
        },
        remove: (keys) => writer.remove(keys),
        close: () => writer.close(),
      },
      new Map(),
    );
    world.processes.set('us', us);
    await world.runtime.settle(us.boot(() => world.runtime.clock.now()));
    await world.runtime.runFor(60_000);
    expect(opens).toBeGreaterThan(20);
    expect(opens).toBeLessThan(90);
  });
});

describe('mistakes of its own', () => {
  test('[REP-27] a turn that throws is tried again, loses no row, and does not read the log again', async () => {
    world = await World.of(63);
    const us = world.process('us');
    await world.runtime.runFor(3_000);
    const { opens } = us.replicator.stats;
    us.viewers.set('not a stream' as StreamId, Symbol('not a number') as unknown as number);
    world.count('us', 'derby', 'heart', 3);
    await world.runtime.runFor(5_000);
    expect(us.replicator.stats.appendFailures).toBeGreaterThan(1);
    us.viewers.clear();
    await world.converge(5_000);
    expect(us.replicator.stats.opens).toBe(opens);
  });

  test('[REP-19] an owner that throws for one document holds up neither rows nor other documents, also when the log is opened', async () => {
    world = await World.of(64);
    const us = world.process('us');
    us.pages.put('page.good', '1');
    us.pages.put('page.bad', '1');
    await world.runtime.runFor(1_000);
    const read = us.pages.read.bind(us.pages);
    us.pages.read = (key) => {
      if (key === 'page.bad') throw new Error('cannot be read');
      return read(key);
    };
    world.network.log('us').wipe();
    world.count('us', 'derby', 'heart', 3);
    us.pages.put('page.good', '2');
    await world.converge(10_000);
    await world.runtime.runUntil(() => world.process('eu').pages.of('us').includes('page.good=2'), 10_000);
    expect(us.replicator.stats.documentsRefused).toBeGreaterThan(0);
  });
});

describe('a process that was followed', () => {
  test('[REP-28] publishes nothing more once it is fenced, at its stop neither', async () => {
    world = await World.of(65);
    const us = world.process('us');
    world.count('us', 'derby', 'heart', 3);
    await world.converge();
    us.replicator.fence();
    await world.runtime.runFor(100);
    const { lastSequence } = world.network.log('us').snapshot();
    us.count('derby', 'heart', 1);
    us.pages.put('page.1', 'late');
    await world.runtime.runFor(5_000);
    await world.runtime.settle(us.replicator.stop());
    world.processes.delete('us');
    expect(world.network.log('us').snapshot().lastSequence).toBe(lastSequence);
  });

  test('[REP-28] one that is stopped before it has started takes back nothing that its successor has said', async () => {
    world = await World.of(66);
    const us = world.process('us');
    us.pages.put('page.1', 'live');
    await world.runtime.runFor(1_000);
    const second = world.create('us');
    world.processes.set('us', us);
    await world.runtime.settle(second.replicator.recover());
    await world.runtime.settle(second.replicator.stop());
    await world.runtime.runFor(3_000);
    expect(us.fenced).toBe(false);
    expect(world.process('eu').pages.of('us')).toBe('page.1=live');
    expect(world.keysOf('us')).toContain(HEARTBEAT_KEY);
  });
});
