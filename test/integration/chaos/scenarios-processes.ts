/** Scenarios of processes: killed, paused, doubled, started again. */

import { fetchBooks } from '../../../src/cli/audit/books.ts';
import { CommandFailure } from '../../../src/cli/failure.ts';
import { run } from '../../support/postgres.ts';
import { apart, claimed, duplicated, gaveBack, moved, newLives, reconnected, silent, stalled } from './effects.ts';
import { HANG_UP_MS, deafen, hear, homersOf, moversOf } from './mover-steps.ts';
import type { RegionMachine } from './region-machine.ts';
import { REGIONS, type Rig } from './rig.ts';
import type { Scenario, Stage } from './scenario.ts';

const TAPS_TAKEN_OVER = 10;
const MINUTES_MS = 60_000;

const everyMachine = (rig: Rig) => REGIONS.map((region) => rig.machine(region));

/** Another process has taken its place: it says so, and ends as supervisors expect it. */
async function fencedEnd(machine: RegionMachine): Promise<void> {
  const { code, lastWords } = await machine.ended();
  if (code !== 1 || !lastWords.includes('is fenced')) throw new Error(`the first process of ${machine.region} ended with ${code}, and not because it was fenced: ${lastWords}`);
}

/** Viewers have been led to who serves now, which counts what they tap. */
function takenOver({ rig, stream, until }: Stage): Promise<void> {
  return until('the second process acknowledges taps', async () => {
    try {
      const { acknowledged } = await fetchBooks(rig.machine('us').servingUrl, stream);
      return acknowledged >= TAPS_TAKEN_OVER;
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      return false;
    }
  });
}

export const processScenarios: readonly Scenario[] = [
  {
    name: 'kill-region',
    what: 'kill -9 of the process of us, with batches whose senders go to eu; it is started again after 3 s',
    effects: [newLives('us'), reconnected(), moved(), claimed('eu'), gaveBack('eu')],
    async fault(stage) {
      await deafen(stage, moversOf('us'));
      await stage.rig.machine('us').kill();
      hear(stage, moversOf('us'));
      await stage.hold(3, 2_000);
    },
    heal: ({ rig }) => rig.machine('us').start(),
  },
  {
    name: 'kill-region-again-and-again',
    what: 'kill -9 of the process of us five times, a second or so after it was ready',
    effects: [newLives('us', 2), reconnected()],
    async fault({ rig, pause }) {
      for (let life = 0; life < 5; life++) {
        await rig.machine('us').kill();
        await rig.machine('us').start();
        await pause(300 + 400 * life);
      }
    },
  },
  {
    name: 'kill-region-unheard',
    what: 'what us says to its viewers is lost until they hang up, then kill -9 of its process: what it counted is resent to its next life',
    needs: 'packets',
    effects: [newLives('us'), duplicated(), moved(), claimed('eu'), gaveBack('eu')],
    async fault({ rig, pause }) {
      const machine = rig.machine('us');
      await rig.network.silenceToViewers('us', Number(new URL(machine.url).port));
      // Acknowledgements that were under way would come from the kernel, also of a dead process, to who still listens.
      await pause(HANG_UP_MS);
      await machine.kill();
      await rig.network.heal();
    },
    heal: ({ rig }) => rig.machine('us').start(),
  },
  {
    name: 'pause-region',
    what: 'SIGSTOP of the process of us for 30 s, with batches in its sockets',
    effects: [silent('us'), duplicated(), moved(), claimed('eu')],
    async fault({ rig, hold }) {
      rig.machine('us').pause();
      await hold(30, HANG_UP_MS);
    },
    heal: async ({ rig }) => rig.machine('us').resume(),
  },
  {
    name: 'kill-nats',
    what: 'kill -9 of the nats-server of us; it is started again after 5 s',
    effects: [stalled('us')],
    async fault({ rig, hold }) {
      await rig.machine('us').nats.kill();
      await hold(5, 2_000);
    },
    heal: ({ rig }) => rig.machine('us').nats.restart(),
  },
  {
    name: 'pause-nats',
    what: 'SIGSTOP of the nats-server of us for 30 s',
    effects: [stalled('us'), apart('eu', 'us', 1_000)],
    async fault({ rig, hold }) {
      process.kill(rig.machine('us').nats.pid!, 'SIGSTOP');
      await hold(30);
    },
    heal: async ({ rig }) => void process.kill(rig.machine('us').nats.pid!, 'SIGCONT'),
  },
  {
    name: 'kill-everything',
    what: 'kill -9 of all regions and all nats-servers at once',
    effects: [...REGIONS.map((region) => newLives(region)), reconnected()],
    async fault({ rig, hold }) {
      await Promise.all(everyMachine(rig).flatMap((machine) => [machine.kill(), machine.nats.kill()]));
      await hold(3);
    },
    async heal({ rig }) {
      await Promise.all(
        everyMachine(rig).map(async (machine) => {
          await machine.nats.restart();
          await machine.start();
        }),
      );
    },
  },
  {
    name: 'deploy-during-partition',
    what: 'the link us–eu is cut, and all regions are told to stop (SIGTERM) and started again, one after another',
    effects: [...REGIONS.map((region) => newLives(region)), apart('us', 'eu'), apart('eu', 'us')],
    async fault({ rig, hold }) {
      await rig.network.partition('us', 'eu');
      for (const machine of everyMachine(rig)) {
        await machine.leave();
        await machine.start();
        await hold(3);
      }
    },
    heal: ({ rig }) => rig.network.heal(),
  },
  {
    name: 'duplicate-region',
    what: 'a second process with the identity of us takes over its viewers; the first must end, and is started again in its turn',
    effects: [newLives('us', 2), reconnected()],
    async fault(stage) {
      const machine = stage.rig.machine('us');
      const fenced = fencedEnd(machine);
      await Promise.all([machine.startTwin(), fenced]);
      await takenOver(stage);
      await stage.hold(5);
    },
    async heal({ rig }) {
      await rig.machine('us').start();
      await rig.machine('us').killTwin();
    },
  },
  {
    name: 'zombie-region',
    what: 'the process of us is paused with answers under way; a second one takes its viewers over for 15 s and is resent what the first has counted; the first wakes and must end',
    effects: [newLives('us', 2), duplicated(), moved(), claimed('eu'), gaveBack('eu')],
    async fault(stage) {
      const { rig, taps, until, hold } = stage;
      const machine = rig.machine('us');
      const resent = taps.truth.duplicates;
      await Promise.all([deafen(stage, homersOf('us')), deafen(stage, moversOf('us'))]);
      machine.pause();
      await machine.startTwin();
      hear(stage, homersOf('us'), moversOf('us'));
      await takenOver(stage);
      await until('the second process knows what the first has counted', () => taps.truth.duplicates > resent);
      await hold(15);
      const fenced = fencedEnd(machine);
      machine.resume();
      await fenced;
    },
    async heal({ rig }) {
      await rig.machine('us').start();
      await rig.machine('us').killTwin();
    },
  },
  {
    name: 'clock-step',
    what: 'us is killed and started again with its clock ten minutes fast, then ten minutes slow, then right',
    needs: 'faketime',
    effects: [newLives('us', 3), moved(), claimed('eu'), gaveBack('eu')],
    async fault(stage) {
      const { rig, hold, until, stream } = stage;
      const machine = rig.machine('us');
      const windowsAt = async (minutes: number): Promise<boolean> => {
        const sql = `SELECT count(*)::int AS windows FROM reaction_windows WHERE stream_id = $1 AND actor LIKE 'us/%' AND abs(extract(epoch FROM window_start) * 1000 - $2) < $3`;
        const [found] = await run<{ windows: number }>(rig.databaseUrl, sql, [stream, Date.now() + minutes * MINUTES_MS, 2 * MINUTES_MS]);
        return found!.windows > 0;
      };
      await deafen(stage, moversOf('us'));
      for (const minutes of [10, -10]) {
        await machine.kill();
        hear(stage, moversOf('us'));
        await machine.start({ clock: `${minutes > 0 ? '+' : ''}${minutes}m` });
        await until(`us counts by a clock that is wrong by ${minutes} minutes`, () => windowsAt(minutes));
        await hold(10);
      }
      await machine.kill();
    },
    heal: ({ rig }) => rig.machine('us').start(),
  },
];
