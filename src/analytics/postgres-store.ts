/**
 * The window store, and that of the audit trail, on PostgreSQL, TimescaleDB, or PGlite behind its socket: one SQL path.
 *
 * Rows are stored in bulk, `unnest` of arrays into an upsert that keeps the greatest value of each
 * field (WIN-8). Every call has a time limit and fails with `WindowStoreUnavailable`; whoever calls
 * tries again. Writing has connections of its own, and of readers only so many may wait: who asks for much history
 * keeps others from reading at most, and no window from being stored (WIN-18).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, Pool, type QueryResultRow } from 'pg';
import type { StreamId } from '../../crdt/ids.ts';
import type { Log } from '../../regions/runtime.ts';
import type { ChangeStore, PolicyChange } from './policy-changes.ts';
import type { WindowRecord } from './window-record.ts';
import {
  HISTORY_STEPS,
  WindowStoreOutdated,
  WindowStoreUnavailable,
  type HistoryPoint,
  type HistoryQuery,
  type StoredEntry,
  type WindowStore,
} from './window-store.ts';
import { windowRows, type WindowRow } from './window-rows.ts';

/** The persister, and the audit trail. */
const WRITERS_MAX = 2;
const READERS_MAX = 4;
const READERS_WAITING_MAX = 16;
const ROWS_PER_STATEMENT_MAX = 5000;
const CONNECT_MS_MAX = 5000;
const STATEMENT_MS_MAX = 15_000;
/** Longer than the server's own limit, for servers that do not answer at all. */
const ANSWER_MS_MAX = 20_000;
const CLOSE_MS_MAX = 2_000;
/** No such table, or no such column of it. */
const SQL_UNDEFINED = new Set(['42P01', '42703']);

const UPSERT = `
  INSERT INTO reaction_windows AS held (stream_id, emoji_id, window_start, actor, increments, decrements, viewers)
  SELECT stream_id, emoji_id, to_timestamp(window_second), actor, increments, decrements, viewers
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS given (stream_id, emoji_id, window_second, actor, increments, decrements, viewers)
  ON CONFLICT (stream_id, emoji_id, window_start, actor) DO UPDATE SET
    increments = GREATEST(held.increments, excluded.increments),
    decrements = GREATEST(held.decrements, excluded.decrements),
    viewers = GREATEST(held.viewers, excluded.viewers)
  WHERE held.increments < excluded.increments
    OR held.decrements < excluded.decrements
    OR held.viewers < excluded.viewers`;

// The views' formula over any step. Viewers are taken over all emoji before one of them is chosen.
const HISTORY = `
  SELECT emoji_id, extract(epoch FROM bucket)::bigint::text AS second, count::text, count::double precision
    / $4::double precision / nullif(viewers, 0) AS normalized_rate
  FROM (
    SELECT emoji_id, bucket, sum(increments - decrements) AS count,
      max(max(viewers)) OVER (PARTITION BY bucket) AS viewers
    FROM (
      SELECT *, date_bin(make_interval(secs => $4), window_start, 'epoch') AS bucket
      FROM reaction_windows
      WHERE stream_id = $1 AND window_start >= to_timestamp($2) AND window_start < to_timestamp($3)
    ) AS windows
    GROUP BY emoji_id, bucket
  ) AS points
  WHERE $5::text IS NULL OR emoji_id = $5
  ORDER BY bucket, emoji_id
  LIMIT $6`;

const STORED = `
  SELECT actor, emoji_id, sum(increments)::text AS increments, sum(decrements)::text AS decrements
  FROM reaction_windows WHERE stream_id = $1
  GROUP BY actor, emoji_id ORDER BY actor, emoji_id`;

// One JSON document carries the batch: the texts in it are anybody's.
const STORE_CHANGES = `
  INSERT INTO policy_changes (id, at, region, document, by, path, before, after)
  SELECT id, to_timestamp(at / 1000), region, document, by, path, nullif(before, 'null'), nullif(after, 'null')
  FROM jsonb_to_recordset($1::jsonb)
    AS given (id text, at double precision, region text, document text, by text, path text, before jsonb, after jsonb)
  ON CONFLICT (id) DO NOTHING`;

const CHANGES = `
  SELECT id, extract(epoch FROM at)::double precision * 1000 AS at, region, document, by, path, before, after
  FROM policy_changes WHERE document = $1 ORDER BY policy_changes.at DESC, id DESC LIMIT $2`;

export interface PostgresStoreOptions {
  readonly url: string;
  readonly log: Log;
  /** How long the server may take to answer; its own limit on a statement is three quarters of it. */
  readonly answerMsMax?: number;
}

export interface PostgresStore extends WindowStore, ChangeStore {}

export function createPostgresStore(options: PostgresStoreOptions): PostgresStore {
  return new Store(options);
}

class Store implements PostgresStore {
  readonly #writers: Pool;
  readonly #readers: Pool;

  constructor(options: PostgresStoreOptions) {
    this.#writers = createPool(options, WRITERS_MAX);
    this.#readers = createPool(options, READERS_MAX);
  }

  async store(records: readonly WindowRecord[]): Promise<void> {
    const rows = windowRows(records);
    for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT_MAX) {
      await this.#query(this.#writers, UPSERT, columnsOf(rows.slice(from, from + ROWS_PER_STATEMENT_MAX)));
    }
  }

  async history({ stream, from, to, step, emoji, limit }: HistoryQuery): Promise<HistoryPoint[]> {
    const parameters = [stream, from / 1000, to / 1000, HISTORY_STEPS[step], emoji ?? null, limit];
    const rows = await this.#read<{ emoji_id: string; second: string; count: string; normalized_rate: number | null }>(
      HISTORY,
      parameters,
    );
    return rows.map((row) => ({
      emoji: row.emoji_id,
      windowStart: Number(row.second) * 1000,
      count: Number(row.count),
      normalizedRate: row.normalized_rate,
    }));
  }

  async stored(stream: StreamId): Promise<StoredEntry[]> {
    const rows = await this.#read<{ actor: string; emoji_id: string; increments: string; decrements: string }>(STORED, [stream]);
    return rows.map((row) => ({
      actor: row.actor,
      emoji: row.emoji_id,
      increments: Number(row.increments),
      decrements: Number(row.decrements),
    }));
  }

  async storeChanges(changes: readonly PolicyChange[]): Promise<void> {
    await this.#query(this.#writers, STORE_CHANGES, [JSON.stringify(changes)]);
  }

  async changes(document: string, limit: number): Promise<PolicyChange[]> {
    const rows = await this.#read<{ readonly at: number } & PolicyChange>(CHANGES, [document, limit]);
    return rows.map(({ at, ...row }) => ({ ...row, at: Math.round(at) }));
  }

  /** A server that hangs is not waited for until its answers are given up. */
  async close(): Promise<void> {
    await Promise.race([Promise.all([this.#writers.end(), this.#readers.end()]), sleep(CLOSE_MS_MAX, undefined, { ref: false })]);
  }

  #read<Row extends QueryResultRow>(text: string, parameters: readonly unknown[]): Promise<Row[]> {
    if (this.#readers.waitingCount >= READERS_WAITING_MAX) return Promise.reject(new WindowStoreUnavailable('too many are reading'));
    return this.#query(this.#readers, text, parameters);
  }

  async #query<Row extends QueryResultRow>(pool: Pool, text: string, parameters: readonly unknown[]): Promise<Row[]> {
    try {
      return (await pool.query<Row>(text, [...parameters])).rows;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const isOutdated = error instanceof DatabaseError && SQL_UNDEFINED.has(error.code ?? '');
      throw new (isOutdated ? WindowStoreOutdated : WindowStoreUnavailable)(message, { cause: error });
    }
  }
}

function createPool({ url, log, answerMsMax }: PostgresStoreOptions, max: number): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: 'ovation',
    max,
    connectionTimeoutMillis: answerMsMax ?? CONNECT_MS_MAX,
    statement_timeout: answerMsMax === undefined ? STATEMENT_MS_MAX : Math.ceil(answerMsMax * 0.75),
    query_timeout: answerMsMax ?? ANSWER_MS_MAX,
    keepAlive: true,
  });
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', (error) => log.warn({ error }, 'an idle database connection was lost'));
  return pool;
}

function columnsOf(rows: readonly WindowRow[]): string[] {
  return [
    textArray(rows.map((row) => row.stream)),
    textArray(rows.map((row) => row.emoji)),
    numberArray(rows.map((row) => row.windowStart / 1000)),
    textArray(rows.map((row) => row.actor)),
    numberArray(rows.map((row) => row.increments)),
    numberArray(rows.map((row) => row.decrements)),
    numberArray(rows.map((row) => row.viewers)),
  ];
}

// The driver would examine and escape each element; ids have nothing to escape, so a join is enough.
// Quotes keep an id that spells NULL a text.
function textArray(values: readonly string[]): string {
  return values.length === 0 ? '{}' : `{"${values.join('","')}"}`;
}

function numberArray(values: readonly number[]): string {
  return `{${values.join(',')}}`;
}
