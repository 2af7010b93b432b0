/** `npm run sim`: runs seeds, reports, and makes what fails small. */

import { parseArgs } from 'node:util';
import { flagsOf, wholeNumber } from '../support/flags.ts';
import { describeFault, scenarioOf, FAULT_KINDS, type FaultKind, type Scenario } from './faults.ts';
import { shrink } from './shrink.ts';
import { simulate, type Outcome } from './world.ts';

const HELP = `npm run sim -- [options]

  --seeds N        run N seeds (200)
  --from S         the first of them (1)
  --seed S         run one seed, and show what happens in it
  --faults a,b     only these kinds of faults: ${FAULT_KINDS.join(' ')}
  --only 0,3       with --seed: only these of its faults, by their place
  --first          end at the first seed that fails
  --no-shrink      do not make failing seeds small
`;

const SEED_MAX = 2 ** 31 - 1;

function readFlags() {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      faults: { type: 'string' },
      only: { type: 'string' },
      first: { type: 'boolean', default: false },
      'no-shrink': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const kinds = values.faults === undefined ? FAULT_KINDS : values.faults.split(',').map(faultKind);
  return {
    ...values,
    kinds,
    seeds: wholeNumber('seeds', values.seeds, 1, SEED_MAX),
    from: wholeNumber('from', values.from, 0, SEED_MAX),
    seed: values.seed === undefined ? null : wholeNumber('seed', values.seed, 0, SEED_MAX),
    only: values.only?.split(',').filter(Boolean).map((place) => wholeNumber('only', place, 0, SEED_MAX)),
  };
}

function faultKind(name: string): FaultKind {
  const kind = FAULT_KINDS.find((each) => each === name);
  if (kind === undefined) throw new TypeError(`there is no kind of fault ${name}`);
  return kind;
}

const flags = flagsOf(HELP, readFlags);

function command(scenario: Scenario, kept: readonly number[] | null): string {
  const faults = flags.faults === undefined ? '' : ` --faults ${flags.faults}`;
  return `npm run sim -- --seed ${scenario.seed}${faults}${kept === null ? '' : ` --only ${kept.join(',')}`}`;
}

function report({ violations }: Outcome): void {
  for (const violation of violations) console.log(`  ${violation}`);
}

async function one(seed: number): Promise<number> {
  const whole = scenarioOf(seed, flags.kinds);
  const { only } = flags;
  const scenario = only === undefined ? whole : { ...whole, faults: whole.faults.filter((_, index) => only.includes(index)) };
  console.log(`${scenario.regions} regions, ${scenario.shards} shards, ${scenario.clients} viewers${scenario.claims ? ' who take along what is unanswered' : ''}, faults for ${scenario.faultMs} ms:`);
  for (const fault of scenario.faults) console.log(`  ${whole.faults.indexOf(fault)}: ${describeFault(fault)}`);
  const outcome = await simulate(scenario, { trace: (line) => console.log(line) });
  console.log(`settled ${outcome.quietMs / 1000} s after the last fault; ${outcome.violations.length} violations`);
  report(outcome);
  return outcome.violations.length === 0 ? 0 : 1;
}

async function many(from: number, count: number): Promise<number> {
  const startedAt = performance.now();
  const totals = new Map<string, number>();
  const failed: number[] = [];
  let [batches, taps, exact, ranges, quietMs] = [0, 0, 0, 0, 0];
  for (let done = 1; done <= count; done++) {
    const scenario = scenarioOf(from + done - 1, flags.kinds);
    const outcome = await simulate(scenario);
    batches += outcome.batches;
    taps += outcome.taps;
    exact += outcome.exact;
    ranges += outcome.ranges;
    quietMs = Math.max(quietMs, outcome.quietMs);
    for (const [what, times] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + times);
    if (outcome.violations.length > 0) {
      failed.push(scenario.seed);
      console.log(`seed ${scenario.seed} fails: ${command(scenario, null)}`);
      report(outcome);
      if (!flags['no-shrink']) {
        const { kept, outcome: small } = await shrink(scenario, simulate);
        console.log(`  with ${kept.length} of its ${scenario.faults.length} faults: ${command(scenario, kept)}`);
        report(small);
      }
    }
    if (flags.first && failed.length > 0) break;
    if (done % 500 === 0) console.log(`${done} of ${count} seeds, ${failed.length} failed, ${((1000 * done) / (performance.now() - startedAt)).toFixed(1)} a second`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`\n${count} seeds in ${seconds.toFixed(1)} s (${(count / seconds).toFixed(1)} a second), ${failed.length} failed${failed.length > 0 ? `: ${failed.join(' ')}` : ''}`);
  console.log(`${batches} batches of ${taps} taps; ${exact} totals known to the tap and ${ranges} within a range; all was settled at most ${quietMs / 1000} s after the last fault`);
  for (const [what, times] of [...totals].sort()) console.log(`${String(times).padStart(9)}  ${what}`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = flags.seed === null ? await many(flags.from, flags.seeds) : await one(flags.seed);
