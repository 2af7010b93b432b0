/** `npm run chaos`: plays scenarios on real processes, one rig each, and reports. */

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { flagsOf, number, wholeNumber } from '../../support/flags.ts';
import { natsAvailable } from '../../support/nats.ts';
import { postgresAvailable } from '../../support/postgres.ts';
import { writeHostsFile } from './hosts-file.ts';
import { faketimeAvailable } from './region-machine.ts';
import { describe, describeEnd, exitCodeOf, printTable } from './report.ts';
import { startRig, type Rig } from './rig.ts';
import { runScenario, type ScenarioOutcome } from './run-scenario.ts';
import type { Need, Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { stopSignal } from '../../../src/cli/stop-signal.ts';

const HELP = `npm run chaos -- [options]

Three regions with their nats-servers and Postgres, as real processes, are broken under load; then their books must balance.

  --only a,b       only these scenarios
  --list           the scenarios there are
  --quick          faults last a sixth of their time
  --viewers N      viewers a region (20)
  --rate N         taps a second of each viewer (2)
  --network KIND   namespaces or proxies (the best that this machine can do: namespaces are for root on Linux)
  --hold           break nothing, and write a hosts file for deploy/chaos/*.sh --target linux, until Ctrl-C
  --json           one JSON object a line, and no table
  --allow-missing  leave out what this machine cannot play, and be content
  --help           this

It ends with 0 when all books balance, or differ by no more than a documented exception, and each fault had its effects; with 1
when not, or when a scenario had to be left out; with 2 for wrong options.
`;

const STEADY_MS = 1_000;
const CALM_MS = 3_000;
const CONVERGE_MS_MAX = 120_000;
const SMALL_DISK_MEGABYTES = 24;
const NETWORKS = ['namespaces', 'proxies'] as const;

const NEEDS: Readonly<Record<Need, string>> = {
  packets: 'network namespaces: root on Linux, with ip and nft',
  'small disk': 'a disk of its own: root on Linux',
  faketime: 'libfaketime: the package faketime of Debian',
};

type Flags = ReturnType<typeof readFlags>;

function readFlags() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      list: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      viewers: { type: 'string', default: '20' },
      rate: { type: 'string', default: '2' },
      network: { type: 'string' },
      hold: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      'allow-missing': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const network = NETWORKS.find((kind) => kind === values.network);
  if (network === undefined && values.network !== undefined) throw new TypeError('--network is namespaces or proxies');
  const viewers = wholeNumber('viewers', values.viewers, 1, 100_000);
  const rate = number('rate', values.rate, 0.01, 1_000);
  const names = values.only?.split(',').filter(Boolean);
  const unknown = names?.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown !== undefined) throw new TypeError(`there is no scenario ${unknown}; --list names them`);
  return { ...values, network, viewers, rate, scenarios: SCENARIOS.filter(({ name }) => names === undefined || names.includes(name)) };
}

async function main(): Promise<number> {
  const flags = flagsOf(HELP, readFlags);
  if (flags.list) {
    for (const { name, what, needs } of SCENARIOS) console.log(`${name.padEnd(36)}${what}${needs === undefined ? '' : ` (needs ${NEEDS[needs]})`}`);
    return 0;
  }
  if (!natsAvailable || !postgresAvailable) {
    console.error('It takes nats-server and Postgres; on Debian: apt-get install nats-server postgresql');
    return 2;
  }
  return flags.hold ? hold(flags) : playAll(flags);
}

async function hold(flags: Flags): Promise<number> {
  const { signal } = stopSignal();
  const rig = await startRig(flags.network === undefined ? {} : { network: flags.network });
  try {
    console.log(`Three regions run (${rig.network.means}): ${rig.endpoints.join(' ')}`);
    console.log(`--hosts ${writeHostsFile(rig)}`);
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await rig.stop();
  }
  return 0;
}

async function playAll(flags: Flags): Promise<number> {
  const { signal } = stopSignal();
  const outcomes: ScenarioOutcome[] = [];
  const leftOut: string[] = [];
  const failed: string[] = [];
  for (const [index, scenario] of flags.scenarios.entries()) {
    if (signal.aborted) break;
    if (!flags.json) console.log(`\n[${index + 1}/${flags.scenarios.length}] ${scenario.name}: ${scenario.what}`);
    const startedAt = performance.now();
    const say = (line: string): void => {
      if (!flags.json) console.log(`  ${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${line}`);
    };
    try {
      const outcome = await playOne(scenario, flags, say, signal);
      if (outcome === null) {
        leftOut.push(scenario.name);
        continue;
      }
      outcomes.push(outcome);
      if (outcome.verdict === 'failed') failed.push(scenario.name);
      if (flags.json) console.log(JSON.stringify(outcome));
      else say(describe(outcome));
    } catch (error) {
      if (signal.aborted) break;
      failed.push(scenario.name);
      if (flags.json) console.log(JSON.stringify({ scenario: scenario.name, verdict: 'failed', problems: [(error as Error).message] }));
      else say(`FAILED: ${(error as Error).message}`);
    }
  }
  if (!flags.json) printTable(outcomes);
  const end = { failed, leftOut, isLeavingOutAllowed: flags['allow-missing'], isInterrupted: signal.aborted };
  for (const line of describeEnd(end)) console.error(line);
  return exitCodeOf(end);
}

/** Null when this machine cannot. */
async function playOne(scenario: Scenario, flags: Flags, say: (line: string) => void, signal: AbortSignal): Promise<ScenarioOutcome | null> {
  const { needs } = scenario;
  const rig = await startRig({
    ...(flags.network === undefined ? {} : { network: flags.network }),
    ...(needs === 'small disk' ? { smallDiskMegabytes: SMALL_DISK_MEGABYTES } : {}),
  });
  try {
    if (needs !== undefined && isMissing(rig, needs)) {
      if (flags.json) console.log(JSON.stringify({ scenario: scenario.name, verdict: 'left out', needs }));
      else say(`LEFT OUT: it needs ${NEEDS[needs]}`);
      return null;
    }
    say(`three regions run; links: ${rig.network.means}, delays: ${rig.network.delayMeans}`);
    return await runScenario(rig, scenario, {
      steadyMs: STEADY_MS,
      calmMs: CALM_MS,
      restartsAll: true,
      pace: flags.quick ? 1 / 6 : 1,
      viewersPerRegion: flags.viewers,
      tapsPerSecond: flags.rate,
      convergeMsMax: CONVERGE_MS_MAX,
      signal,
      say,
    });
  } finally {
    await rig.stop();
  }
}

function isMissing(rig: Rig, needs: Need): boolean {
  if (needs === 'packets') return !rig.network.hasPackets;
  return needs === 'small disk' ? rig.smallDisk === null : !faketimeAvailable;
}

process.exit(await main());
