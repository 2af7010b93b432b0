/** Scenarios of what keeps the data: streams, folders, disks, the database. */

import { writeSync, openSync, closeSync, rmSync } from 'node:fs';
import path from 'node:path';
import { deleteStreams, type StreamKind } from '../../../src/cli/nats-streams.ts';
import type { Exception } from './verdict.ts';
import type { Scenario, Stage } from './scenario.ts';

function deleted(kind: StreamKind, what: string): Scenario {
  return {
    name: `delete-${kind}-stream`,
    what,
    async fault({ rig, say, hold }) {
      say(`deleted ${(await deleteStreams('us', rig.machine('us').nats.address, kind)).join(', ')}`);
      await hold(5);
    },
  };
}

/** The region comes back with what its peers give it: what it had not told them, and whose batches were under way, nobody knows. */
const FORGOTTEN: Exception = {
  text: 'journal and process lost at once: what was not told to peers yet is lost, what was not stored yet misses in the database, resends count again',
  lostSeconds: 1,
  doubleSeconds: 1,
  storedLostSeconds: 3,
};

/** The data of the NATS of us is lost or set back, with the region running on or killed as well. */
function lost(name: string, what: string, put: 'nothing' | 'copy', killed: boolean, exception?: Exception): Scenario {
  return {
    name,
    what,
    ...(exception === undefined ? {} : { exception }),
    async prepare({ rig }) {
      if (put === 'copy') await rig.machine('us').copyNatsData();
    },
    async fault({ rig, hold, lossIsNow }) {
      const machine = rig.machine('us');
      if (put === 'copy') await hold(10);
      if (killed) await machine.kill();
      lossIsNow();
      await machine.loseNatsData(put);
      await hold(3);
    },
    async heal({ rig }) {
      await rig.machine('us').nats.restart();
      if (killed) await rig.machine('us').start();
    },
  };
}

const BALLAST_CHUNK = Buffer.alloc(64 * 1024);

export const dataScenarios: readonly Scenario[] = [
  deleted('log', 'the JetStream stream that peers read of us is deleted'),
  deleted('journal', 'the JetStream stream of the journal of us is deleted while its process lives'),
  deleted('windows', 'the JetStream stream of windows of us is deleted'),
  {
    name: 'delete-windows-that-wait',
    what: 'the database stands still for 10 s, and the JetStream stream of windows of us is deleted meanwhile',
    async fault({ rig, hold, lossIsNow }) {
      rig.postgres.pause();
      await hold(10);
      await deleteStreams('us', rig.machine('us').nats.address, 'windows');
      lossIsNow();
    },
    heal: async ({ rig }) => rig.postgres.resume(),
  },
  lost('wipe-nats-data', 'the nats-server of us is killed and its data folder wiped; the region runs on', 'nothing', false),
  lost('wipe-nats-data-and-kill', 'the same, and the region is killed as well', 'nothing', true, FORGOTTEN),
  lost('restore-stale-nats-data', 'the data folder of the NATS of us is put back to a copy 10 s old; the region runs on', 'copy', false),
  lost('restore-stale-nats-data-and-kill', 'the same, and the region is killed as well', 'copy', true, FORGOTTEN),
  {
    name: 'stop-database',
    what: 'Postgres ends for 60 s',
    async fault({ rig, hold }) {
      await rig.postgres.crash();
      await hold(60);
    },
    heal: ({ rig }) => rig.postgres.restart(),
  },
  {
    name: 'pause-database',
    what: 'Postgres stands still for 60 s, and holds its connections',
    async fault({ rig, hold }) {
      rig.postgres.pause();
      await hold(60);
    },
    heal: async ({ rig }) => rig.postgres.resume(),
  },
  {
    name: 'disk-full',
    what: 'the disk of the NATS of us is full for 15 s; then there is room, and the server is started again',
    needs: 'small disk',
    async fault({ rig, say, hold }) {
      say(`filled the disk with ${fill(ballastOf(rig))} bytes`);
      await hold(15);
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
