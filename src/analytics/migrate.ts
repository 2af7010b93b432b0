/**
 * Migrations: the numbered SQL files of `migrations/`, each applied once, in order.
 *
 * Each file runs in one transaction together with its entry in the bookkeeping table, under an advisory
 * lock of that transaction: concurrent runners take turns, and a crash leaves a file applied or not
 * (WIN-9). A file that changed after it was applied is refused, and so is a database that is ahead of
 * this build.
 */

import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { Client, DatabaseError } from 'pg';
import { WindowStoreUnavailable } from './window-store.ts';

const FILE_NAME = /^(\d{3})-[a-z0-9-]+\.sql$/;
/** Any number that no other program locks in the same database. */
const LOCK = 7_102_022_110;
const CONNECT_MS_MAX = 5000;
/** Waiting for another runner is normal; waiting for ever is not. */
const LOCK_WAIT = '60s';
const SQL_UNDEFINED_TABLE = '42P01';

const CREATE_BOOKKEEPING = `
  CREATE TABLE IF NOT EXISTS ovation_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`;

/** Files and database tell different stories. Nothing was changed by the file in question. */
export class MigrationDrift extends Error {
  override readonly name = 'MigrationDrift';
}

/** A file's SQL failed and was rolled back. The message names the file. */
export class MigrationFailed extends Error {
  override readonly name = 'MigrationFailed';
}

export interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

export interface MigrationResult {
  /** Applied by this run. */
  readonly applied: readonly string[];
  /** Applied before. */
  readonly present: readonly string[];
}

export const MIGRATIONS_FOLDER = path.join(import.meta.dirname, 'migrations');

/** @throws MigrationDrift, MigrationFailed, WindowStoreUnavailable */
export async function migrate(url: string, folder = MIGRATIONS_FOLDER): Promise<MigrationResult> {
  const migrations = await readMigrations(folder);
  return connected(url, async (client) => {
    const applied: string[] = [];
    for (const migration of migrations) {
      if (await applyOnce(client, migration, migrations)) applied.push(migration.name);
    }
    return { applied, present: migrations.map(({ name }) => name).filter((name) => !applied.includes(name)) };
  });
}

/** The names of the migrations that the database lacks. @throws MigrationDrift, WindowStoreUnavailable */
export async function pendingMigrations(url: string, folder = MIGRATIONS_FOLDER): Promise<string[]> {
  const migrations = await readMigrations(folder);
  return connected(url, async (client) => {
    const done = await readBookkeeping(client).catch((error: unknown) => {
      if (isSqlError(error, SQL_UNDEFINED_TABLE)) return new Map<string, string>();
      throw error;
    });
    refuseDrift(done, migrations);
    return migrations.map(({ name }) => name).filter((name) => !done.has(name));
  });
}

async function connected<Answer>(url: string, use: (client: Client) => Promise<Answer>): Promise<Answer> {
  const client = new Client({ connectionString: url, application_name: 'ovation migrate', connectionTimeoutMillis: CONNECT_MS_MAX });
  // What goes wrong with the connection rejects the query in progress; the event only repeats it.
  client.on('error', () => {});
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    if (error instanceof MigrationDrift || error instanceof MigrationFailed) throw error;
    throw new WindowStoreUnavailable(error instanceof Error ? error.message : String(error), { cause: error });
  } finally {
    await client.end().catch(() => {});
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  const migrations: Migration[] = [];
  for (const [index, name] of names.entries()) {
    const number = Number(FILE_NAME.exec(name)?.[1]);
    if (number !== index + 1) throw new MigrationDrift(`${name}: file ${index + 1} must be named NNN-name.sql with NNN = ${index + 1}`);
    const sql = await readFile(path.join(folder, name), 'utf8');
    migrations.push({ name, sql, checksum: createHash('sha256').update(sql).digest('hex') });
  }
  return migrations;
}

/** False when it was applied before. */
async function applyOnce(client: Client, migration: Migration, known: readonly Migration[]): Promise<boolean> {
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'`);
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
    await client.query(CREATE_BOOKKEEPING);
    const done = await readBookkeeping(client);
    refuseDrift(done, known);
    if (!done.has(migration.name)) {
      await client.query(migration.sql).catch((error: unknown) => {
        if (!isSqlError(error)) throw error;
        throw new MigrationFailed(`${migration.name}: ${error.message}`, { cause: error });
      });
      await client.query('INSERT INTO ovation_migrations (name, checksum) VALUES ($1, $2)', [migration.name, migration.checksum]);
    }
    await client.query('COMMIT');
    return !done.has(migration.name);
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function readBookkeeping(client: Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; checksum: string }>('SELECT name, checksum FROM ovation_migrations');
  return new Map(rows.map(({ name, checksum }) => [name, checksum]));
}

function refuseDrift(done: ReadonlyMap<string, string>, known: readonly Migration[]): void {
  const checksums = new Map(known.map(({ name, checksum }) => [name, checksum]));
  for (const [name, checksum] of done) {
    const current = checksums.get(name);
    if (current === undefined) throw new MigrationDrift(`${name} was applied to the database but is unknown here: run a newer build`);
    if (current !== checksum) throw new MigrationDrift(`${name} was changed after it was applied: restore it and write a new file`);
  }
}

function isSqlError(error: unknown, code?: string): error is DatabaseError {
  return error instanceof DatabaseError && (code === undefined || error.code === code);
}
