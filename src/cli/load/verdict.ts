/**
 * The verdict of a run: acknowledged = counted in every region = stored? Pure.
 *
 * What was in the books before the run is subtracted, so a stream may be used again.
 */

import type { Books } from '../audit/books.ts';
import { compareBooks, totalsOf } from '../audit/compare-books.ts';
import type { GroundTruth } from './ground-truth.ts';

export interface Count {
  /** A region, or the database as a region sees it. */
  readonly who: string;
  readonly counted: number;
  /** Acknowledged and missing. */
  readonly lost: number;
  /** Counted beyond what was acknowledged or is in doubt. */
  readonly double: number;
}

export interface Verdict {
  readonly balanced: boolean;
  readonly counts: readonly Count[];
  readonly problems: readonly string[];
}

export function judge(truth: GroundTruth, before: readonly Books[], after: readonly Books[], compareStored: boolean): Verdict {
  const baseline = compareBooks(before, false).totals;
  const { differences } = compareBooks(after, compareStored);
  const counts: Count[] = [];
  const problems = differences.map(({ text }) => text);
  const check = (who: string, totals: Readonly<Record<string, number>>): void => {
    const counted = subtract(totals, baseline);
    counts.push(count(who, truth, counted));
    problems.push(...compareEmoji(who, truth, counted));
  };
  for (const { region, entries, stored } of after) {
    check(region, totalsOf(entries));
    if (compareStored && !('unknown' in stored)) check(`stored, asked by ${region}`, totalsOf(stored));
  }
  if (truth.inDoubt > 0) problems.push(`${truth.inDoubt} taps are in doubt: sent, and never answered`);
  return { balanced: problems.length === 0, counts, problems };
}

function count(who: string, truth: GroundTruth, counted: ReadonlyMap<string, number>): Count {
  const total = [...counted.values()].reduce((sum, value) => sum + value, 0);
  const { min, max } = truth.total();
  return { who, counted: total, lost: Math.max(0, min - total), double: Math.max(0, total - max) };
}

function compareEmoji(who: string, truth: GroundTruth, counted: ReadonlyMap<string, number>): string[] {
  const expected = truth.byEmoji();
  const problems: string[] = [];
  for (const emoji of new Set([...expected.keys(), ...counted.keys()])) {
    const { min, max } = expected.get(emoji) ?? { min: 0, max: 0 };
    const found = counted.get(emoji) ?? 0;
    if (found < min) problems.push(`${who}: ${min - found} taps of ${emoji} are lost (${found} of ${min})`);
    if (found > max) problems.push(`${who}: ${found - max} taps of ${emoji} too many (${found} instead of ${max})`);
  }
  const total = [...counted.values()].reduce((sum, value) => sum + value, 0);
  const { min, max } = truth.total();
  if (problems.length === 0 && (total < min || total > max)) {
    problems.push(`${who}: ${total} taps in all instead of ${min === max ? min : `${min} to ${max}`}`);
  }
  return problems;
}

function subtract(totals: Readonly<Record<string, number>>, baseline: Readonly<Record<string, number>>): ReadonlyMap<string, number> {
  return new Map(Object.entries(totals).map(([emoji, total]) => [emoji, total - (baseline[emoji] ?? 0)]));
}
