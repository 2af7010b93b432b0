/** Scenarios of the network: between regions, and between a region and its viewers. */

import { apart, claimed, duplicated, gaveBack, grew, moved, reconnected, silent, slower, staler, type Effect } from './effects.ts';
import { HANG_UP_MS } from './mover-steps.ts';
import type { ChaosNetwork } from './network.ts';
import type { Need, Scenario } from './scenario.ts';

interface Broken {
  readonly name: string;
  readonly what: string;
  readonly seconds: number;
  /** However much faults are shortened. */
  readonly atLeastMs?: number;
  readonly effects: readonly Effect[];
  readonly needs?: Need;
}

/** Breaks for so many seconds, and heals all. */
function broken({ seconds, atLeastMs, ...scenario }: Broken, breakLink: (network: ChaosNetwork) => Promise<void>): Scenario {
  return {
    ...scenario,
    async fault({ rig, hold }) {
      await breakLink(rig.network);
      await hold(seconds, atLeastMs);
    },
    heal: ({ rig }) => rig.network.heal(),
  };
}

const US_AND_EU_APART = [apart('us', 'eu'), apart('eu', 'us')];

export const linkScenarios: readonly Scenario[] = [
  broken(
    { name: 'partition', what: 'the link us–eu is cut: connections are reset, and refused', seconds: 30, effects: US_AND_EU_APART },
    (network) => network.partition('us', 'eu'),
  ),
  broken(
    { name: 'isolate-region', what: 'us is cut from both peers', seconds: 30, effects: [...US_AND_EU_APART, apart('us', 'ap'), apart('ap', 'us')] },
    async (network) => {
      await network.partition('us', 'eu');
      await network.partition('us', 'ap');
    },
  ),
  broken(
    { name: 'half-open-link', what: 'between us and eu nothing passes any more, and nobody is told', seconds: 30, effects: US_AND_EU_APART },
    (network) => network.blackhole('us', 'eu'),
  ),
  broken(
    { name: 'one-way-link', what: 'what us sends to eu is lost, what eu sends arrives', seconds: 30, effects: [apart('eu', 'us')] },
    (network) => network.silence('us', 'eu'),
  ),
  broken(
    { name: 'slow-link', what: 'the link us–eu takes 150 ms longer each way', seconds: 30, effects: [slower('eu', 'ap', 'us', 75)] },
    (network) => network.delay('us', 'eu', 150),
  ),
  broken(
    { name: 'lossy-link', what: 'the links of us lose 30 % of all packets', seconds: 30, effects: [staler('eu', 'us', 'ap', 300)] },
    async (network) => {
      await network.lose('us', 'eu', 0.3);
      await network.lose('us', 'ap', 0.3);
    },
  ),
  {
    name: 'flapping-link',
    what: 'the links of us go silent for four seconds and come back for two, six times',
    effects: [apart('eu', 'us', 2_000), apart('ap', 'us', 2_000), grew('eu', 'replicator_disconnects_total', 3)],
    async fault({ rig, hold }) {
      for (let flap = 0; flap < 6; flap++) {
        await rig.network.blackhole('us', 'eu');
        await rig.network.blackhole('us', 'ap');
        // Longer than readers wait for a sign of life.
        await hold(4, 3_000);
        await rig.network.heal();
        await hold(2, 1_000);
      }
    },
  },
  broken(
    {
      name: 'unplug-region',
      what: 'us is unplugged: from peers, viewers and the database',
      seconds: 30,
      atLeastMs: HANG_UP_MS,
      effects: [silent('us'), reconnected(), moved(), claimed('eu')],
      needs: 'packets',
    },
    (network) => network.unplug('us'),
  ),
  {
    name: 'half-open-viewers',
    what: 'what us says to its viewers is lost; their taps arrive',
    needs: 'packets',
    effects: [silent('us'), duplicated(), moved(), claimed('eu'), gaveBack('eu')],
    async fault({ rig, hold }) {
      await rig.network.silenceToViewers('us', Number(new URL(rig.machine('us').url).port));
      await hold(30, HANG_UP_MS);
    },
    heal: ({ rig }) => rig.network.heal(),
  },
];
