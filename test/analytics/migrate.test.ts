import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIGRATIONS_FOLDER, MigrationDrift, MigrationFailed, migrate, pendingMigrations } from '../../src/analytics/migrate.ts';
import { WindowStoreUnavailable } from '../../src/analytics/window-store.ts';
import { migrateCommand } from '../../src/cli/migrate.ts';
import { postgresAvailable, run, startPostgres, type Postgres } from '../support/postgres.ts';

const FILES = ['001-reaction-windows.sql', '002-reaction-views.sql', '003-policy-changes.sql'];

describe.skipIf(!postgresAvailable)('migrations', () => {
  let server: Postgres;
  let databases = 0;
  const folders: string[] = [];
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(async () => {
    for (const folder of folders) rmSync(folder, { recursive: true });
    await server?.stop();
  });
  const database = (): Promise<string> => server.createDatabase(`migrations${databases++}`);
  const folderWith = (files: Readonly<Record<string, string>>): string => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ovation-migrations-'));
    folders.push(folder);
    cpSync(MIGRATIONS_FOLDER, folder, { recursive: true });
    for (const [name, sql] of Object.entries(files)) writeFileSync(path.join(folder, name), sql);
    return folder;
  };

  it('[WIN-9] each file is applied once', async () => {
    const url = await database();
    expect(await pendingMigrations(url)).toEqual(FILES);
    expect(await migrate(url)).toEqual({ applied: FILES, present: [] });
    expect(await migrate(url)).toEqual({ applied: [], present: FILES });
    expect(await pendingMigrations(url)).toEqual([]);
  });

  it('[WIN-9] runners at the same time take turns', async () => {
    const url = await database();
    const results = await Promise.all(Array.from({ length: 6 }, () => migrate(url)));
    expect(results.flatMap(({ applied }) => applied).sort()).toEqual(FILES);
    expect(await run(url, 'SELECT name FROM ovation_migrations')).toHaveLength(FILES.length);
  });

  it('[WIN-9] a file that changed after it was applied is refused', async () => {
    const url = await database();
    await migrate(url);
    const changed = folderWith({ '002-reaction-views.sql': '-- changed' });
    await expect(migrate(url, changed)).rejects.toThrow(MigrationDrift);
    await expect(pendingMigrations(url, changed)).rejects.toThrow(/002-reaction-views\.sql was changed/);
  });

  it('[WIN-9] a database ahead of this build is refused, and nothing is changed', async () => {
    const url = await database();
    await migrate(url, folderWith({ '004-later.sql': 'CREATE TABLE later (a int)' }));
    await expect(migrate(url)).rejects.toThrow(/004-later\.sql .* newer build/);
  });

  it('[WIN-9] a file that fails leaves nothing behind, and those before it stay', async () => {
    const url = await database();
    const broken = folderWith({ '004-broken.sql': 'CREATE TABLE half (a int); SELECT nonsense;' });
    await expect(migrate(url, broken)).rejects.toThrow(MigrationFailed);
    expect(await run(url, `SELECT to_regclass('half') AS half`)).toEqual([{ half: null }]);
    expect(await pendingMigrations(url, broken)).toEqual(['004-broken.sql']);
  });

  it('[WIN-9] a gap in the numbers or another name is refused', async () => {
    const url = await database();
    await expect(migrate(url, folderWith({ '005-gap.sql': '' }))).rejects.toThrow(MigrationDrift);
    await expect(migrate(url, folderWith({ 'later.sql': '' }))).rejects.toThrow(MigrationDrift);
  });

  it('[CLI-12] ovation migrate answers with lines or JSON, and an exit code', async () => {
    const url = await database();
    const lines: string[] = [];
    const command = (databaseUrl: string | null, json: boolean) => migrateCommand({ databaseUrl, json, write: (line) => lines.push(line) });
    expect(await command(url, true)).toBe(0);
    expect(await command(url, false)).toBe(0);
    expect(await command(null, true)).toBe(2);
    expect(await command('postgres://postgres@127.0.0.1:1/nowhere', true)).toBe(3);
    expect(lines.slice(0, 2)).toEqual([JSON.stringify({ applied: FILES, present: [] }), 'Up to date: 3 migrations.']);
    expect(lines[3]).toContain('WindowStoreUnavailable');
    await expect(command(null, false)).rejects.toMatchObject({ name: 'CommandFailure', reason: 'usage' });
    await expect(command('postgres://postgres@127.0.0.1:1/nowhere', false)).rejects.toMatchObject({ reason: 'unreachable' });
    await expect(migrate('postgres://postgres@127.0.0.1:1/nowhere')).rejects.toThrow(WindowStoreUnavailable);
  });
});
