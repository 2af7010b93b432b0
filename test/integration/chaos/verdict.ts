/**
 * The verdict on a scenario: acknowledged = counted in every region = stored, or what its documented exception admits, and no
 * more than that. Pure.
 */

import { compareBooks } from '../../../src/cli/audit/compare-books.ts';
import type { Books } from '../../../src/cli/audit/books.ts';
import type { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import { judge, type Count } from '../../../src/cli/load/verdict.ts';

/** What SPEC says is not promised, with its bound. */
export interface Exception {
  readonly text: string;
  /** As many taps as were acknowledged in the last seconds before the loss may be missing in the database, */
  readonly storedLostSeconds?: number;
  /** be lost everywhere, */
  readonly lostSeconds?: number;
  /** or be counted twice. */
  readonly doubleSeconds?: number;
}

export interface ChaosVerdict {
  readonly balanced: boolean;
  /** Empty also where only the exception was used. */
  readonly problems: readonly string[];
  /** What the exception had to admit; zeros where nothing. */
  readonly admitted: { readonly storedLost: number; readonly lost: number; readonly double: number };
  /** Taps as all regions count them, and as the database has them; the least of what was answered. */
  readonly counted: number;
  readonly stored: number;
}

/** `tapsOf` answers how many taps were acknowledged in that many seconds before the loss. */
export function judgeScenario(truth: GroundTruth, books: readonly Books[], exception: Exception | undefined, tapsOf: (seconds: number) => number): ChaosVerdict {
  const { balanced, counts, problems } = judge(truth, [], books, true);
  const inRegions = counts.filter(({ who }) => !isStored(who));
  const inDatabase = counts.filter(({ who }) => isStored(who));
  const totals = { counted: least(inRegions), stored: least(inDatabase) };
  const admitted = {
    lost: most(inRegions, 'lost'),
    double: most(inRegions, 'double'),
    storedLost: Math.max(0, totals.counted - totals.stored),
  };
  if (balanced || exception === undefined) return { balanced, problems, admitted, ...totals };
  const { storedLostSeconds = 0, lostSeconds = 0, doubleSeconds = 0 } = exception;
  const beyond = [
    ...compareBooks(books, storedLostSeconds === 0).differences.map(({ text }) => text),
    ...exceeding('lost', admitted.lost, tapsOf(lostSeconds)),
    ...exceeding('counted twice', admitted.double, tapsOf(doubleSeconds)),
    ...exceeding('missing in the database', admitted.storedLost, tapsOf(storedLostSeconds)),
    ...(truth.inDoubt > 0 ? [`${truth.inDoubt} taps are in doubt: sent, and never answered`] : []),
    ...(inDatabase.length < books.length ? ['the database does not answer'] : []),
  ];
  return { balanced: false, problems: beyond, admitted, ...totals };
}

function exceeding(what: string, found: number, bound: number): string[] {
  return found > bound ? [`${found} taps are ${what}, and ${bound} at most may be`] : [];
}

const isStored = (who: string): boolean => who.startsWith('stored');
const least = (counts: readonly Count[]): number => (counts.length === 0 ? 0 : Math.min(...counts.map(({ counted }) => counted)));
const most = (counts: readonly Count[], what: 'lost' | 'double'): number => Math.max(0, ...counts.map((count) => count[what]));
