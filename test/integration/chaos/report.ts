/** What a run of scenarios says of them: lines, a table, an exit code. */

import type { ScenarioOutcome } from './run-scenario.ts';

export interface RunEnd {
  readonly failed: readonly string[];
  /** What this machine could not play. */
  readonly leftOut: readonly string[];
  readonly isLeavingOutAllowed: boolean;
  readonly isInterrupted: boolean;
}

/** What was not tried has not been shown to work, unless somebody says that this will do. */
export function exitCodeOf({ failed, leftOut, isLeavingOutAllowed, isInterrupted }: RunEnd): 0 | 1 {
  const isComplete = leftOut.length === 0 || isLeavingOutAllowed;
  return failed.length === 0 && isComplete && !isInterrupted ? 0 : 1;
}

export function describeEnd({ failed, leftOut, isLeavingOutAllowed, isInterrupted }: RunEnd): string[] {
  return [
    ...(failed.length === 0 ? [] : [`failed: ${failed.join(', ')}`]),
    ...(leftOut.length === 0 ? [] : [`left out: ${leftOut.join(', ')}${isLeavingOutAllowed ? '' : '; with --allow-missing that will do'}`]),
    ...(isInterrupted ? ['interrupted'] : []),
  ];
}

export function describe({ verdict, acknowledged, counted, stored, answeredMs, convergedMs, admitted, exception, problems }: ScenarioOutcome): string {
  const figures = `${acknowledged} taps acknowledged, ${counted} counted, ${stored} stored; all answered ${seconds(answeredMs)} s after the heal, books balanced after ${seconds(convergedMs)} s`;
  if (verdict === 'balanced') return `balanced: ${figures}`;
  if (verdict === 'exception') return `exception: ${figures}; ${JSON.stringify(admitted)}: ${exception}`;
  return `FAILED: ${figures}\n${problems.map((problem) => `           ${problem}`).join('\n')}`;
}

export function printTable(outcomes: readonly ScenarioOutcome[]): void {
  const rows = outcomes.map((outcome) => [
    outcome.scenario,
    outcome.network,
    ...[outcome.tapped, outcome.acknowledged, outcome.counted, outcome.stored, outcome.duplicates, outcome.reconnects, outcome.moves, outcome.claims].map(String),
    seconds(outcome.answeredMs),
    seconds(outcome.convergedMs),
    outcome.verdict,
  ]);
  const head = ['scenario', 'network', 'tapped', 'acked', 'counted', 'stored', 'resent', 'reconn.', 'moved', 'claims', 'answered s', 'converged s', 'verdict'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  console.log('');
  for (const row of [head, ...rows]) {
    console.log(row.map((cell, column) => (column < 2 || column === row.length - 1 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  ').trimEnd());
  }
}

function seconds(ms: number | null): string {
  return ms === null ? '–' : (ms / 1000).toFixed(1);
}
