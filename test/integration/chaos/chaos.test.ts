/** A quick part of `npm run chaos` with every test run, and what its verdicts are worth. */

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Books } from '../../../src/cli/audit/books.ts';
import { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import { natsAvailable } from '../../support/nats.ts';
import { postgresAvailable } from '../../support/postgres.ts';
import { apart, claimed, duplicated, missingEffects, moved, newLives, reached, reconnected, silent, slower, staler, stalled } from './effects.ts';
import { namespacesAvailable, sweepNamespaces } from './namespace-network.ts';
import type { Seen } from './observer.ts';
import { describeEnd, exitCodeOf } from './report.ts';
import { startRig, type Rig } from './rig.ts';
import { runScenario, type ScenarioOutcome } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { judgeScenario, type Exception } from './verdict.ts';

describe.skipIf(!natsAvailable || !postgresAvailable)('real processes under load', () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await startRig();
  });

  afterAll(() => rig?.stop());

  /** Two faults at once cost one course: the region comes back behind a link on which nothing passes. */
  const killedBehindHalfOpenLink: Scenario = {
    name: 'kill-behind-half-open-link',
    what: 'kill -9 of the process of us, while between us and eu nothing passes any more',
    effects: [newLives('us'), apart('eu', 'us', 1_000)],
    async fault({ rig: { network, machine }, hold }) {
      await network.blackhole('us', 'eu');
      await hold(1, 1_000);
      await machine('us').kill();
      await machine('us').start();
    },
    heal: ({ rig: { network } }) => network.heal(),
  };
  const [zombie, restored] = ['zombie-region', 'restore-stale-nats-data'].map((name) => SCENARIOS.find((scenario) => scenario.name === name)!) as [Scenario, Scenario];

  const play = async (scenario: Scenario, restartsAll: boolean): Promise<ScenarioOutcome> => {
    const outcome = await runScenario(rig, scenario, {
      pace: 0.05,
      steadyMs: 300,
      calmMs: 1_000,
      restartsAll,
      viewersPerRegion: 5,
      tapsPerSecond: 8,
      convergeMsMax: 60_000,
      signal: new AbortController().signal,
      say: () => {},
    });
    expect(outcome).toMatchObject({ verdict: 'balanced', problems: [] });
    expect(outcome.acknowledged).toBeGreaterThan(100);
    expect([outcome.counted, outcome.stored]).toEqual([outcome.acknowledged, outcome.acknowledged]);
    return outcome;
  };

  test('[CHAOS-1] through kill -9 of a region and a half-open link every region and the database count what was acknowledged, and count on', async () => {
    await play(killedBehindHalfOpenLink, false);
  });

  test('[CHAOS-1] a process that wakes when another one has taken over its viewers ends, and what both were sent counts once, as what went to another region does', async () => {
    const { duplicates, moves, claims } = await play(zombie, false);
    expect(Math.min(duplicates, moves, claims)).toBeGreaterThan(0);
  });

  test('[CHAOS-1] a region whose NATS data is put back to an older copy gives it what it has forgotten, and all have the same books after they were killed', async () => {
    await play(restored, true);
  });
});

describe('the verdict on a scenario', () => {
  const truth = new GroundTruth();
  for (const emoji of ['heart', 'fire']) {
    truth.tap(10);
    truth.acknowledge([{ emoji_id: emoji, count: 10 }], 10, 0, false);
  }
  type Counts = readonly [heart: number, fire: number];
  const entriesOf = ([heart, fire]: Counts) => [
    { actor: 'us/0/1', emoji: 'heart', increments: heart, decrements: 0 },
    { actor: 'eu/0/1', emoji: 'fire', increments: fire, decrements: 0 },
  ];
  const booksOf = (region: string, counted: Counts, stored: Counts): Books => ({
    region,
    digest: counted.join(),
    actor: `${region}/0/1`,
    acknowledged: region === 'us' ? counted[0] : counted[1],
    entries: entriesOf(counted),
    stored: entriesOf(stored),
  });
  const judged = (counted: Counts, stored: Counts, exception?: Omit<Exception, 'region'>) =>
    judgeScenario(
      truth,
      [booksOf('us', counted, stored), booksOf('eu', counted, stored)],
      exception && { region: 'us', ...exception },
      (emoji, seconds) => (emoji === 'heart' ? 2 * seconds : 0),
    );

  test('[CHAOS-2] a tap lost, counted twice or not stored is a failure; a documented exception admits so many of its region, and no more', () => {
    expect(judged([10, 10], [10, 10])).toMatchObject({ balanced: true, problems: [] });
    expect(judged([9, 10], [9, 10]).problems).not.toEqual([]);
    expect(judged([11, 10], [11, 10]).problems).not.toEqual([]);
    expect(judged([10, 10], [9, 10]).problems).not.toEqual([]);
    const windows = { text: 'windows', storedLostSeconds: 1 };
    expect(judged([10, 10], [8, 10], windows)).toMatchObject({ balanced: false, problems: [], admitted: { storedLost: 2, lost: 0, double: 0 } });
    expect(judged([10, 10], [7, 10], windows).problems).not.toEqual([]);
    expect(judged([9, 10], [9, 10], windows).problems).not.toEqual([]);
    expect(judged([10, 10], [11, 10], windows).problems).not.toEqual([]);
    const sessions = { text: 'sessions', doubleSeconds: 1 };
    expect(judged([12, 10], [12, 10], sessions)).toMatchObject({ balanced: false, problems: [], admitted: { double: 2 } });
    expect(judged([13, 10], [13, 10], sessions).problems).not.toEqual([]);
    expect(judged([12, 10], [11, 10], sessions).problems).not.toEqual([]);
  });

  test('[CHAOS-2] what one group has lost is not made good by what another has too much, and only the region of the exception is excused', () => {
    const all = { text: 'all', lostSeconds: 1, doubleSeconds: 1, storedLostSeconds: 1 };
    expect(judged([8, 10], [8, 10], all).problems).toEqual([]);
    expect(judged([9, 11], [9, 11], all).problems).not.toEqual([]);
    expect(judged([11, 9], [11, 9], all).problems).not.toEqual([]);
    expect(judged([10, 10], [10, 9], all).problems).not.toEqual([]);
    expect(judged([10, 10], [9, 11], all).problems).not.toEqual([]);
  });
});

test('[CHAOS-4] a scenario fails whose fault had not the effect that it is there for', () => {
  const seen: Seen = {
    apartMs: (viewer, home) => ({ longest: viewer === 'eu' && home === 'us' ? 2_500 : 300, typical: viewer === 'eu' ? 400 : 100 }),
    grown: (region) => (region === 'eu' ? 3 : 0),
    peak: () => 0,
    silentMs: () => 0,
    stalledMs: () => 2_000,
    newLives: () => 1,
    moves: 1,
    duplicates: 0,
    reconnects: 0,
  };
  const had = [apart('eu', 'us'), slower('eu', 'ap', 'us', 250), staler('eu', 'us', 'ap', 2_000), claimed('eu'), stalled('us'), newLives('us'), moved()];
  expect(missingEffects(had, seen)).toEqual([]);
  const lacked = [apart('us', 'eu'), slower('ap', 'eu', 'us', 75), staler('eu', 'us', 'ap', 2_500), claimed('us'), silent('us'), newLives('us', 2), duplicated(), reconnected(), reached('us', 'any', 1)];
  expect(missingEffects(lacked, seen)).toHaveLength(lacked.length);
  expect(SCENARIOS.filter(({ effects }) => effects.length === 0).map(({ name }) => name)).toEqual(['delete-windows-stream']);
});

test('[CHAOS-5] a run that has left out a scenario says which, and ends with 1 unless that is allowed', () => {
  const end = { failed: [], leftOut: [], isLeavingOutAllowed: false, isInterrupted: false };
  expect(exitCodeOf(end)).toBe(0);
  expect(exitCodeOf({ ...end, failed: ['partition'] })).toBe(1);
  expect(exitCodeOf({ ...end, isInterrupted: true })).toBe(1);
  const leftOut = ['disk-full', 'unplug-region'];
  expect(exitCodeOf({ ...end, leftOut })).toBe(1);
  expect(describeEnd({ ...end, leftOut }).join()).toContain('disk-full, unplug-region');
  expect(exitCodeOf({ ...end, leftOut, isLeavingOutAllowed: true })).toBe(0);
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
