/**
 * Attacks in rounds: a quiet phase, an attack, a quiet phase, an attack, …, a quiet phase. Machines change their pace within minutes;
 * in turns, what is compared meets the same of it.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { RegionCommand } from '../support/region-command.ts';
import { joined, type Books } from './answer-books.ts';
import type { Target } from './attack.ts';
import { AttackerProcesses, summed, type AttackResult } from './attacker-processes.ts';
import type { Orders, Tally } from './attackers.ts';
import { summaryOf, type Latencies, type LegitimateCrowd } from './legitimate-crowd.ts';

export interface RoundsPlan {
  /** Of all rounds together. */
  readonly messages: number;
  readonly rounds: number;
  readonly seed: number;
  /** Messages a second at most; 0 for as many as go. */
  readonly rate: number;
  readonly processes: number;
  /** Of each quiet phase. */
  readonly quietMs: number;
  /** The built program of the attackers. */
  readonly attackers: string;
  readonly onProgress?: (messages: number) => void;
}

export interface Round {
  readonly quiet: Latencies;
  /** Null in the last one, which is a quiet phase alone. */
  readonly attacked: Latencies | null;
}

export interface RegionCpu {
  /** Of one core, in the quiet phases. */
  readonly quietShare: number;
  /** Milliseconds that a hostile message costs beyond that. */
  readonly msPerMessage: number;
}

export interface RoundsResult {
  readonly tallies: readonly Tally[];
  /** The crowd's, of all phases of a kind together. */
  readonly latencies: { readonly quiet: Latencies; readonly attacked: Latencies };
  readonly rounds: readonly Round[];
  /** The p99 of the attacked phases together, divided by that of the quiet ones together. */
  readonly slowdown: number;
  /** Null where the system does not tell. */
  readonly cpu: RegionCpu | null;
  /** Of the attacked phases together. */
  readonly seconds: number;
}

interface Phase {
  readonly latencies: readonly number[];
  readonly seconds: number;
  /** Of the region; NaN when the system does not tell. */
  readonly cpuMs: number;
}

/** What an attack has left behind, or a collection of garbage has held up, is answered by then. */
const SETTLING_MS = 250;
/** Linux counts CPU time for its readers in ticks of so many milliseconds. */
const TICK_MS = 10;

/** Attacks before anything is measured. */
export async function warm(plan: RoundsPlan, messages: number, target: Target): Promise<Books> {
  const attackers = await AttackerProcesses.start(plan.attackers, 1);
  try {
    const { books } = await attackers.attack([{ target, seed: seedOf(plan, 0, 0), messages, rate: plan.rate }]);
    return await books;
  } finally {
    await attackers.end();
  }
}

/** Ends early when the region has ended. */
export async function playRounds(
  plan: RoundsPlan,
  region: RegionCommand,
  crowd: LegitimateCrowd,
  target: Target,
): Promise<RoundsResult & { readonly failures: readonly string[]; readonly books: Books }> {
  const [quiet, attacked]: [Phase[], Phase[]] = [[], []];
  const attacks: AttackResult[] = [];
  const books: Books[] = [];
  for (let round = 1; endOf(region) === null; round++) {
    await pause(SETTLING_MS);
    quiet.push(await measured(region, crowd, () => pause(plan.quietMs)));
    if (round > plan.rounds || endOf(region) !== null) break;
    const attackers = await AttackerProcesses.start(plan.attackers, plan.processes);
    try {
      const before = messagesOf(attacks);
      const attack = async (): Promise<void> => void attacks.push(await attackers.attack(ordersOf(plan, round, target), (messages) => plan.onProgress?.(before + messages)));
      attacked.push(await measured(region, crowd, attack));
      books.push(await attacks.at(-1)!.books);
    } finally {
      await attackers.end();
    }
  }
  const latencies = { quiet: summaryOf(together(quiet)), attacked: summaryOf(together(attacked)) };
  return {
    tallies: summed(attacks.map(({ tallies }) => tallies)),
    failures: attacks.flatMap(({ failures }) => failures),
    books: joined(books),
    latencies,
    rounds: quiet.map((phase, index) => ({ quiet: summaryOf(phase.latencies), attacked: attacked[index] === undefined ? null : summaryOf(attacked[index].latencies) })),
    slowdown: latencies.attacked.p99 / latencies.quiet.p99,
    cpu: cpuOf(quiet, attacked, messagesOf(attacks)),
    seconds: total(attacked, 'seconds'),
  };
}

/** What there is to say when the region has ended; null while it lives. */
export function endOf({ child, output }: RegionCommand): string | null {
  if (child.exitCode === null && child.signalCode === null) return null;
  return `the region ended (${child.exitCode ?? child.signalCode}): ${output().slice(-2_000)}`;
}

function ordersOf(plan: RoundsPlan, round: number, target: Target): Orders[] {
  const messages = Math.ceil(plan.messages / plan.rounds / plan.processes);
  return Array.from({ length: plan.processes }, (_, index) => ({ target, seed: seedOf(plan, round, index), messages, rate: plan.rate / plan.processes }));
}

/** Another one for each process of each round, the warming being round 0; and none that the same plan has with another seed. */
function seedOf({ seed, rounds, processes }: RoundsPlan, round: number, index: number): number {
  return (seed * (rounds + 1) + round) * processes + index;
}

async function measured(region: RegionCommand, crowd: LegitimateCrowd, work: () => Promise<void>): Promise<Phase> {
  crowd.takeLatencies();
  const [startedAt, cpuBefore] = [performance.now(), cpuMsOf(region)];
  await work();
  const [endedAt, cpuAfter] = [performance.now(), cpuMsOf(region)];
  return { latencies: crowd.takeLatencies(), seconds: (endedAt - startedAt) / 1_000, cpuMs: cpuAfter - cpuBefore };
}

function together(phases: readonly Phase[]): number[] {
  return phases.flatMap(({ latencies }) => latencies);
}

function total(phases: readonly Phase[], what: 'seconds' | 'cpuMs'): number {
  return phases.reduce((sum, phase) => sum + phase[what], 0);
}

function messagesOf(attacks: readonly AttackResult[]): number {
  return attacks.flatMap(({ tallies }) => tallies).reduce((sum, { messages }) => sum + messages, 0);
}

function cpuOf(quiet: readonly Phase[], attacked: readonly Phase[], messages: number): RegionCpu | null {
  const quietMsPerSecond = total(quiet, 'cpuMs') / total(quiet, 'seconds');
  const msPerMessage = (total(attacked, 'cpuMs') - quietMsPerSecond * total(attacked, 'seconds')) / messages;
  return Number.isNaN(msPerMessage) ? null : { quietShare: quietMsPerSecond / 1_000, msPerMessage };
}

/** What the process has used since it began, all of its threads; NaN when that cannot be read here, or no more. */
function cpuMsOf({ child }: RegionCommand): number {
  try {
    // Behind the name, which is in brackets and may hold anything: the state, ten more, then the time for itself and in the kernel.
    const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return NaN;
  }
}
