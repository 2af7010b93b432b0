/**
 * `npm run bench`: the figures of the design, each beside a baseline measured in the same run.
 *
 * Prints a table (or JSON) and exits with 1 when a target was missed. `docs/benchmarks.md` says what
 * each row does and how to read it.
 */

import os from 'node:os';
import { parseArgs } from 'node:util';
import { aggregatorCore } from './aggregator-core.ts';
import { edgeIngest } from './edge-ingest.ts';
import { fanOut } from './fan-out.ts';
import { NotMeasurable, type Benchmark, type Result } from './measure.ts';
import { merge } from './merge.ts';
import { replicatedBytes } from './replicated-bytes.ts';
import { sessionState } from './session-state.ts';
import { windowsIntoPostgres } from './windows-into-postgres.ts';

const BENCHMARKS: readonly Benchmark[] = [aggregatorCore, edgeIngest, fanOut, sessionState, merge, replicatedBytes, windowsIntoPostgres];

const USAGE = `Usage: npm run bench -- [--only name]... [--json]

Measures the figures of the design against baselines in the same run.
CPU time, medians of interleaved rounds. Close other programs first.

  --only name   measure this row only; may be given several times
  --json        print one JSON document instead of the table
  --help        print this

Rows:
${BENCHMARKS.map(({ name, description, target }) => `  ${name.padEnd(22)} ${description}\n${' '.repeat(25)}target: ${target}`).join('\n')}
`;

interface Line {
  readonly benchmark: Benchmark;
  readonly result: Result | null;
  /** Why there is no result. */
  readonly missing: string | null;
}

async function measure(benchmark: Benchmark): Promise<Line> {
  try {
    return { benchmark, result: await benchmark.run(), missing: null };
  } catch (error) {
    if (!(error instanceof NotMeasurable)) throw error;
    return { benchmark, result: null, missing: error.message };
  }
}

function describeMachine(): string {
  const cpus = os.cpus();
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(os.totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`;
}

function printLine({ benchmark, result, missing }: Line): void {
  console.log(`\n${benchmark.name}: ${benchmark.description}`);
  if (result === null) return console.log(`  not measured   ${missing}`);
  console.log(`  measured   ${result.measured}`);
  console.log(`  baseline   ${result.baseline}`);
  console.log(`  result     ${result.ratio}`);
  console.log(`  target     ${benchmark.target}: ${result.reached ? 'reached' : 'MISSED'}`);
}

function toJson({ benchmark: { name, description, target }, result, missing }: Line): object {
  return { name, description, target, ...(result ?? { missing }) };
}

function choose(only: readonly string[]): readonly Benchmark[] {
  const unknown = only.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) {
    console.error(`There is no row ${unknown.join(', ')}. Rows: ${BENCHMARKS.map(({ name }) => name).join(', ')}.`);
    process.exit(2);
  }
  return only.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ name }) => only.includes(name));
}

function readArguments(): { only: string[]; json: boolean; help: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function main(): Promise<void> {
  const { only, json, help } = readArguments();
  if (help) return console.log(USAGE);
  const chosen = choose(only);
  const lines: Line[] = [];
  if (!json) console.log(describeMachine());
  for (const benchmark of chosen) {
    const line = await measure(benchmark);
    lines.push(line);
    if (!json) printLine(line);
  }
  if (json) console.log(JSON.stringify({ machine: describeMachine(), rows: lines.map(toJson) }, null, 2));
  const missed = lines.filter(({ result }) => result?.reached === false);
  if (!json) console.log(missed.length === 0 ? '\nNo target missed.' : `\nMissed: ${missed.map((line) => line.benchmark.name).join(', ')}.`);
  process.exitCode = missed.length === 0 ? 0 : 1;
}

await main();
