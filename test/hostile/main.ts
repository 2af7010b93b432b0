/** `npm run fuzz`: sends mutated messages to every public surface of a real region, and says what became of it. */

import path from 'node:path';
import { parseArgs } from 'node:util';
import { runHostile, type HostileResult, type Memory } from './run-hostile.ts';

const HELP = `npm run fuzz -- [options]

  --messages N    so many, over all surfaces (1000000)
  --seed S        other messages (1)
  --rate R        at most so many a second, evenly (1200; 0: as many as go)
  --processes P   that send them (2)
  --quiet S       seconds without them, before and after, to compare latencies with (30)
  --slowdown F    the crowd's p99 may be so many times that of the quiet phases (1.1)
  --no-database   without Postgres: history answers that there is none
  --json          one JSON document instead of the tables
`;

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '1200' },
    processes: { type: 'string', default: '2' },
    quiet: { type: 'string', default: '30' },
    slowdown: { type: 'string', default: '1.1' },
    'no-database': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function mb({ heapBytes, residentBytes }: Memory): string {
  return `heap ${(heapBytes / 1e6).toFixed(1)} MB, resident ${(residentBytes / 1e6).toFixed(0)} MB`;
}

function print({ tallies, problems, memory, latencies, slowdown, seconds }: HostileResult): void {
  const messages = tallies.reduce((sum, tally) => sum + tally.messages, 0);
  for (const { surface, messages: count, answers } of tallies) {
    console.log(`${String(count).padStart(9)}  ${surface}\n${' '.repeat(11)}${answers.map(([answer, times]) => `${answer}: ${times}`).join(', ')}`);
  }
  console.log(`\n${messages} messages in ${seconds.toFixed(0)} s (${(messages / seconds).toFixed(0)} a second)`);
  console.log(`memory after collecting garbage: before ${mb(memory.before)}; after ${mb(memory.after)}`);
  for (const phase of ['before', 'during', 'after'] as const) {
    const { count, p50, p99 } = latencies[phase];
    console.log(`acknowledgements of the crowd ${phase.padEnd(7)} p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, of ${count}`);
  }
  console.log(`p99 while attacked: ${slowdown.toFixed(2)} × that of the quiet phases together`);
  console.log(problems.length === 0 ? 'No problem found.' : `\n${problems.length} problems:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
}

if (values.help) console.log(HELP);
else {
  const result = await runHostile({
    messages: Number(values.messages),
    seed: Number(values.seed),
    rate: Number(values.rate),
    processes: Number(values.processes),
    quietMs: 1000 * Number(values.quiet),
    slowdownMax: Number(values.slowdown),
    withDatabase: !values['no-database'],
    attackers: path.join(import.meta.dirname, `attackers${path.extname(import.meta.filename)}`),
    ...(process.stderr.isTTY ? { onProgress: (messages: number) => void process.stderr.write(`\r${messages} messages `) } : {}),
  });
  if (values.json) console.log(JSON.stringify(result, null, 2));
  else print(result);
  process.exitCode = result.problems.length === 0 ? 0 : 1;
}
