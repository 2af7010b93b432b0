/** Scenarios of the network: between regions, and between a region and its viewers. */

import type { ChaosNetwork } from './network.ts';
import type { Scenario } from './scenario.ts';

/** Breaks for so many seconds, and heals all. */
function broken(name: string, what: string, seconds: number, breakLink: (network: ChaosNetwork) => Promise<void>, needs?: 'packets'): Scenario {
  return {
    name,
    what,
    ...(needs === undefined ? {} : { needs }),
    async fault({ rig, hold }) {
      await breakLink(rig.network);
      await hold(seconds);
    },
    heal: ({ rig }) => rig.network.heal(),
  };
}

export const linkScenarios: readonly Scenario[] = [
  broken('partition', 'the link us–eu is cut: connections are reset, and refused', 30, (network) => network.partition('us', 'eu')),
  broken('isolate-region', 'us is cut from both peers', 30, async (network) => {
    await network.partition('us', 'eu');
    await network.partition('us', 'ap');
  }),
  broken('half-open-link', 'between us and eu nothing passes any more, and nobody is told', 30, (network) => network.blackhole('us', 'eu')),
  broken('one-way-link', 'what us sends to eu is lost, what eu sends arrives', 30, (network) => network.silence('us', 'eu')),
  broken('slow-link', 'the link us–eu takes 150 ms longer each way', 30, (network) => network.delay('us', 'eu', 150)),
  broken('lossy-link', 'the links of us lose 30 % of all packets', 30, async (network) => {
    await network.lose('us', 'eu', 0.3);
    await network.lose('us', 'ap', 0.3);
  }),
  {
    name: 'flapping-link',
    what: 'the links of us go silent and come back, two seconds each',
    async fault({ rig, hold }) {
      for (let flap = 0; flap < 8; flap++) {
        await rig.network.blackhole('us', 'eu');
        await rig.network.blackhole('us', 'ap');
        await hold(2);
        await rig.network.heal();
        await hold(2);
      }
    },
  },
  broken('unplug-region', "us is unplugged: from peers, viewers and the database", 30, (network) => network.unplug('us'), 'packets'),
  {
    name: 'half-open-viewers',
    what: 'what us says to its viewers is lost; their taps arrive',
    needs: 'packets',
    async fault({ rig, hold }) {
      await rig.network.silenceToViewers('us', Number(new URL(rig.machine('us').url).port));
      await hold(30);
    },
    heal: ({ rig }) => rig.network.heal(),
  },
];
