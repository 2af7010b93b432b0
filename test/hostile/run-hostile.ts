/**
 * A region, a crowd that does nothing wrong, and hostile processes: what became of each surface's messages, of the process, of its
 * memory, of the crowd's taps and of their latency.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { migrate } from '../../src/analytics/migrate.ts';
import { createTokenMint } from '../../src/cli/load/tokens.ts';
import { startNats } from '../support/nats.ts';
import { postgresAvailable, startPostgres } from '../support/postgres.ts';
import { startRegionCommand, type RegionCommand } from '../support/region-command.ts';
import type { FromAttackers, Orders, Tally } from './attackers.ts';
import { LegitimateCrowd, summaryOf, type Latencies } from './legitimate-crowd.ts';
import { DOCUMENT, STREAM, type Target } from './surfaces.ts';

export interface HostilePlan {
  readonly messages: number;
  readonly seed: number;
  readonly rate: number;
  readonly processes: number;
  /** Before, and after. */
  readonly quietMs: number;
  /** The crowd's p99 while it is attacked, at most so many times that of the quiet phases together. */
  readonly slowdownMax: number;
  readonly withDatabase: boolean;
  /** The built program of the attackers. */
  readonly attackers: string;
  readonly onProgress?: (messages: number) => void;
}

export interface Memory {
  readonly heapBytes: number;
  readonly residentBytes: number;
}

export interface HostileResult {
  readonly tallies: readonly Tally[];
  /** Each a sentence; nothing was wrong when there is none. */
  readonly problems: readonly string[];
  readonly memory: { readonly before: Memory; readonly after: Memory };
  readonly latencies: { readonly [phase in 'before' | 'during' | 'after']: Latencies };
  /** The p99 while it was attacked, divided by that of the quiet phases together. */
  readonly slowdown: number;
  readonly seconds: number;
}

const SECRET = 'a secret of at least thirty-two characters';
const VIEWERS = 100;
const HOSTILE_VIEWERS = 50;
const WAIT_MS_MAX = 20_000;
/** Messages before anything is compared, at least, when there are so many: what is made once, compiled code and pools, is made by then. */
const WARMING_MESSAGES = 5_000;
/** What was waited for while the garbage was collected is answered by then. */
const SETTLING_MS = 250;
/** Hostile clients have machines of their own: these give way to the region's and the crowd's work. */
const ATTACKERS_NICENESS = 19;
/** Collects garbage when it is told to, so that what is kept can be told from what is not collected yet. */
const COLLECTING = ['--expose-gc', '--import', 'data:text/javascript,process.on("SIGUSR2",()=>globalThis.gc())'];

export async function runHostile(plan: HostilePlan): Promise<HostileResult> {
  const cleanups: (() => unknown)[] = [];
  try {
    return await run(plan, cleanups);
  } finally {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  }
}

async function run(plan: HostilePlan, cleanups: (() => unknown)[]): Promise<HostileResult> {
  const nats = await startNats();
  cleanups.push(() => nats.stop());
  const region = await startRegionCommand({
    region: 'us',
    servers: new Map([['us', nats]]),
    environment: { OVATION_JWT_SECRET: SECRET, OVATION_DRAIN_SECONDS: '0', ...(plan.withDatabase && postgresAvailable ? { OVATION_DATABASE_URL: await database(cleanups) } : {}) },
    nodeOptions: COLLECTING,
  });
  cleanups.push(() => region.child.kill('SIGKILL'));
  const mint = createTokenMint(SECRET);
  const tokens = (count: number, name: string, stream: string): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => mint({ viewer: `${name}-${index}`, stream, role: 'viewer' })));
  const target: Target = {
    port: Number(new URL(region.url).port),
    adminPort: Number(new URL(region.adminUrl).port),
    viewerTokens: await tokens(HOSTILE_VIEWERS, 'hostile', STREAM),
    moderatorToken: await mint({ viewer: 'moderator', stream: DOCUMENT.replace('stream.', ''), role: 'moderator' }),
  };
  const crowd = new LegitimateCrowd(region.url, 'derby', await tokens(VIEWERS, 'ann', 'derby'), (index) => `ann-${index}`);
  cleanups.push(() => crowd.leave());
  await until(() => crowd.isWelcome);

  await attack({ ...plan, messages: Math.min(plan.messages, Math.max(WARMING_MESSAGES, Math.ceil(plan.messages / 20))), processes: 1 }, target, cleanups);
  const early = endOf(region);
  if (early !== null) throw new Error(early);
  const memoryBefore = await memoryOf(region);
  await pause(SETTLING_MS);
  crowd.takeLatencies();
  await pause(plan.quietMs);
  const before = crowd.takeLatencies();

  const startedAt = performance.now();
  const { tallies, failures } = await attack(plan, target, cleanups);
  const seconds = (performance.now() - startedAt) / 1000;
  const during = crowd.takeLatencies();
  const problems = failures.map((failure) => `an attacker could not go on: ${failure}`);
  const end = endOf(region);
  if (end !== null) {
    problems.push(end);
    return { tallies, problems, memory: { before: memoryBefore, after: memoryBefore }, ...compared(before, during, []), seconds };
  }
  await pause(plan.quietMs);
  const after = crowd.takeLatencies();
  crowd.rest();
  await until(() => crowd.unanswered === 0).catch(() => problems.push(`${crowd.unanswered} batches of the crowd were never answered`));

  if (crowd.failures > 0) problems.push(`${crowd.failures} batches or connections of the crowd failed`);
  const { totals } = (await (await fetch(`${region.url}/streams/derby/reactions`)).json()) as { readonly totals: Record<string, number> };
  if (totals['heart'] !== crowd.accepted) problems.push(`the crowd was told that ${crowd.accepted} taps count, the totals say ${totals['heart']}`);
  const comparison = compared(before, during, after);
  if (comparison.slowdown > plan.slowdownMax) problems.push(`the crowd's p99 was ${comparison.slowdown.toFixed(2)} × that of the quiet phases, more than ${plan.slowdownMax} ×`);
  problems.push(...unintended(tallies), ...saidByRegion(region.output()));
  if ((await fetch(`${region.adminUrl}/livez`)).status !== 200) problems.push('the region is not alive');
  return { tallies, problems, memory: { before: memoryBefore, after: await memoryOf(region) }, ...comparison, seconds };
}

/** With both quiet phases, because one of them alone differs from the other by as much as is asked for here. */
function compared(before: readonly number[], during: readonly number[], after: readonly number[]): Pick<HostileResult, 'latencies' | 'slowdown'> {
  const latencies = { before: summaryOf(before), during: summaryOf(during), after: summaryOf(after) };
  return { latencies, slowdown: latencies.during.p99 / summaryOf([...before, ...after]).p99 };
}

/** Null while it lives. */
function endOf({ child, output }: RegionCommand): string | null {
  if (child.exitCode === null && child.signalCode === null) return null;
  return `the region ended (${child.exitCode ?? child.signalCode}): ${output().slice(-2_000)}`;
}

async function database(cleanups: (() => unknown)[]): Promise<string> {
  const postgres = await startPostgres();
  cleanups.push(() => postgres.stop());
  const url = await postgres.createDatabase('windows');
  await migrate(url);
  return url;
}

async function attack(plan: HostilePlan, target: Target, cleanups: (() => unknown)[]): Promise<{ tallies: readonly Tally[]; failures: readonly string[] }> {
  const progress = new Map<number, number>();
  const results = await Promise.all(
    Array.from({ length: plan.processes }, async (_, index) => {
      const child = fork(plan.attackers, []);
      os.setPriority(child.pid!, ATTACKERS_NICENESS);
      cleanups.push(() => child.kill('SIGKILL'));
      child.send({ target, seed: plan.seed + index, messages: Math.ceil(plan.messages / plan.processes), rate: plan.rate / plan.processes } satisfies Orders);
      for (;;) {
        const [message] = (await once(child, 'message')) as [FromAttackers];
        if (message.kind === 'done') {
          child.disconnect();
          return message;
        }
        progress.set(index, message.messages);
        plan.onProgress?.([...progress.values()].reduce((sum, count) => sum + count, 0));
      }
    }),
  );
  const tallies = results[0]!.tallies.map(({ surface }, place): Tally => {
    const answers = new Map<string, number>();
    for (const { tallies: each } of results) for (const [answer, times] of each[place]!.answers) answers.set(answer, (answers.get(answer) ?? 0) + times);
    return { surface, messages: results.reduce((sum, each) => sum + each.tallies[place]!.messages, 0), answers: [...answers].sort(([, a], [, b]) => b - a) };
  });
  return { tallies, failures: results.flatMap(({ failures }) => failures) };
}

/** 503 is an answer: the region says that it has enough. Any other of the fives is a fault that a message has found. */
function unintended(tallies: readonly Tally[]): string[] {
  return tallies.flatMap(({ surface, answers }) =>
    answers.filter(([answer]) => answer.startsWith('http 5') && answer !== 'http 503').map(([answer, times]) => `${surface}: ${times} × ${answer}`),
  );
}

function saidByRegion(output: string): string[] {
  return output.split('\n').filter((line) => line.includes('"level":"error"') || /uncaught|unhandled/i.test(line)).slice(0, 5);
}

/** After the garbage was collected. */
async function memoryOf(region: RegionCommand): Promise<Memory> {
  region.child.kill('SIGUSR2');
  const metrics = await (await fetch(`${region.adminUrl}/metrics`)).text();
  return { heapBytes: Number(/^nodejs_heap_size_used_bytes\{[^}]*\} (\S+)$/m.exec(metrics)?.[1] ?? 0), residentBytes: region.residentBytes() };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('waited in vain');
    await pause(10);
  }
}
