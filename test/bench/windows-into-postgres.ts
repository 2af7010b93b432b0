/**
 * windows-into-postgres: closed windows through the window store's upsert into a real Postgres, beside a
 * plain COPY of the same rows from a file into the same table. Rows per second of wall time, the
 * server's work included, because the database is what limits it.
 */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { actorId } from '../../crdt/actor.ts';
import { parseEmojiId, parseStreamId } from '../../crdt/ids.ts';
import type { Log } from '../../regions/runtime.ts';
import { migrate } from '../../src/analytics/migrate.ts';
import { createPostgresStore } from '../../src/analytics/postgres-store.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import { postgresAvailable, run, startPostgres } from '../support/postgres.ts';
import { NotMeasurable, collectGarbage, median, readable, type Benchmark } from './measure.ts';

const STREAMS = 500;
const SECONDS = 60;
const EMOJIS = ['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'].map(parseEmojiId);
const ROWS = STREAMS * SECONDS * EMOJIS.length;
/** As many records as the queue hands over at once. */
const RECORDS_PER_CALL = 500;
const ROUNDS = 3;
const ROWS_PER_SECOND_MIN = 50_000;
const START = Date.UTC(2026, 0);
const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

function allRecords(): WindowRecord[] {
  const actor = actorId({ region: 'us', shard: 0, epoch: START });
  const records: WindowRecord[] = [];
  for (let second = 0; second < SECONDS; second++) {
    for (let stream = 0; stream < STREAMS; stream++) {
      records.push({
        stream: parseStreamId(`stream-${stream}`),
        actor,
        windowStart: START + second * 1000,
        viewers: 1000 + stream,
        entries: EMOJIS.map((emoji, index) => ({ emoji, increments: 1 + second * 7 + index, decrements: 0 })),
      });
    }
  }
  return records;
}

function copyText(records: readonly WindowRecord[]): string {
  return records
    .flatMap(({ stream, actor, windowStart, viewers, entries }) =>
      entries.map(({ emoji, increments, decrements }) =>
        [stream, emoji, new Date(windowStart).toISOString(), actor, increments, decrements, viewers].join('\t'),
      ),
    )
    .join('\n')
    .concat('\n');
}

async function rowsPerSecond(work: () => Promise<unknown>): Promise<number> {
  collectGarbage();
  const start = performance.now();
  await work();
  return ROWS / ((performance.now() - start) / 1000);
}

async function measure(url: string, file: string): Promise<{ first: number; again: number; copy: number }> {
  await migrate(url);
  const records = allRecords();
  writeFileSync(file, copyText(records));
  const store = createPostgresStore({ url, log: QUIET });
  const storeAll = async (): Promise<void> => {
    for (let from = 0; from < records.length; from += RECORDS_PER_CALL) await store.store(records.slice(from, from + RECORDS_PER_CALL));
  };
  const samples = { first: [] as number[], again: [] as number[], copy: [] as number[] };
  try {
    for (let round = 0; round <= ROUNDS; round++) {
      await run(url, 'TRUNCATE reaction_windows');
      const first = await rowsPerSecond(storeAll);
      const again = await rowsPerSecond(storeAll);
      await run(url, 'TRUNCATE reaction_windows');
      const copy = await rowsPerSecond(() =>
        run(url, `COPY reaction_windows (stream_id, emoji_id, window_start, actor, increments, decrements, viewers) FROM '${file}'`),
      );
      if (round === 0) continue;
      samples.first.push(first);
      samples.again.push(again);
      samples.copy.push(copy);
    }
  } finally {
    await store.close();
  }
  return { first: median(samples.first), again: median(samples.again), copy: median(samples.copy) };
}

export const windowsIntoPostgres: Benchmark = {
  name: 'windows-into-postgres',
  description: `${readable(ROWS)} rows of windows, ${RECORDS_PER_CALL} windows a call, into a real Postgres`,
  target: `≥ ${ROWS_PER_SECOND_MIN / 1000} k rows/s`,
  async run() {
    if (!postgresAvailable) throw new NotMeasurable('Postgres is not installed (on Debian: apt-get install postgresql)');
    const postgres = await startPostgres();
    const folder = mkdtempSync(path.join(tmpdir(), 'ovation-bench-'));
    // The server, another user, reads the file.
    chmodSync(folder, 0o755);
    try {
      const figures = await measure(postgres.url, path.join(folder, 'windows.tsv'));
      return {
        measured: `${readable(figures.first)} rows/s; the same again, as after a replay: ${readable(figures.again)} rows/s`,
        baseline: `COPY: ${readable(figures.copy)} rows/s`,
        ratio: `${(figures.first / figures.copy).toFixed(2)} × COPY`,
        reached: figures.first >= ROWS_PER_SECOND_MIN,
        figures,
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await postgres.stop();
    }
  },
};
