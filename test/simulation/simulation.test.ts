import { beforeAll, describe, expect, it } from 'vitest';
import { FAULT_KINDS, FIRST_KINDS, scenarioOf, type FaultKind, type Scenario } from './faults.ts';
import { shrink } from './shrink.ts';
import { simulate, simulateSeed, type Outcome } from './world.ts';

const SEEDS = 200;
const LIMIT_MS = 240_000;

/** What must have happened for the seeds to prove anything, as the parts that it happened to have counted it. */
const OCCURRENCES = [
  'answer lost', 'append of unknown outcome', 'batch abandoned', 'batch taken along', 'claims judged', 'clean restart', 'client moved',
  'commit arrived late', 'commit of unknown outcome', 'crash', 'database refused', 'database slow', 'duplicate recognised',
  'journal damaged under a living process', 'lifted', 'message doubled', 'message lost', 'message out of order',
  'message replaced by an older version', 'muted', 'muted and taken back', 'palette changed', 'paused', 'queue refused', 'refused: unavailable',
  'refused: unknown-emoji', 'request doubled', 'request lost', 'request resent', 'state lost', 'store refused', 'taken back',
  'taken over while alive', 'taken over while paused', 'taps clamped', 'total went down', 'windows delivered again', 'windows lost by the queue',
  'windows queued without an answer', 'begin of unknown outcome', 'answered batch sent again', 'disk put back', 'taken back again', 'device named', 'shards changed', 'spread changed', 'stream ended', 'stream over', 'windows stored without an answer', 'zombie woke', 'fenced by shard', 'fenced by log',
];

describe('whole regions on virtual time', () => {
  const counts = new Map<string, number>();
  const failures: string[] = [];
  let exact = 0;
  let ranges = 0;

  beforeAll(async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = await simulateSeed(seed);
      for (const [what, times] of outcome.counts) counts.set(what, (counts.get(what) ?? 0) + times);
      if (outcome.violations.length > 0) failures.push(`npm run sim -- --seed ${seed}: ${outcome.violations.join('; ')}`);
      exact += outcome.exact;
      ranges += outcome.ranges;
    }
  }, LIMIT_MS);

  it('[SIM-1] after faults of all kinds, all regions come to the truth, and mostly to the tap', () => {
    expect(failures).toEqual([]);
    expect(exact).toBeGreaterThan(2 * ranges);
  });

  it('[SIM-2] every kind of fault occurred, and had an effect', () => {
    expect([...OCCURRENCES, ...FAULT_KINDS.map((kind) => `fault ${kind}`)].filter((what) => !counts.has(what))).toEqual([]);
    for (const phase of ['before', 'sent', 'done', 'answered']) {
      expect([...counts.keys()].filter((what) => what.startsWith(`crash ${phase} `)), phase).not.toEqual([]);
    }
  });

  it('[SIM-3] the same seed gives the same run', async () => {
    for (const seed of [7, 42]) expect((await simulateSeed(seed)).fingerprint).toBe((await simulateSeed(seed)).fingerprint);
  });

  it('[SIM-4] the schedule of a failing seed is made small while it still fails', async () => {
    const scenario = scenarioOf(3, ['cut', 'crash', 'pause']);
    const guilty = [scenario.faults[1]!, scenario.faults.at(-1)!];
    const fails = async ({ faults }: Scenario): Promise<Outcome> =>
      ({ violations: guilty.every((fault) => faults.includes(fault)) ? ['it fails'] : [] }) as unknown as Outcome;
    const { kept, outcome } = await shrink(scenario, fails);
    expect(kept).toEqual([1, scenario.faults.length - 1]);
    expect(outcome.violations).toEqual(['it fails']);
  });

  it('[SIM-1] without faults every total is known, and true', async () => {
    const outcome = await simulate(scenarioOf(1, []));
    expect(outcome).toMatchObject({ violations: [], ranges: 0 });
    expect(outcome.taps).toBeGreaterThan(100);
  });
});

describe('seeds that found something', () => {
  it.each([
    ['a mute heard before its end: taps after the end are taken back, too', 15],
    ['a second process began from a journal that the first was about to write again', 1026],
    ['a clock ten minutes ahead, and claims on what was counted before', 3675],
    ['a clock set forward between two lives, and a resend', 988],
    ['a journal whose end was lost, written anew, and believed to be lost still', 9010],
    ['windows that went with a journal and a process', 7159],
    ['a batch counted again after the end of a mute', 9290],
    ['a verdict on a page that went while nobody was there', 1885],
    ['verdicts for a region that had lost its claims with its disk', 12],
    ['a first process that woke to a lost journal and took the shard back', 5465],
    ['the same, with a journal that was rolled back', 4602],
  ])('[SIM-1] %s (seed %i)', async (_, seed) => {
    expect((await simulate(scenarioOf(seed, FIRST_KINDS))).violations).toEqual([]);
  });

  it.each([8364, 8868, 9486])('[SIM-1] a journal of another shard that had what moved from it (seed %i)', async (seed) => {
    expect((await simulateSeed(seed)).violations).toEqual([]);
  });

  it('[SIM-1] claims of a process that went on while its successor had more shards (seed 1076)', async () => {
    const kinds: FaultKind[] = ['zombie-reshard', 'crash-reshard', 'client-move', 'client-loss', 'store-late', 'store-slow'];
    expect((await simulate(scenarioOf(1076, kinds))).violations).toEqual([]);
  });
});
