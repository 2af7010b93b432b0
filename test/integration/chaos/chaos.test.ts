/** A quick part of `npm run chaos` with every test run, and what its verdicts are worth. */

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Books } from '../../../src/cli/audit/books.ts';
import { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import { natsAvailable } from '../../support/nats.ts';
import { postgresAvailable } from '../../support/postgres.ts';
import { namespacesAvailable, sweepNamespaces } from './namespace-network.ts';
import { startRig, type Rig } from './rig.ts';
import { runScenario } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { judgeScenario } from './verdict.ts';

describe.skipIf(!natsAvailable || !postgresAvailable)('real processes under load', () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await startRig();
  });

  afterAll(() => rig?.stop());

  /** Two faults at once cost one course: the region comes back behind a link on which nothing passes. */
  const scenario: Scenario = {
    name: 'kill-behind-half-open-link',
    what: 'kill -9 of the process of us, while between us and eu nothing passes any more',
    async fault({ rig: { network, machine }, hold }) {
      await network.blackhole('us', 'eu');
      await hold(1);
      await machine('us').kill();
      await machine('us').start();
    },
    heal: ({ rig: { network } }) => network.heal(),
  };

  test('[CHAOS-1] through kill -9 of a region and a half-open link every region and the database count what was acknowledged, and count on', async () => {
    const outcome = await runScenario(rig, scenario, {
      pace: 1,
      steadyMs: 300,
      viewersPerRegion: 5,
      tapsPerSecond: 8,
      convergeMsMax: 20_000,
      signal: new AbortController().signal,
      say: () => {},
    });
    expect(outcome).toMatchObject({ verdict: 'balanced', problems: [] });
    expect(outcome.acknowledged).toBeGreaterThan(100);
    expect([outcome.counted, outcome.stored]).toEqual([outcome.acknowledged, outcome.acknowledged]);
  });
});

describe('the verdict on a scenario', () => {
  const truth = new GroundTruth();
  truth.tap(10);
  truth.acknowledge([{ emoji_id: 'heart', count: 10 }], 10, 0, false);
  const booksOf = (region: string, counted: number, stored: number): Books => ({
    region,
    digest: String(counted),
    actor: 'us/0/1',
    acknowledged: counted,
    entries: [{ actor: 'us/0/1', emoji: 'heart', increments: counted, decrements: 0 }],
    stored: [{ actor: 'us/0/1', emoji: 'heart', increments: stored, decrements: 0 }],
  });
  const judged = (counted: number, stored: number, exception?: Parameters<typeof judgeScenario>[2]) =>
    judgeScenario(truth, [booksOf('us', counted, stored), booksOf('eu', counted, stored)], exception, (seconds) => 2 * seconds);

  test('[CHAOS-2] a tap lost, counted twice or not stored is a failure; a documented exception admits so many, and no more', () => {
    expect(judged(10, 10)).toMatchObject({ balanced: true, problems: [] });
    expect(judged(9, 9).problems).not.toEqual([]);
    expect(judged(11, 11).problems).not.toEqual([]);
    expect(judged(10, 9).problems).not.toEqual([]);
    const windows = { text: 'windows', storedLostSeconds: 1 };
    expect(judged(10, 8, windows)).toMatchObject({ balanced: false, problems: [], admitted: { storedLost: 2, lost: 0, double: 0 } });
    expect(judged(10, 7, windows).problems).not.toEqual([]);
    expect(judged(9, 9, windows).problems).not.toEqual([]);
    const sessions = { text: 'sessions', doubleSeconds: 1 };
    expect(judged(12, 12, sessions)).toMatchObject({ balanced: false, problems: [], admitted: { double: 2 } });
    expect(judged(13, 13, sessions).problems).not.toEqual([]);
    expect(judged(12, 11, sessions).problems).not.toEqual([]);
  });
});

test.skipIf(!namespacesAvailable())('[CHAOS-3] a run sweeps up what one that was killed has left, and nothing of those that live', () => {
  const gone = spawnSync('true').pid;
  const names = [`ovc${gone}-left`, `ovc${process.pid}-mine`];
  for (const name of names) spawnSync('ip', ['netns', 'add', name]);
  try {
    sweepNamespaces();
    const left = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
    expect(names.map((name) => left.includes(name))).toEqual([false, true]);
  } finally {
    for (const name of names) spawnSync('ip', ['netns', 'del', name]);
  }
});
