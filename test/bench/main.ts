/**
 * `npm run bench`: the figures of the design, each beside a baseline measured in the same run.
 *
 * Prints a table (or JSON) and exits with 1 when a target was missed. `docs/benchmarks.md` says what
 * each row does and how to read it.
 */

import { fork } from 'node:child_process';
import os from 'node:os';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { flagsOf } from '../support/flags.ts';
import { aggregatorCore } from './aggregator-core.ts';
import { antiSpam } from './anti-spam.ts';
import { antiSpamCost } from './anti-spam-cost.ts';
import { edgeIngest } from './edge-ingest.ts';
import { fanOut } from './fan-out.ts';
import { NotMeasurable, type Benchmark, type Result } from './measure.ts';
import { endedStreams } from './ended-streams.ts';
import { merge } from './merge.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { overload } from './overload.ts';
import { replicatedBytes } from './replicated-bytes.ts';
import { sessionState } from './session-state.ts';
import { slowViewers } from './slow-viewers.ts';
import { windowsIntoPostgres } from './windows-into-postgres.ts';

const BENCHMARKS: readonly Benchmark[] = [aggregatorCore, edgeIngest, fanOut, sessionState, merge, replicatedBytes, windowsIntoPostgres, antiSpam, antiSpamCost, endedStreams, reconnectStorm, slowViewers, overload];

const USAGE = `Usage: npm run bench -- [--only name]... [--trace csv] [--json]

Measures the figures of the design against baselines in the same run.
CPU time, medians of interleaved rounds. Close other programs first.

  --only name   measure this row only; may be given several times
  --trace csv   people's taps from this recording (anti-spam)
  --json        print one JSON document instead of the table
  --help        print this

Rows:
${BENCHMARKS.map(({ name, description, target }) => `  ${name.padEnd(22)} ${description}\n${' '.repeat(25)}target: ${target}`).join('\n')}
`;

/** A row as printed with `--json`. */
interface Line extends Partial<Result> {
  readonly name: string;
  readonly description: string;
  readonly target: string;
  /** Why there is no result. */
  readonly missing?: string;
}

async function measureHere({ name, description, target, run }: Benchmark, trace: string | null): Promise<Line> {
  try {
    return { name, description, target, ...(await run({ trace })) };
  } catch (error) {
    if (!(error instanceof NotMeasurable)) throw error;
    return { name, description, target, missing: error.message };
  }
}

/** Each row in a process of its own: what one row leaves behind, in heap and compiled code, slows the next. */
async function measureApart({ name }: Benchmark, trace: string | null): Promise<Line> {
  const recorded = trace === null ? [] : ['--trace', trace];
  const child = fork(import.meta.filename, ['--only', name, '--json', ...recorded], { silent: true });
  child.stderr!.pipe(process.stderr);
  const output = await text(child.stdout!);
  if (output === '') throw new Error(`${name} ended without a result`);
  return (JSON.parse(output) as { rows: [Line] }).rows[0];
}

function describeMachine(): string {
  const cpus = os.cpus();
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(os.totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`;
}

function printLine(line: Line): void {
  console.log(`\n${line.name}: ${line.description}`);
  if (line.missing !== undefined) return console.log(`  not measured   ${line.missing}`);
  console.log(`  measured   ${line.measured}`);
  console.log(`  baseline   ${line.baseline}`);
  console.log(`  result     ${line.ratio}`);
  console.log(`  target     ${line.target}: ${line.reached === true ? 'reached' : 'MISSED'}`);
}

function choose(only: readonly string[]): readonly Benchmark[] {
  const unknown = only.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) throw new TypeError(`there is no row ${unknown.join(', ')}`);
  return only.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ name }) => only.includes(name));
}

function readFlags() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] as string[] },
      trace: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return { ...values, chosen: choose(values.only) };
}

async function main(): Promise<void> {
  const { chosen, trace = null, json } = flagsOf(USAGE, readFlags);
  const measure = chosen.length === 1 ? measureHere : measureApart;
  const lines: Line[] = [];
  if (!json) console.log(describeMachine());
  for (const benchmark of chosen) {
    const line = await measure(benchmark, trace);
    lines.push(line);
    if (!json) printLine(line);
  }
  const missed = lines.filter(({ reached }) => reached === false).map(({ name }) => name);
  if (json) console.log(JSON.stringify({ machine: describeMachine(), rows: lines }, null, 2));
  else console.log(missed.length === 0 ? '\nNo target missed.' : `\nMissed: ${missed.join(', ')}.`);
  process.exitCode = missed.length === 0 ? 0 : 1;
}

await main();
