/** `npm run fuzz`: sends mutated messages to every public surface of a real region, and says what became of it. */

import path from 'node:path';
import { parseArgs } from 'node:util';
import { flagsOf, number, wholeNumber } from '../support/flags.ts';
import type { Latencies } from './legitimate-crowd.ts';
import { runHostile, type HostilePlan, type HostileResult, type Memory } from './run-hostile.ts';

const HELP = `npm run fuzz -- [options]

  --messages N    so many, over all surfaces and rounds (1000000)
  --rounds N      in so many attacks, with a quiet phase before, between and after (10)
  --quiet S       seconds of each quiet phase, to compare latencies with (20)
  --seed S        other messages (1)
  --rate R        at most so many a second, evenly (400; 0: as many as go)
  --processes P   that send them (2)
  --slowdown F    the crowd's p99 may be so many times that of the quiet phases (1.1)
  --no-priority   the region, its nats-server and the crowd do not go before the attackers
  --no-database   without Postgres: history answers that there is none
  --json          one JSON document instead of the tables
`;

interface Flags extends Omit<HostilePlan, 'attackers' | 'onProgress'> {
  readonly json: boolean;
  readonly help: boolean;
}

/** @throws TypeError when an option is unknown, or not a number in its range */
function readFlags(): Flags {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string', default: '1000000' },
      rounds: { type: 'string', default: '10' },
      quiet: { type: 'string', default: '20' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string', default: '400' },
      processes: { type: 'string', default: '2' },
      slowdown: { type: 'string', default: '1.1' },
      'no-priority': { type: 'boolean', default: false },
      'no-database': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const whole = (name: 'messages' | 'rounds' | 'seed' | 'processes', min: number, max: number): number => wholeNumber(name, values[name], min, max);
  return {
    messages: whole('messages', 1, 1e9),
    rounds: whole('rounds', 1, 100),
    quietMs: 1_000 * number('quiet', values.quiet, 1, 3_600),
    seed: whole('seed', 0, 1e6),
    rate: number('rate', values.rate, 0, 1e6),
    processes: whole('processes', 1, 64),
    slowdownMax: number('slowdown', values.slowdown, 0, 1e6),
    prioritized: !values['no-priority'],
    withDatabase: !values['no-database'],
    json: values.json,
    help: values.help,
  };
}

function mb({ heapBytes, externalBytes, residentBytes }: Memory): string {
  return `heap ${(heapBytes / 1e6).toFixed(1)} MB, buffers ${(externalBytes / 1e6).toFixed(1)} MB, resident ${(residentBytes / 1e6).toFixed(0)} MB`;
}

function range(least: number, most: number): string {
  return least === most ? String(least) : `${least} to ${most}`;
}

function quantiles({ p50, p99 }: Latencies): string {
  return `${p50.toFixed(2)} / ${p99.toFixed(2)}`.padStart(15);
}

function print({ tallies, problems, memory, books, latencies, rounds, slowdown, cpu, seconds, prioritized }: HostileResult): void {
  const messages = tallies.reduce((sum, tally) => sum + tally.messages, 0);
  for (const { surface, messages: count, answers } of tallies) {
    console.log(`${String(count).padStart(9)}  ${surface}\n${' '.repeat(11)}${answers.map(([answer, times]) => `${answer}: ${times}`).join(', ')}`);
  }
  console.log(`\n${messages} messages in ${seconds.toFixed(0)} s (${(messages / seconds).toFixed(0)} a second)`);
  const taps = Object.entries(books.most).map(([emoji, most]) => `${emoji} ${range(books.least[emoji] ?? 0, most)}`);
  console.log(`taps that attackers were told count: ${taps.join(', ')}`);
  console.log(`memory after collecting garbage: before ${mb(memory.before)}; after ${mb(memory.after)}`);
  if (cpu !== null) console.log(`the region's CPU: quiet ${(100 * cpu.quietShare).toFixed(1)} % of a core, ${cpu.msPerMessage.toFixed(2)} ms a hostile message`);
  console.log(`\nacknowledgements of the crowd, p50 / p99 in ms\n${'round'.padEnd(8)}${'quiet'.padStart(15)}${'attacked'.padStart(18)}`);
  for (const [index, { quiet, attacked }] of rounds.entries()) {
    console.log(`${(attacked === null ? '' : String(index + 1)).padEnd(8)}${quantiles(quiet)}${attacked === null ? '' : `   ${quantiles(attacked)}`}`);
  }
  console.log(`${'all'.padEnd(8)}${quantiles(latencies.quiet)}   ${quantiles(latencies.attacked)}   of ${latencies.quiet.count} and ${latencies.attacked.count}`);
  console.log(`p99 while attacked: ${slowdown.toFixed(2)} × that of the quiet phases${prioritized ? '' : ', without going before the attackers'}`);
  console.log(problems.length === 0 ? '\nNo problem found.' : `\n${problems.length} problems:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
}

/** For logs: ten lines, not one that changes. */
function everyTenth(all: number): (messages: number) => void {
  let said = 0;
  return (messages) => {
    if (messages * 10 < (said + 1) * all) return;
    said = Math.floor((messages * 10) / all);
    process.stderr.write(`${messages} messages\n`);
  };
}

async function main(): Promise<number> {
  const flags = flagsOf(HELP, readFlags);
  const result = await runHostile({
    ...flags,
    attackers: path.join(import.meta.dirname, `attackers${path.extname(import.meta.filename)}`),
    onProgress: process.stderr.isTTY ? (messages) => void process.stderr.write(`\r${messages} messages `) : everyTenth(flags.messages),
  });
  if (flags.json) console.log(JSON.stringify(result, null, 2));
  else print(result);
  return result.problems.length === 0 ? 0 : 1;
}

process.exitCode = await main();
