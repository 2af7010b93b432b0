/** Scenarios of viewers who move, with what they were not answered, while the regions cannot settle who counts it. */

import { deleteStreams } from '../../../src/cli/nats-streams.ts';
import { apart, claimed, gaveBack, grew, moved, newLives } from './effects.ts';
import { deafen, moversOf, untilMovedAndClaimed } from './mover-steps.ts';
import type { Scenario, Stage } from './scenario.ts';

/** The link us–eu is cut, viewers of both go to the other one, and both regions have claims that they cannot bring. */
async function exchangeViewers(stage: Stage): Promise<void> {
  await stage.rig.network.partition('us', 'eu');
  await Promise.all([deafen(stage, moversOf('us')), deafen(stage, moversOf('eu'))]);
  await untilMovedAndClaimed(stage, ['us', 'eu'], ['us', 'eu']);
}

export const moveScenarios: readonly Scenario[] = [
  {
    name: 'moves-while-apart',
    what: 'the link us–eu is cut, viewers of us go to eu and viewers of eu to us, with batches that both have counted',
    effects: [apart('us', 'eu'), apart('eu', 'us'), moved(2), claimed('us'), claimed('eu'), gaveBack('us'), gaveBack('eu')],
    async fault(stage) {
      await exchangeViewers(stage);
      await stage.hold(10);
    },
    heal: ({ rig }) => rig.network.heal(),
  },
  {
    name: 'delete-streams-with-claims-pending',
    what: 'the same, and while claims wait the log and the journal of us are deleted',
    effects: [moved(2), claimed('us'), claimed('eu'), gaveBack('us'), gaveBack('eu'), grew('us', 'aggregator_journals_lost_total'), grew('us', 'replicator_losses_total')],
    async fault(stage) {
      await exchangeViewers(stage);
      const { nats } = stage.rig.machine('us');
      for (const kind of ['log', 'journal'] as const) stage.say(`deleted ${(await deleteStreams('us', nats.address, kind)).join(', ')}`);
      await stage.hold(5, 3_000);
    },
    heal: ({ rig }) => rig.network.heal(),
  },
  {
    name: 'kill-claimant',
    what: 'the link us–eu is cut, viewers of us go to eu, and eu is killed (kill -9) with their claims pending',
    effects: [moved(2), newLives('eu'), claimed('eu'), gaveBack('eu')],
    async fault(stage) {
      const { rig } = stage;
      await rig.network.partition('us', 'eu');
      await deafen(stage, moversOf('us'));
      await untilMovedAndClaimed(stage, ['us'], ['eu']);
      await rig.machine('eu').kill();
      await stage.hold(3);
      await rig.machine('eu').start();
      await stage.hold(5);
    },
    heal: ({ rig }) => rig.network.heal(),
  },
];
