import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ActorId } from '../../crdt/actor.ts';
import { createJetstreamWindowQueue } from '../../src/analytics/jetstream-window-queue.ts';
import { createMemoryWindowQueue } from '../../src/analytics/memory-window-queue.ts';
import { migrate } from '../../src/analytics/migrate.ts';
import { Persister } from '../../src/analytics/persister.ts';
import { createPostgresStore, type PostgresStore } from '../../src/analytics/postgres-store.ts';
import { WindowQueueUnavailable, type WindowQueue } from '../../src/analytics/window-queue.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import { WindowStoreUnavailable, type WindowStore } from '../../src/analytics/window-store.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { postgresAvailable, startPostgres, type Postgres } from '../support/postgres.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { START_MS, booksOf, recordsOf } from './commits.ts';
import { keptLog } from './kept-log.ts';

/** A store that keeps what it took and can be down. */
function fickleStore() {
  const state = { taken: [] as WindowRecord[], down: false, hangs: false, attempts: 0 };
  const store: WindowStore = {
    async store(records) {
      state.attempts += 1;
      if (state.hangs) await new Promise(() => {});
      if (state.down) throw new WindowStoreUnavailable('down');
      state.taken.push(...records);
    },
    history: async () => [],
    stored: async () => [],
    close: async () => {},
  };
  return { state, store };
}

describe('the persister', () => {
  it('[WIN-7] keeps everything while the database is down for an hour, tries rarely, and drains after', async () => {
    const runtime = createSimulatedRuntime(1, START_MS);
    const queue = createMemoryWindowQueue();
    const { state, store } = fickleStore();
    state.down = true;
    const persister = new Persister({ queue, store, runtime, log: keptLog() });
    persister.start();
    const records = recordsOf(100);
    await queue.publish(records.slice(0, 50));
    await runtime.runFor(3_600_000);
    await queue.publish(records.slice(50));
    expect(persister.stats).toMatchObject({ recordsBehind: 100, oldestAgeMs: 3_600_000, storedRecords: 0 });
    // Every two and a half seconds on average.
    expect(state.attempts).toBeGreaterThan(700);
    expect(state.attempts).toBeLessThan(3000);
    state.down = false;
    await runtime.runFor(6000);
    expect(booksOf(state.taken)).toEqual(booksOf(records));
    expect(persister.stats).toMatchObject({ recordsBehind: 0, oldestAgeMs: 0, storedRecords: 100 });
    await runtime.settle(persister.stop());
    expect(runtime.pendingTimers).toBe(0);
  });

  it('[WIN-7] a stop does not wait for a database that hangs', async () => {
    const runtime = createSimulatedRuntime(1, START_MS);
    const queue = createMemoryWindowQueue();
    const { state, store } = fickleStore();
    state.hangs = true;
    const persister = new Persister({ queue, store, runtime, log: keptLog() });
    persister.start();
    await queue.publish(recordsOf(10));
    await runtime.runFor(1_000);
    await runtime.settle(persister.stop(), 3_000);
    expect(queue.depth()).toBe(10);
  });

  it('[WIN-7] a stop with the database down ends at once and leaves the records queued', async () => {
    const runtime = createSimulatedRuntime(1, START_MS);
    const queue = createMemoryWindowQueue();
    const { state, store } = fickleStore();
    state.down = true;
    const persister = new Persister({ queue, store, runtime, log: keptLog() });
    persister.start();
    await queue.publish(recordsOf(10));
    await runtime.runFor(60_000);
    await runtime.settle(persister.stop(), 100);
    expect(queue.depth()).toBe(10);
  });

  it('[WIN-7] a queue that is lost is opened again', async () => {
    const runtime = createSimulatedRuntime(1, START_MS);
    const memory = createMemoryWindowQueue();
    let failures = 5;
    const queue: WindowQueue = {
      open: async () => {
        if (failures-- > 0) throw new WindowQueueUnavailable('lost');
      },
      publish: (records) => memory.publish(records),
      consume: (store, signal) => memory.consume(store, signal),
      losses: () => 0,
      malformed: () => 2,
      depth: () => memory.depth(),
      close: () => memory.close(),
    };
    const { state, store } = fickleStore();
    const persister = new Persister({ queue, store, runtime, log: keptLog() });
    persister.start();
    await queue.publish(recordsOf(3));
    await runtime.runFor(30_000);
    expect(state.taken).toEqual(recordsOf(3));
    expect(persister.stats).toMatchObject({ queueFailures: 5, malformedMessages: 2 });
    await runtime.settle(persister.stop());
  });
});

describe.skipIf(!natsAvailable || !postgresAvailable)('from JetStream into Postgres', () => {
  let nats: NatsServer;
  let postgres: Postgres;
  let url: string;
  let store: PostgresStore;
  beforeAll(async () => {
    [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
    url = await postgres.createDatabase('windows');
    await migrate(url);
    store = createPostgresStore({ url, log: keptLog(), answerMsMax: 1000 });
  });
  afterAll(async () => {
    await store?.close();
    await Promise.all([nats?.stop(), postgres?.stop()]);
  });

  /** A region's queue and persister, both with this file's database. */
  async function startRegion(region: string) {
    const log = keptLog();
    const queue = createJetstreamWindowQueue({ region, address: nats.address, log, bytesMax: 8 * 1024 * 1024 });
    await queue.open();
    const persister = new Persister({ queue, store, runtime: realRuntime, log });
    persister.start();
    return {
      queue,
      persister,
      stop: async () => {
        await persister.stop();
        await queue.close();
      },
    };
  }

  const recordsFor = (stream: string, region: string, seconds: number): WindowRecord[] =>
    recordsOf(seconds, 1, `${region}/0/1` as ActorId, stream);

  async function storedIn(stream: string): Promise<Record<string, number>> {
    const entries = await store.stored(stream as WindowRecord['stream']);
    return Object.fromEntries(entries.map(({ actor, increments, decrements }) => [actor, increments - decrements]));
  }

  /** Of `recordsOf`: 1 + 2 + … + seconds, net. */
  const sumOf = (seconds: number): number => (seconds * (seconds + 1)) / 2;

  it('[WIN-7] a database that hangs, then crashes while storing: nothing lost, drained after', async () => {
    const us = await startRegion('us');
    const records = recordsFor('outage', 'us', 300);
    await us.queue.publish(records.slice(0, 100));
    await expect.poll(() => storedIn('outage0')).toEqual({ 'us/0/1': sumOf(100) });
    postgres.pause();
    await us.queue.publish(records.slice(100, 200));
    await expect.poll(() => us.persister.stats.storeFailures).toBeGreaterThan(0);
    postgres.resume();
    await postgres.crash();
    await us.queue.publish(records.slice(200));
    await expect.poll(() => us.persister.stats.storeFailures).toBeGreaterThan(1);
    expect(us.persister.stats.oldestAgeMs).toBeGreaterThan(0);
    await postgres.restart();
    await expect.poll(() => storedIn('outage0').catch(() => ({}))).toEqual({ 'us/0/1': sumOf(300) });
    await expect.poll(() => us.persister.stats.recordsBehind).toBe(0);
    await us.stop();
  });

  it('[WIN-7] records delivered twice, and two regions storing at once, change nothing', async () => {
    const [us, eu] = await Promise.all([startRegion('us'), startRegion('eu')]);
    for (let round = 0; round < 3; round++) {
      await Promise.all([us.queue.publish(recordsFor('twice', 'us', 200)), eu.queue.publish(recordsFor('twice', 'eu', 200))]);
    }
    await expect.poll(() => us.queue.depth() + eu.queue.depth()).toBe(0);
    await expect.poll(() => us.persister.stats.storedRecords + eu.persister.stats.storedRecords).toBe(1200);
    expect(await storedIn('twice0')).toEqual({ 'us/0/1': sumOf(200), 'eu/0/1': sumOf(200) });
    await Promise.all([us.stop(), eu.stop()]);
  });

  it('[WIN-7] a persister that takes over continues where the last one stopped', async () => {
    const first = await startRegion('ap');
    await first.queue.publish(recordsFor('takeover', 'ap', 100));
    await first.stop();
    const second = await startRegion('ap');
    await second.queue.publish(recordsFor('takeover', 'ap', 150));
    await expect.poll(() => storedIn('takeover0')).toEqual({ 'ap/0/1': sumOf(150) });
    await second.stop();
  });
});
