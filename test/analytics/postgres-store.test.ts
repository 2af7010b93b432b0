import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { migrate } from '../../src/analytics/migrate.ts';
import { createPostgresStore, type PostgresStore } from '../../src/analytics/postgres-store.ts';
import { WindowStoreOutdated, WindowStoreUnavailable } from '../../src/analytics/window-store.ts';
import { changeStoreContract } from '../contracts/change-store-contract.ts';
import { windowStoreContract } from '../contracts/window-store-contract.ts';
import { lockTable, postgresAvailable, run, startPostgres, type Postgres } from '../support/postgres.ts';
import { recordsOf } from './commits.ts';
import { keptLog } from './kept-log.ts';

describe.skipIf(!postgresAvailable)('with Postgres', () => {
  let server: Postgres;
  let url: string;
  let store: PostgresStore;
  beforeAll(async () => {
    server = await startPostgres();
    url = await server.createDatabase('windows');
    await migrate(url);
    store = createPostgresStore({ url, log: keptLog() });
  });
  afterAll(async () => {
    await store?.close();
    await server?.stop();
  });

  windowStoreContract('Postgres', () => ({ store, url }));
  changeStoreContract('Postgres', () => store);

  it('[WIN-8] a replay writes nothing: rows that hold as much are left alone', async () => {
    const records = recordsOf(20);
    const versions = () => run(url, `SELECT ctid::text, xmin::text FROM reaction_windows WHERE stream_id = 'stream0' ORDER BY window_start`);
    await store.store(records);
    const before = await versions();
    expect(before).toHaveLength(20);
    await store.store(records);
    expect(await versions()).toEqual(before);
  });

  it('[WIN-12] views reach the rows of a stream and time through an index', async () => {
    const sql = `EXPLAIN SELECT * FROM reactions_1s WHERE stream_id = 'x' AND window_start > now() - interval '1 minute'`;
    const plan = (await run<{ 'QUERY PLAN': string }>(url, sql)).map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toContain('Index Cond: ((stream_id =');
    expect(plan).toContain('window_start >');
  });

  it('[WIN-7] a database that does not answer is an error within the time limit, and no connection is lost for good', async () => {
    const impatient = createPostgresStore({ url, log: keptLog(), answerMsMax: 400 });
    await impatient.store(recordsOf(1));
    server.pause();
    try {
      for (let attempt = 0; attempt < 3; attempt++) {
        await expect(impatient.store(recordsOf(1))).rejects.toBeInstanceOf(WindowStoreUnavailable);
      }
    } finally {
      server.resume();
    }
    await expect.poll(() => impatient.store(recordsOf(1)).then(() => true, () => false)).toBe(true);
    await impatient.close();
  });

  it('[WIN-18] readers that the database lets wait keep no window from being stored, and only so many may wait', async () => {
    const crowded = createPostgresStore({ url, log: keptLog() });
    const release = await lockTable(url, 'policy_changes');
    const reading = Array.from({ length: 40 }, () => crowded.changes('global', 1).then(() => 'read', (error: unknown) => error));
    try {
      await crowded.store(recordsOf(1));
      const refused = await Promise.race(reading);
      expect(refused).toBeInstanceOf(WindowStoreUnavailable);
      expect(String(refused)).toContain('too many are reading');
    } finally {
      await release();
    }
    const answers = await Promise.all(reading);
    expect(answers.filter((answer) => answer === 'read').length).toBeGreaterThanOrEqual(4);
    expect(answers.filter((answer) => answer === 'read').length).toBeLessThanOrEqual(20);
    await crowded.close();
  });

  it('[WIN-7] closing does not wait for a database that hangs', async () => {
    const hanging = createPostgresStore({ url, log: keptLog() });
    const release = await lockTable(url, 'reaction_windows');
    let isStored = false;
    const storing = hanging.store(recordsOf(1)).then(() => (isStored = true));
    await hanging.close();
    expect(isStored).toBe(false);
    await release();
    await storing;
  });

  it('[WIN-9] a database that was not migrated is told from one that is away', async () => {
    const bare = createPostgresStore({ url: await server.createDatabase('bare'), log: keptLog() });
    await expect(bare.store(recordsOf(1))).rejects.toBeInstanceOf(WindowStoreOutdated);
    await expect(bare.stored('derby' as StreamId)).rejects.toBeInstanceOf(WindowStoreOutdated);
    await bare.close();
    await expect(bare.store(recordsOf(1))).rejects.not.toBeInstanceOf(WindowStoreOutdated);
  });

  it('[WIN-7] idle connections that are lost do not end the process', async () => {
    const log = keptLog();
    const idle = createPostgresStore({ url, log });
    await idle.store(recordsOf(1));
    await server.crash();
    await expect.poll(() => log.lines.map(({ message }) => message)).toContain('an idle database connection was lost');
    await expect(idle.store(recordsOf(1))).rejects.toBeInstanceOf(WindowStoreUnavailable);
    await server.restart();
    await idle.store(recordsOf(1));
    await idle.close();
  });
});
