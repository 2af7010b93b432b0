/** Scenarios of what keeps the data: streams, folders, disks, the database. */

import { writeSync, openSync, closeSync, rmSync } from 'node:fs';
import path from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Client } from 'pg';
import { connectNats } from '../../../regions/nats-connection.ts';
import { logStream } from '../../../regions/nats-log.ts';
import type { NatsAddress } from '../../../regions/topology.ts';
import { deleteStreams, type StreamKind } from '../../../src/cli/nats-streams.ts';
import { grew, newLives, reached, stalled, type Effect } from './effects.ts';
import type { Rig } from './rig.ts';
import type { Exception } from './verdict.ts';
import type { Scenario, Stage } from './scenario.ts';

/** The streams are deleted, and must come into being anew. */
function deleted(kind: StreamKind, what: string, effects: readonly Effect[]): Scenario {
  return {
    name: `delete-${kind}-stream`,
    what,
    effects,
    async fault({ rig, say, hold, until }) {
      const { address } = rig.machine('us').nats;
      const before = await creations(address, kind);
      say(`deleted ${(await deleteStreams('us', address, kind)).join(', ')}`);
      await hold(5);
      await until('they are there again', async () => {
        const now = await creations(address, kind);
        return before.size > 0 && [...before].every(([name, created]) => now.has(name) && now.get(name) !== created);
      });
    },
  };
}

/** When each stream of us of a kind was created. */
async function creations(address: NatsAddress, kind: StreamKind): Promise<Map<string, string>> {
  const nats = await connectNats(address, 'chaos');
  try {
    const names = kind === 'log' ? [logStream('us')] : await nats.streamNames(kind === 'journal' ? 'journal.us.*' : 'windows.us');
    const created = new Map<string, string>();
    for (const name of names) {
      const state = await nats.streamState(name);
      if (state !== null) created.set(name, state.created);
    }
    return created;
  } finally {
    await nats.close();
  }
}

/** The region comes back with what its peers give it: what it had not told them, and whose batches were under way, nobody knows. */
const FORGOTTEN: Exception = {
  text: 'journal and process lost at once: what was not told to peers yet is lost, what was not stored yet misses in the database, resends count again',
  region: 'us',
  lostSeconds: 1,
  doubleSeconds: 1,
  storedLostSeconds: 3,
};

const JOURNAL_LOST = grew('us', 'aggregator_journals_lost_total');
const LOG_LOST = grew('us', 'replicator_losses_total');

/** The data of the NATS of us is lost or set back, with the region running on or killed as well. */
function lost(name: string, what: string, put: 'nothing' | 'copy', killed: boolean): Scenario {
  return {
    name,
    what,
    effects: killed ? [newLives('us'), stalled('us')] : [JOURNAL_LOST, LOG_LOST, stalled('us')],
    ...(killed ? { exception: FORGOTTEN } : {}),
    async prepare({ rig }) {
      if (put === 'copy') await rig.machine('us').copyNatsData();
    },
    async fault({ rig, hold, lossIsNow }) {
      const machine = rig.machine('us');
      if (put === 'copy') await hold(10, 2_000);
      if (killed) await machine.kill();
      lossIsNow();
      await machine.loseNatsData(put);
      await hold(3, 2_000);
    },
    async heal({ rig }) {
      await rig.machine('us').nats.restart();
      if (killed) await rig.machine('us').start();
    },
  };
}

/** The name of the journal of us, and how many bytes it may take. */
const JOURNAL = 'JOURNAL_us_0';
const JOURNAL_BYTES_MAX = 1024 ** 3;
/** What still fits into a journal that is full soon. */
const JOURNAL_ROOM_BYTES = 4_096;

async function limitJournal(rig: Rig, bytesMax: (bytes: number) => number): Promise<void> {
  const { url, user, password } = rig.machine('us').nats.address;
  const connection = await connect({ servers: url, ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { pass: password }) });
  try {
    const { streams } = await jetstreamManager(connection);
    const { config, state } = await streams.info(JOURNAL);
    await streams.update(JOURNAL, { ...config, max_bytes: bytesMax(state.bytes) });
  } finally {
    await connection.close();
  }
}

const BALLAST_CHUNK = Buffer.alloc(64 * 1024);

export const dataScenarios: readonly Scenario[] = [
  deleted('log', 'the JetStream stream that peers read of us is deleted', [LOG_LOST]),
  deleted('journal', 'the JetStream stream of the journal of us is deleted while its process lives', [JOURNAL_LOST]),
  deleted('windows', 'the JetStream stream of windows of us is deleted', []),
  {
    name: 'delete-windows-that-wait',
    what: 'the database stands still for 10 s, and the JetStream stream of windows of us is deleted meanwhile',
    effects: [grew('us', 'windows_requeued_records_total')],
    async fault({ rig, hold, lossIsNow }) {
      rig.postgres.pause();
      await hold(10, 3_000);
      await deleteStreams('us', rig.machine('us').nats.address, 'windows');
      lossIsNow();
    },
    heal: async ({ rig }) => rig.postgres.resume(),
  },
  lost('wipe-nats-data', 'the nats-server of us is killed and its data folder wiped; the region runs on', 'nothing', false),
  lost('wipe-nats-data-and-kill', 'the same, and the region is killed as well', 'nothing', true),
  lost('restore-stale-nats-data', 'the data folder of the NATS of us is put back to a copy 10 s old; the region runs on', 'copy', false),
  lost('restore-stale-nats-data-and-kill', 'the same, and the region is killed as well', 'copy', true),
  {
    name: 'stop-database',
    what: 'Postgres ends for 60 s',
    effects: [grew('us', 'persister_store_failures_total'), reached('us', 'persister_oldest_age_seconds', 3)],
    async fault({ rig, hold }) {
      await rig.postgres.crash();
      await hold(60);
    },
    heal: ({ rig }) => rig.postgres.restart(),
  },
  {
    name: 'pause-database',
    what: 'Postgres stands still for 60 s, and holds its connections',
    effects: [reached('us', 'persister_oldest_age_seconds', 3)],
    async fault({ rig, hold }) {
      rig.postgres.pause();
      await hold(60);
    },
    heal: async ({ rig }) => rig.postgres.resume(),
  },
  {
    name: 'lock-table',
    what: 'the table of windows is locked for 20 s',
    effects: [reached('us', 'persister_oldest_age_seconds', 3)],
    async fault({ rig, hold }) {
      const client = new Client({ connectionString: rig.databaseUrl });
      await client.connect();
      try {
        await client.query('BEGIN; LOCK TABLE reaction_windows IN ACCESS EXCLUSIVE MODE');
        await hold(20, 5_000);
      } finally {
        await client.end();
      }
    },
  },
  {
    name: 'journal-full',
    what: 'the stream of the journal of us has reached its limit for 10 s; then the limit is raised',
    effects: [stalled('us'), grew('us', 'aggregator_commit_retries_total')],
    async fault({ rig, hold }) {
      await limitJournal(rig, (bytes) => bytes + JOURNAL_ROOM_BYTES);
      await hold(10, 4_000);
    },
    heal: ({ rig }) => limitJournal(rig, () => JOURNAL_BYTES_MAX),
  },
  {
    name: 'disk-full',
    what: 'the disk of the NATS of us is full for 15 s; then there is room, and the server is started again',
    needs: 'small disk',
    effects: [stalled('us'), grew('us', 'aggregator_commit_retries_total')],
    async fault({ rig, say, hold }) {
      say(`filled the disk with ${fill(ballastOf(rig))} bytes`);
      await hold(15, 4_000);
    },
    async heal({ rig }: Stage) {
      rmSync(ballastOf(rig), { force: true });
      await rig.machine('us').nats.stop();
      await rig.machine('us').nats.restart();
    },
  },
];

const ballastOf = (rig: Stage['rig']): string => path.join(rig.smallDisk!, 'ballast');

/** Writes until there is no room for another byte. Answers how many there was room for. */
function fill(file: string): number {
  const descriptor = openSync(file, 'w');
  let written = 0;
  try {
    for (let chunk = BALLAST_CHUNK; chunk.length > 0; ) {
      try {
        const count = writeSync(descriptor, chunk);
        written += count;
        if (count === 0) break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        chunk = chunk.subarray(0, Math.floor(chunk.length / 2));
      }
    }
  } finally {
    closeSync(descriptor);
  }
  return written;
}
