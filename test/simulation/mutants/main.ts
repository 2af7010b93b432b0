/**
 * `npm run sim:mutants`: puts faults into the code on purpose, one at a time, and says which seed of the simulation catches each, or which
 * test where no seed can. The files stay as they are.
 */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { flagsOf, wholeNumber } from '../../support/flags.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import { textWith } from './put-in.ts';

const HELP = `npm run sim:mutants -- [options]

  --seeds N       try the seeds 1 to N with each (150)
  --only TEXT     only faults whose name has TEXT in it
  --processes P   so many at once (2)
`;

/** What has not ended by then hangs, which is caught as well. */
const RUN_MS_MAX = 240_000;
const ROOT = process.cwd();
const BUNDLES = path.join(ROOT, 'dist', `mutants-${process.pid}`);
const running = new Set<() => void>();

function readFlags() {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '150' },
      only: { type: 'string', default: '' },
      processes: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  });
  const chosen = MUTANTS.map((mutant, index) => ({ mutant, index })).filter(({ mutant }) => mutant.what.includes(values.only));
  if (chosen.length === 0) throw new TypeError(`no fault has ${values.only} in its name`);
  if (!existsSync(path.join(ROOT, 'test/simulation/main.ts'))) throw new TypeError('it runs from the root of the project');
  return { ...values, chosen, seeds: wholeNumber('seeds', values.seeds, 1, 1e6), processes: wholeNumber('processes', values.processes, 1, 64) };
}

const { chosen, seeds, processes, help: _ } = flagsOf(HELP, readFlags);

interface Run {
  /** Null when it was ended, for it hung. */
  readonly code: number | null;
  readonly output: string;
}

function run(args: readonly string[], environment: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
    const kill = (): void => void child.kill('SIGKILL');
    const timer = setTimeout(kill, RUN_MS_MAX);
    running.add(kill);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += String(bytes)));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(kill);
      resolve({ code, output });
    });
  });
}

/** What seeds find of it; null when all pass. */
async function caughtBySeed(mutant: Mutant, index: number): Promise<string | null> {
  const text = textWith(mutant, ROOT);
  const outfile = path.join(BUNDLES, `${index}.mjs`);
  const place = path.join(ROOT, mutant.file);
  await build({
    entryPoints: [path.join(ROOT, 'test/simulation/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
    outfile,
    plugins: [{ name: 'mutant', setup: ({ onLoad }) => onLoad({ filter: /\.ts$/ }, ({ path: file }) => (file === place ? { contents: text, loader: 'ts' } : null)) }],
  });
  const faults = mutant.faults === undefined ? [] : ['--faults', mutant.faults];
  const { code, output } = await run([outfile, '--seeds', String(seeds), '--first', '--no-shrink', ...faults]);
  if (code === 0) return null;
  const seed = /^seed (\d+) fails/m.exec(output)?.[1];
  if (seed !== undefined) return mutant.faults === undefined ? seed : `${seed} with \`--faults ${mutant.faults}\``;
  if (code === null) return `does not end in ${RUN_MS_MAX / 1000} s`;
  throw new Error(`“${mutant.what}” does not run: ${output.trim().split('\n').slice(-5).join('\n')}`);
}

/** The rule whose test fails with it; null when that passes. */
async function caughtByTest({ test }: Mutant, index: number): Promise<string | null> {
  if (test === undefined) return null;
  const { code, output } = await run(
    ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/simulation/mutants/vitest.config.ts', test.file, '-t', `\\[${test.rule}\\]`],
    { OVATION_MUTANT: String(index) },
  );
  // That it failed is not enough: the test must have run.
  return code !== 0 && / failed/.test(output) && output.includes(`[${test.rule}]`) ? test.rule : null;
}

async function rowOf(mutant: Mutant, index: number): Promise<{ readonly caught: boolean; readonly row: string }> {
  const seed = await caughtBySeed(mutant, index);
  if (seed !== null) return { caught: true, row: `| ${mutant.what} | ${seed} |` };
  const rule = await caughtByTest(mutant, index);
  return { caught: rule !== null, row: `| ${mutant.what} | none of ${seeds}; ${rule === null ? 'and no test' : `the test of ${rule}`} |` };
}

async function main(): Promise<number> {
  mkdirSync(BUNDLES, { recursive: true });
  process.on('exit', () => {
    for (const kill of running) kill();
    rmSync(BUNDLES, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
  const rows = new Map<number, string>();
  const waiting = [...chosen];
  let missed = 0;
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { caught, row } = await rowOf(next.mutant, next.index);
      if (!caught) missed++;
      rows.set(next.index, row);
      process.stderr.write(`${rows.size} of ${chosen.length}: ${row}\n`);
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  console.log('| put in | caught by seed |\n|---|---|');
  for (const { index } of chosen) console.log(rows.get(index));
  console.log(`\n${chosen.length} faults put in, ${missed} of them caught by nothing`);
  return missed === 0 ? 0 : 1;
}

process.exitCode = await main();
