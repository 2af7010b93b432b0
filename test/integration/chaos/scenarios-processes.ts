/** Scenarios of processes: killed, paused, doubled, started again. */

import { REGIONS, type Rig } from './rig.ts';
import type { Scenario } from './scenario.ts';

/** Viewers give up a connection on which they hear nothing for ten seconds. */
const HANG_UP_MS = 12_000;

const everyMachine = (rig: Rig) => REGIONS.map((region) => rig.machine(region));

export const processScenarios: readonly Scenario[] = [
  {
    name: 'kill-region',
    what: 'kill -9 of the process of us; it is started again after 3 s',
    async fault({ rig, hold }) {
      await rig.machine('us').kill();
      await hold(3);
    },
    heal: ({ rig }) => rig.machine('us').start(),
  },
  {
    name: 'kill-region-again-and-again',
    what: 'kill -9 of the process of us five times, a second or so after it was ready',
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
    what: 'SIGSTOP of the process of us for 30 s',
    async fault({ rig, hold }) {
      rig.machine('us').pause();
      await hold(30);
    },
    heal: async ({ rig }) => rig.machine('us').resume(),
  },
  {
    name: 'kill-nats',
    what: "kill -9 of the nats-server of us; it is started again after 5 s",
    async fault({ rig, hold }) {
      await rig.machine('us').nats.kill();
      await hold(5);
    },
    heal: ({ rig }) => rig.machine('us').nats.restart(),
  },
  {
    name: 'pause-nats',
    what: 'SIGSTOP of the nats-server of us for 30 s',
    async fault({ rig, hold }) {
      process.kill(rig.machine('us').nats.pid!, 'SIGSTOP');
      await hold(30);
    },
    heal: async ({ rig }) => void process.kill(rig.machine('us').nats.pid!, 'SIGCONT'),
  },
  {
    name: 'kill-everything',
    what: 'kill -9 of all regions and all nats-servers at once',
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
    name: 'duplicate-region',
    what: 'a second process with the identity of us takes over; the first ends, and is started again in its turn',
    async fault({ rig, say, hold }) {
      const machine = rig.machine('us');
      const ended = machine.ended();
      await machine.startTwin();
      say(`the first process ended with ${await ended}`);
      await hold(5);
    },
    async heal({ rig }) {
      await rig.machine('us').start();
      await rig.machine('us').killTwin();
    },
  },
  {
    name: 'zombie-region',
    what: 'the process of us is paused, a second one takes over for 15 s, the first wakes and must end',
    async fault({ rig, say, hold }) {
      const machine = rig.machine('us');
      machine.pause();
      await machine.startTwin();
      await hold(15);
      const ended = machine.ended();
      machine.resume();
      say(`the one that woke ended with ${await ended}`);
    },
    async heal({ rig }) {
      await rig.machine('us').start();
      await rig.machine('us').killTwin();
    },
  },
];
