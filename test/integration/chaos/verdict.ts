/**
 * The verdict on a scenario: acknowledged = counted in every region = stored, or what its documented exception admits, and no
 * more than that. Each group of viewers has an emoji of its own and is judged by itself, so that what one of them has lost is
 * not made good by what another one has too much. Pure.
 */

import { compareBooks, totalsOf } from '../../../src/cli/audit/compare-books.ts';
import type { Books, Entry } from '../../../src/cli/audit/books.ts';
import type { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import { judge } from '../../../src/cli/load/verdict.ts';

/** What SPEC says is not promised, with its bound. */
export interface Exception {
  readonly text: string;
  /** Of the taps that this region acknowledged alone; those of the others are counted and stored to the tap. */
  readonly region: string;
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

/** `tapsOf` answers how many taps of an emoji the excused region acknowledged in that many seconds before the loss. */
export function judgeScenario(
  truth: GroundTruth,
  books: readonly Books[],
  exception: Exception | undefined,
  tapsOf: (emoji: string, seconds: number) => number,
): ChaosVerdict {
  const { balanced, counts, problems } = judge(truth, [], books, true);
  const [inRegions, inDatabase] = [counts.filter(({ who }) => !isStored(who)), counts.filter(({ who }) => isStored(who))];
  const totals = { counted: least(inRegions), stored: least(inDatabase) };
  if (balanced || exception === undefined) return { balanced, problems, admitted: { lost: 0, double: 0, storedLost: 0 }, ...totals };
  const { region, storedLostSeconds = 0, lostSeconds = 0, doubleSeconds = 0 } = exception;
  const counted = gapsInCounts(truth, books);
  const stored = gapsInDatabase(books, region);
  const beyond = [
    ...compareBooks(books, false).differences.map(({ text }) => text),
    ...compareBooks(books.map((each) => withoutActorsOf(region, each))).differences.filter(({ kind }) => kind === 'stored' || kind === 'unknown').map(({ text }) => text),
    ...exceeding('lost', counted.missing, (emoji) => tapsOf(emoji, lostSeconds)),
    ...exceeding('counted twice', counted.surplus, (emoji) => tapsOf(emoji, doubleSeconds)),
    ...exceeding('missing in the database', stored.missing, (emoji) => tapsOf(emoji, storedLostSeconds)),
    // The database may have heard of what peers had not.
    ...exceeding('stored and not counted', stored.surplus, (emoji) => tapsOf(emoji, lostSeconds)),
    ...(truth.inDoubt > 0 ? [`${truth.inDoubt} taps are in doubt: sent, and never answered`] : []),
  ];
  const admitted = { lost: total(counted.missing), double: total(counted.surplus), storedLost: total(stored.missing) };
  return { balanced: false, problems: beyond, admitted, ...totals };
}

/** By emoji. */
interface Gaps {
  readonly missing: ReadonlyMap<string, number>;
  readonly surplus: ReadonlyMap<string, number>;
}

/** What was acknowledged, against the region that differs most. */
function gapsInCounts(truth: GroundTruth, books: readonly Books[]): Gaps {
  const [missing, surplus] = [new Map<string, number>(), new Map<string, number>()];
  const expected = truth.byEmoji();
  for (const { entries } of books) {
    const totals = totalsOf(entries);
    for (const emoji of new Set([...expected.keys(), ...Object.keys(totals)])) {
      const { min, max } = expected.get(emoji) ?? { min: 0, max: 0 };
      const found = totals[emoji] ?? 0;
      missing.set(emoji, Math.max(missing.get(emoji) ?? 0, min - found));
      surplus.set(emoji, Math.max(surplus.get(emoji) ?? 0, found - max));
    }
  }
  return { missing, surplus };
}

/** What the regions agree on of a region's actors, against the database: entry by entry, so that nothing makes up for anything. */
function gapsInDatabase(books: readonly Books[], region: string): Gaps {
  const [missing, surplus] = [new Map<string, number>(), new Map<string, number>()];
  const counted = joined(books.map(({ entries }) => entries), region);
  const stored = joined(books.map((each) => ('unknown' in each.stored ? [] : each.stored)), region);
  for (const key of new Set([...counted.keys(), ...stored.keys()])) {
    const emoji = key.slice(key.indexOf(' ') + 1);
    for (const field of ['increments', 'decrements'] as const) {
      const gap = (counted.get(key)?.[field] ?? 0) - (stored.get(key)?.[field] ?? 0);
      missing.set(emoji, (missing.get(emoji) ?? 0) + Math.max(0, gap));
      surplus.set(emoji, (surplus.get(emoji) ?? 0) + Math.max(0, -gap));
    }
  }
  return { missing, surplus };
}

function joined(lists: readonly (readonly Entry[])[], region: string): Map<string, Pick<Entry, 'increments' | 'decrements'>> {
  const entries = new Map<string, Pick<Entry, 'increments' | 'decrements'>>();
  for (const { actor, emoji, increments, decrements } of lists.flat()) {
    if (!isOf(region, actor)) continue;
    const key = `${actor} ${emoji}`;
    const held = entries.get(key) ?? { increments: 0, decrements: 0 };
    entries.set(key, { increments: Math.max(held.increments, increments), decrements: Math.max(held.decrements, decrements) });
  }
  return entries;
}

function withoutActorsOf(region: string, books: Books): Books {
  const others = (entries: readonly Entry[]): Entry[] => entries.filter(({ actor }) => !isOf(region, actor));
  return { ...books, entries: others(books.entries), stored: 'unknown' in books.stored ? books.stored : others(books.stored) };
}

function exceeding(what: string, found: ReadonlyMap<string, number>, boundOf: (emoji: string) => number): string[] {
  return [...found]
    .map(([emoji, taps]) => ({ emoji, taps, bound: boundOf(emoji) }))
    .filter(({ taps, bound }) => taps > bound)
    .map(({ emoji, taps, bound }) => `${taps} taps of ${emoji} are ${what}, and ${bound} at most may be`);
}

const isOf = (region: string, actor: string): boolean => actor.startsWith(`${region}/`);
const isStored = (who: string): boolean => who.startsWith('stored');
const least = (counts: readonly { readonly counted: number }[]): number => (counts.length === 0 ? 0 : Math.min(...counts.map(({ counted }) => counted)));
const total = (gaps: ReadonlyMap<string, number>): number => [...gaps.values()].reduce((sum, gap) => sum + gap, 0);
