/** What a run says: a progress line, a page for people, an object for machines. Pure. */

import type { Percentiles } from './latencies.ts';
import type { LoadProgress, LoadResult } from './run-load.ts';

const PROBLEMS_SHOWN_MAX = 20;

export function formatProgress({ phase, elapsedMs, open, truth, tapToAck }: LoadProgress): string {
  const ack = tapToAck === null ? '' : `, ack p99 ${tapToAck.p99Ms} ms`;
  const waiting = truth.tapped - truth.acknowledged - truth.clamped - truth.refused;
  const seconds = (elapsedMs / 1000).toFixed(0);
  return `${seconds} s  ${phase}: ${open} connected, ${truth.tapped} tapped, ${truth.acknowledged} acknowledged, ${waiting} under way${ack}`;
}

export function formatResult(result: LoadResult): string {
  const { truth, verdict } = result;
  const seconds = result.tappingMs / 1000;
  const lines = [
    `Stream ${result.stream}: ${result.viewers} viewers in ${result.regions.join(', ')}, ${seconds.toFixed(1)} s, ${result.reconnects} reconnects`,
    '',
    `  tapped         ${number(truth.tapped)}  (${number(Math.round(truth.tapped / seconds))} a second)`,
    `  acknowledged   ${number(truth.acknowledged)}  in ${truth.batches} batches, ${truth.duplicates} of them resent and counted before`,
    `  clamped        ${number(truth.clamped)}`,
    `  refused        ${number(truth.refused)}${reasons(truth.refusals())}`,
    `  in doubt       ${number(truth.inDoubt)}`,
    '',
    ...verdict.counts.map(
      ({ who, counted, lost, double }) => `  counted        ${number(counted)}  ${lost} lost, ${double} double  ${who}`,
    ),
    '',
    `  tap → ack      ${latency(result.tapToAck)}`,
    `  tap → frame    ${latency(result.tapToFrame)}`,
    `  … other region ${latency(result.tapToFrameAbroad)}`,
    '',
  ];
  for (const problem of verdict.problems.slice(0, PROBLEMS_SHOWN_MAX)) lines.push(`  ${problem}`);
  const hidden = verdict.problems.length - PROBLEMS_SHOWN_MAX;
  if (hidden > 0) lines.push(`  … and ${hidden} more`);
  lines.push(verdict.balanced ? 'The books balance.' : 'The books do not balance.');
  return lines.join('\n');
}

export function resultAsJson(result: LoadResult): object {
  const { truth, verdict } = result;
  return {
    balanced: verdict.balanced,
    stream: result.stream,
    regions: result.regions,
    viewers: result.viewers,
    reconnects: result.reconnects,
    tapping_ms: Math.round(result.tappingMs),
    tapped: truth.tapped,
    batches: truth.batches,
    acknowledged: truth.acknowledged,
    duplicates: truth.duplicates,
    clamped: truth.clamped,
    refused: truth.refused,
    refusals: truth.refusals(),
    in_doubt: truth.inDoubt,
    counts: verdict.counts,
    problems: verdict.problems,
    tap_to_ack_ms: inMs(result.tapToAck),
    tap_to_frame_ms: inMs(result.tapToFrame),
    tap_to_frame_other_region_ms: inMs(result.tapToFrameAbroad),
  };
}

function inMs(percentiles: Percentiles | null): object | null {
  if (percentiles === null) return null;
  const { count, p50Ms, p95Ms, p99Ms, maxMs } = percentiles;
  return { count, p50: p50Ms, p95: p95Ms, p99: p99Ms, max: maxMs };
}

function latency(percentiles: Percentiles | null): string {
  if (percentiles === null) return 'not measured';
  const { count, p50Ms, p95Ms, p99Ms, maxMs } = percentiles;
  return `p50 ${p50Ms} ms, p95 ${p95Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms (${count})`;
}

function number(value: number): string {
  return value.toLocaleString('en-US').padStart(11);
}

function reasons(refusals: Readonly<Record<string, number>>): string {
  const list = Object.entries(refusals).map(([code, count]) => `${code} ${count}`);
  return list.length === 0 ? '' : `  (batches: ${list.join(', ')})`;
}
