/**
 * A region, a crowd that does nothing wrong, and hostile processes: what became of each surface's messages, of the process, of its
 * memory, of the crowd's taps and of their latency.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { migrate } from '../../src/analytics/migrate.ts';
import { createTokenMint } from '../../src/cli/load/tokens.ts';
import { startNats } from '../support/nats.ts';
import { postgresAvailable, startPostgres } from '../support/postgres.ts';
import { startRegionCommand, type RegionCommand } from '../support/region-command.ts';
import { lookAfter } from './aftermath.ts';
import { joined, type Books } from './answer-books.ts';
import { isFault, type Target } from './attack.ts';
import type { Tally } from './attackers.ts';
import { LegitimateCrowd } from './legitimate-crowd.ts';
import { goFirst } from './priority.ts';
import { endOf, playRounds, warm, type RoundsPlan, type RoundsResult } from './rounds.ts';
import { DOCUMENT, STREAM } from './surfaces.ts';

export interface HostilePlan extends RoundsPlan {
  /** The crowd's p99 while it is attacked, at most so many times that of the quiet phases. */
  readonly slowdownMax: number;
  readonly withDatabase: boolean;
  /** Whether the region, its nats-server and the crowd go before the attackers, where that is allowed. */
  readonly prioritized: boolean;
}

export interface Memory {
  readonly heapBytes: number;
  /** Of buffers and typed arrays, which lie beside the heap. */
  readonly externalBytes: number;
  readonly residentBytes: number;
}

export interface HostileResult extends RoundsResult {
  /** Each a sentence; nothing was wrong when there is none. */
  readonly problems: readonly string[];
  readonly memory: { readonly before: Memory; readonly after: Memory };
  /** What the attackers were told counts, the warming included. */
  readonly books: Books;
  readonly prioritized: boolean;
}

const SECRET = 'a secret of at least thirty-two characters';
const VIEWERS = 100;
const HOSTILE_VIEWERS = 50;
const WAIT_MS_MAX = 60_000;
/** Lines that are shown. */
const SAID_MAX = 5;
/** Messages before anything is compared, at least, when there are so many: what is made once, compiled code and pools, is made by then. */
const WARMING_MESSAGES = 5_000;
/** What a process may have more after the attacks than before, heap and buffers, however few the messages: compiled code, and tables that keep their room. */
const GAIN_BYTES_MAX = 8e6;
/** And for each message: nothing that is kept of one is so small. */
const GAIN_BYTES_PER_MESSAGE_MAX = 4;
/** Collects garbage when it is told to, so that what is kept can be told from what is not collected yet, and says when it has. */
const COLLECTING = ['--expose-gc', '--import', 'data:text/javascript,let times=0;process.on("SIGUSR2",()=>{globalThis.gc();console.log(`collected ${++times}.`)})'];

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
  const said: string[] = [];
  const region = await startRegionCommand({
    region: 'us',
    servers: new Map([['us', nats]]),
    environment: { OVATION_JWT_SECRET: SECRET, OVATION_DRAIN_SECONDS: '0', ...(plan.withDatabase && postgresAvailable ? { OVATION_DATABASE_URL: await database(cleanups) } : {}) },
    nodeOptions: COLLECTING,
    onLine: (line) => void (isAlarm(line) && said.length < SAID_MAX && said.push(line)),
  });
  cleanups.push(() => region.child.kill('SIGKILL'));
  const prioritized = plan.prioritized && goFirst({ node: [region.child.pid!, process.pid], others: [nats.pid!] });
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

  const warmed = await warm(plan, Math.min(plan.messages, Math.max(WARMING_MESSAGES, Math.ceil(plan.messages / 20))), target);
  const early = endOf(region);
  if (early !== null) throw new Error(early);
  const memoryBefore = await memoryOf(region, 1);

  const { failures, ...played } = await playRounds(plan, region, crowd, target);
  const result = { ...played, books: joined([warmed, played.books]) };
  // The same one in every round is one problem.
  const problems = [...new Set(failures)].map((failure) => `an attacker could not go on: ${failure}`);
  const end = endOf(region);
  if (end !== null) return { ...result, prioritized, problems: [...problems, end, ...said], memory: { before: memoryBefore, after: memoryBefore } };
  crowd.rest();
  await until(() => crowd.unanswered === 0).catch(() => problems.push(`${crowd.unanswered} batches of the crowd were never answered`));

  if (crowd.failures > 0) problems.push(`${crowd.failures} batches or connections of the crowd failed`);
  if (result.slowdown > plan.slowdownMax) problems.push(`the crowd's p99 was ${result.slowdown.toFixed(2)} × that of the quiet phases, more than ${plan.slowdownMax} ×`);
  problems.push(...unintended(result.tallies), ...(await lookAfter(region, target, crowd, result.books)));
  const memory = { before: memoryBefore, after: await memoryOf(region, 2) };
  problems.push(...kept(memory, result.tallies), ...said);
  return { ...result, prioritized, problems, memory };
}

async function database(cleanups: (() => unknown)[]): Promise<string> {
  const postgres = await startPostgres();
  cleanups.push(() => postgres.stop());
  const url = await postgres.createDatabase('windows');
  await migrate(url);
  return url;
}

function unintended(tallies: readonly Tally[]): string[] {
  return tallies.flatMap(({ surface, answers }) => answers.filter(([answer]) => isFault(answer)).map(([answer, times]) => `${surface}: ${times} × ${answer}`));
}

function kept({ before, after }: HostileResult['memory'], tallies: readonly Tally[]): string[] {
  const gain = after.heapBytes + after.externalBytes - before.heapBytes - before.externalBytes;
  const most = GAIN_BYTES_MAX + GAIN_BYTES_PER_MESSAGE_MAX * tallies.reduce((sum, { messages }) => sum + messages, 0);
  return gain > most ? [`the region keeps ${(gain / 1e6).toFixed(1)} MB more than before the attacks, more than ${(most / 1e6).toFixed(1)} MB`] : [];
}

/** Of a line that the region has said. */
function isAlarm(line: string): boolean {
  return /"level":"(?:error|fatal)"|uncaught|unhandled|possible \w+ memory leak/i.test(line);
}

/** After the garbage was collected, for the `times`th time. */
async function memoryOf(region: RegionCommand, times: number): Promise<Memory> {
  region.child.kill('SIGUSR2');
  await until(() => region.output().includes(`collected ${times}.`));
  const metrics = await (await fetch(`${region.adminUrl}/metrics`)).text();
  const bytesOf = (name: string): number => Number(new RegExp(`^nodejs_${name}_bytes\\{[^}]*\\} (\\S+)$`, 'm').exec(metrics)?.[1] ?? 0);
  return { heapBytes: bytesOf('heap_size_used'), externalBytes: bytesOf('external_memory'), residentBytes: region.residentBytes() };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('waited in vain');
    await pause(10);
  }
}
