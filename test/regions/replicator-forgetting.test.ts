/** The replicator while regions forget streams that are over, each in its own time. */

import { afterEach, expect, test } from 'vitest';
import { encodeRow } from '../../crdt/row.ts';
import { custodyKey } from '../../regions/subjects.ts';
import { parseStreamId, type StreamId } from '../../crdt/ids.ts';
import { REGIONS, World } from './replicator-world.ts';

const OVER = parseStreamId('s0');
let world: World;

afterEach(async () => {
  await world.stop();
  expect(world.runtime.pendingTimers).toBe(0);
});

/** The region forgets, and so does the truth that all are compared with. */
function forget(name: string, streams: readonly StreamId[] = [OVER]): void {
  world.process(name).replicator.forget(streams);
  for (const key of world.truth.keys()) if (streams.some((stream) => key.startsWith(`${stream}/`))) world.truth.delete(key);
}

/** What regions did because they disagreed. */
function noise(): object {
  return Object.fromEntries(
    [...world.processes].map(([name, { replicator, clashes }]) => {
      const { heartbeatMismatches, repairs, custodyRowsPublished } = replicator.stats;
      return [name, { heartbeatMismatches, repairs, custodyRowsPublished, clashes: clashes.length }];
    }),
  );
}

function keysOfStream(stream: StreamId): string[] {
  return REGIONS.flatMap((name) => world.keysOf(name).filter((key) => key.endsWith(`.${stream}`)));
}

function allEqual(): boolean {
  return [...world.processes.values()].every(({ replicator }) => replicator.peers().every(({ digestEqual }) => digestEqual === true));
}

async function quiet(before: object): Promise<void> {
  await world.runtime.runFor(60_000);
  expect(noise()).toEqual(before);
  expect(world.converged()).toBe(true);
  expect(allEqual()).toBe(true);
}

test('[REP-25] regions that forget a stream at different times stay quiet, and no log holds it any more', async () => {
  world = await World.of(40);
  await world.crowd(40);
  // The last that us counted, so that its sequence goes with it.
  world.count('us', OVER, 'heart', 3);
  await world.converge();
  await world.runtime.runFor(3_000);
  const before = noise();
  forget('us');
  await world.runtime.runFor(20_000);
  forget('ap');
  // Others are tapped on meanwhile, which us and ap may not take for a loss.
  for (let round = 0; round < 20; round++) {
    for (const name of REGIONS) world.count(name, 's1', 'heart', 1);
    await world.runtime.runFor(1_500);
  }
  forget('eu');
  await quiet(before);
  expect(keysOfStream(OVER)).toEqual([]);
  for (const { ledger, replicator } of world.processes.values()) {
    expect(ledger.tally(OVER)).toBeUndefined();
    expect(replicator.removalsWaiting()).toBe(0);
  }
});

test('[REP-25] what a region counted while it was cut off and all others forgot is ignored, and goes when it forgets too', async () => {
  world = await World.of(41);
  await world.crowd(30);
  await world.converge();
  world.cut('us', 'ap');
  world.cut('eu', 'ap');
  await world.crowd(30);
  world.count('ap', OVER, 'fire', 7);
  for (const name of ['us', 'eu']) forget(name);
  await world.runtime.runFor(5_000);
  const before = noise();
  world.heal('us', 'ap');
  world.heal('eu', 'ap');
  await world.runtime.runFor(20_000);
  expect(keysOfStream(OVER).length).toBeGreaterThan(0);
  for (const name of ['us', 'eu']) expect(world.process(name).ledger.tally(OVER)).toBeUndefined();
  forget('ap');
  await quiet(before);
  expect(keysOfStream(OVER)).toEqual([]);
});

test('[REP-25] restarts before, between and after forgetting change nothing', async () => {
  world = await World.of(42);
  await world.crowd(40);
  world.count('us', OVER, 'heart', 3);
  await world.converge();
  await world.kill('eu');
  await world.boot('eu');
  await world.runtime.runFor(5_000);
  forget('us');
  await world.runtime.runFor(5_000);
  // A new life reads the rows back that its log still has, and then learns that they are over.
  await world.kill('us');
  await world.boot('us');
  world.count('us', 's1', 'heart', 1);
  await world.kill('ap');
  await world.boot('ap');
  for (const name of REGIONS) forget(name);
  await world.runtime.runFor(10_000);
  await world.kill('eu');
  await world.boot('eu');
  forget('eu');
  await world.runtime.runFor(10_000);
  expect(keysOfStream(OVER)).toEqual([]);
  await quiet(noise());
});

test('[REP-26] a log that brings back rows that were removed accuses nobody, and loses them again', async () => {
  world = await World.of(43);
  await world.crowd(40);
  world.count('us', OVER, 'heart', 3);
  await world.converge();
  const snapshot = world.network.log('us').snapshot();
  for (const name of REGIONS) forget(name);
  await world.runtime.runFor(5_000);
  expect(keysOfStream(OVER)).toEqual([]);
  world.network.log('us').restore(snapshot);
  await world.crowd(20, 1 + 4);
  for (const name of REGIONS) forget(name);
  await world.runtime.runFor(30_000);
  expect(keysOfStream(OVER)).toEqual([]);
  expect(world.process('us').clashes).toEqual([]);
  for (const key of world.truth.keys()) if (key.startsWith(`${OVER}/`)) world.truth.delete(key);
  await quiet(noise());
});

test('[REP-26] a row of a forgotten stream that comes late makes no claim on its actor', async () => {
  world = await World.of(47);
  world.count('us', OVER, 'heart', 3);
  await world.converge();
  const { actor, ledger } = world.process('us');
  const late = { key: custodyKey({ stream: OVER, actor: actor! }), payload: encodeRow(ledger.row({ stream: OVER, actor: actor! })!) };
  for (const name of REGIONS) forget(name);
  let heard = 0;
  world.tamper = (reader, log, message) => (reader === 'us' && log === 'eu' && heard++ === 0 ? { ...message, ...late } : message);
  await world.runtime.runFor(5_000);
  expect(heard).toBeGreaterThan(0);
  expect(world.process('us').clashes).toEqual([]);
  expect(world.process('us').ledger.tally(OVER)).toBeUndefined();
});

test('[REP-26] rows kept for a peer are removed with the others, also by a later life of their keeper', async () => {
  world = await World.of(44);
  for (let row = 0; row < 20; row++) world.count('us', `s${row}`, 'heart', 1);
  await world.converge();
  await world.kill('us');
  world.network.log('us').wipe();
  await world.boot('us');
  await world.converge();
  await world.runtime.runFor(5_000);
  const custody = (): string[] => keysOfStream(OVER).filter((key) => key.startsWith('custody.'));
  expect(custody().length).toBeGreaterThan(0);
  await world.kill('eu');
  await world.boot('eu');
  for (const name of REGIONS) forget(name);
  await world.runtime.runFor(10_000);
  expect(keysOfStream(OVER)).toEqual([]);
  await quiet(noise());
});

test('[REP-25] a loss is noticed and mended once all have forgotten', async () => {
  world = await World.of(45);
  await world.crowd(20);
  await world.converge();
  for (const name of REGIONS) forget(name);
  await world.runtime.runFor(5_000);
  world.tamper = (reader, log, message) => (reader === 'eu' && log === 'us' && message.key.endsWith('.s2') ? null : message);
  world.count('us', 's2', 'heart', 1);
  await world.runtime.runFor(1_000);
  world.tamper = null;
  expect(world.converged()).toBe(false);
  await world.converge();
  expect(world.process('eu').replicator.stats.repairs).toBeGreaterThan(0);
});

test('[REP-26] many rows are removed some at a time', async () => {
  world = await World.of(46);
  const streams = Array.from({ length: 600 }, (_, index) => parseStreamId(`x${index}`));
  for (const stream of streams) world.count('us', stream, 'heart', 1);
  await world.converge();
  for (const name of REGIONS) forget(name, streams);
  expect(world.process('us').replicator.removalsWaiting()).toBe(600);
  await world.runtime.runFor(5_000);
  for (const name of REGIONS) expect(world.keysOf(name).filter((key) => key !== 'heartbeat')).toEqual([]);
  expect(world.process('us').replicator.stats.rowsRemoved).toBe(600);
  expect(world.process('us').ledger.streamCount).toBe(0);
});
