import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FolderInUse } from '../../src/analytics/folder-lock.ts';
import { migrate, pendingMigrations } from '../../src/analytics/migrate.ts';
import { startPgliteServer } from '../../src/analytics/pglite-server.ts';
import { createPostgresStore, type PostgresStore } from '../../src/analytics/postgres-store.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { changeStoreContract } from '../contracts/change-store-contract.ts';
import { windowStoreContract } from '../contracts/window-store-contract.ts';
import { run } from '../support/postgres.ts';
import { recordsOf } from './commits.ts';
import { keptLog } from './kept-log.ts';

const LOADER = path.resolve(import.meta.dirname, '../support/typescript-loader.mjs');
const HOLD_MS_MAX = 1000;

describe('PGlite behind its socket', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-pglite-'));
  let child: ChildProcess;
  let url: string;
  let store: PostgresStore;
  beforeAll(async () => {
    const args = [folder, String(HOLD_MS_MAX)];
    child = fork(path.join(import.meta.dirname, 'pglite-process.ts'), args, { execArgv: ['--import', LOADER] });
    url = await new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as string));
      child.once('exit', (code) => reject(new Error(`exit code ${code}`)));
    });
    // Several runners, because the regions of a demonstration all migrate.
    const results = await Promise.all([migrate(url), migrate(url), migrate(url)]);
    expect(results.flatMap(({ applied }) => applied)).toHaveLength(3);
    store = createPostgresStore({ url, log: keptLog() });
    // A first boot takes three seconds of a processor that may be busy.
  }, 120_000);
  afterAll(async () => {
    await store?.close();
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  windowStoreContract('PGlite', () => ({ store, url }), 8);
  changeStoreContract('PGlite', () => store);

  async function connect(): Promise<Client> {
    const client = new Client({ connectionString: url, query_timeout: 60_000 });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  it('[WIN-13] statements of several clients do not mix, also when they arrive in pieces', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, connect));
    await Promise.all(
      clients.map(async (client, me) => {
        for (let round = 0; round < 30; round++) {
          const text = 'x'.repeat(me % 2 === 0 ? 300_000 : 10);
          const sql = `SELECT $1::int AS round, ${me} AS me, length($2) AS length`;
          const { rows } = await client.query(sql, [round, text]);
          expect(rows).toEqual([{ round, me, length: text.length }]);
        }
      }),
    );
    await Promise.all(clients.map((client) => client.end()));
  });

  it('[WIN-13] a transaction is its client’s alone, and others wait for its end', async () => {
    const [one, other] = await Promise.all([connect(), connect()]);
    await one.query('CREATE TABLE turns (id int)');
    await one.query('BEGIN');
    await one.query('INSERT INTO turns VALUES (1)');
    let answered = false;
    const counted = other.query('SELECT count(*)::int AS rows FROM turns').finally(() => (answered = true));
    await one.query('INSERT INTO turns VALUES ($1)', [2]);
    expect(answered).toBe(false);
    await one.query('ROLLBACK');
    expect((await counted).rows).toEqual([{ rows: 0 }]);
    await Promise.all([one.end(), other.end()]);
  });

  it('[WIN-13] a failed statement concerns its client alone', async () => {
    const [one, other] = await Promise.all([connect(), connect()]);
    const results = await Promise.allSettled([
      one.query('SELECT nonsense FROM nowhere WHERE id = $1', [1]),
      other.query('SELECT $1::int AS fine', [1]),
      one.query('SELECT $1::int AS fine', [2]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    await Promise.all([one.end(), other.end()]);
  });

  it('[WIN-13] a client that leaves or falls silent inside a transaction is rolled back', async () => {
    const [leaver, silent, other] = await Promise.all([connect(), connect(), connect()]);
    await other.query('CREATE TABLE leavers (id int)');
    await leaver.query('BEGIN');
    await leaver.query('INSERT INTO leavers VALUES (1)');
    const counted = other.query('SELECT count(*)::int AS rows FROM leavers');
    // No goodbye, as after kill -9.
    (leaver as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    expect((await counted).rows).toEqual([{ rows: 0 }]);

    await silent.query('BEGIN');
    await silent.query('INSERT INTO leavers VALUES (2)');
    expect((await other.query('SELECT count(*)::int AS rows FROM leavers')).rows).toEqual([{ rows: 0 }]);
    await expect(silent.query('COMMIT')).rejects.toThrow();
    await other.end();
  });

  it('[WIN-14] a folder belongs to one process; after its kill -9 the next one finds what was stored', async () => {
    await store.store(recordsOf(10, 100));
    const stored = await store.stored(recordsOf(1)[0]!.stream);
    await expect(startPgliteServer({ dataDir: folder, port: 0, runtime: realRuntime })).rejects.toThrow(FolderInUse);

    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;

    const next = await startPgliteServer({ dataDir: folder, port: 0, runtime: realRuntime });
    expect(await pendingMigrations(next.url)).toEqual([]);
    const again = createPostgresStore({ url: next.url, log: keptLog() });
    expect(await again.stored(recordsOf(1)[0]!.stream)).toEqual(stored);
    expect(await run(next.url, `SELECT count(*)::int AS rows FROM reaction_windows WHERE stream_id LIKE 'stream%'`)).toEqual([{ rows: 1000 }]);
    await again.close();
    await next.stop();
    expect(readdirSync(folder)).toEqual(['ovation.lock.2', 'pgdata']);
  });
});
