/**
 * The comparison of books: do all regions, the database and the acknowledgements say the same? Pure.
 *
 * The truth that each is held against is the join of all: of every entry the highest value that any
 * region holds, which is what the regions would agree on if they could all speak to each other.
 */

import type { Books, Entry } from './books.ts';

export interface Difference {
  readonly kind: 'digest' | 'entry' | 'stored' | 'acknowledged' | 'unknown' | 'empty';
  /** What differs, in words. */
  readonly text: string;
}

export interface Comparison {
  readonly differences: readonly Difference[];
  /** What may be wrong although all agree. */
  readonly warnings: readonly string[];
  /** Emoji → increments − decrements, of the join of all regions. */
  readonly totals: Readonly<Record<string, number>>;
  readonly total: number;
  readonly entryCount: number;
}

type EntryMap = ReadonlyMap<string, Entry>;

/** `compareStored` is false where there is no database to compare with. */
export function compareBooks(books: readonly Books[], compareStored = true): Comparison {
  const truth = joinEntries(books.map((each) => each.entries));
  const differences: Difference[] = [];
  for (const each of books) {
    differences.push(...compareEntries('entry', each.region, truth, joinEntries([each.entries])));
    if (compareStored) differences.push(...compareDatabase(each, truth));
    differences.push(...compareAcknowledged(each));
  }
  const digests = new Set(books.map((each) => each.digest));
  if (digests.size > 1 && differences.every(({ kind }) => kind !== 'entry')) {
    const list = books.map((each) => `${each.region} ${each.digest}`).join(', ');
    differences.push({ kind: 'digest', text: `the digests differ although the entries do not: ${list}` });
  }
  const totals = totalsOf([...truth.values()]);
  return { differences, warnings: books.flatMap(warningsOf), totals, total: sum(Object.values(totals)), entryCount: truth.size };
}

function warningsOf({ region, claimsInDoubt = 0 }: Books): string[] {
  if (claimsInDoubt === 0) return [];
  const batches = claimsInDoubt === 1 ? 'one batch' : `${claimsInDoubt} batches`;
  return [`${region} could not settle whether another region has counted ${batches} as well, of some stream: what moved there may count twice`];
}

/** Emoji → increments − decrements. */
export function totalsOf(entries: readonly Entry[]): Record<string, number> {
  const totals = new Map<string, number>();
  for (const { emoji, increments, decrements } of entries) {
    totals.set(emoji, (totals.get(emoji) ?? 0) + increments - decrements);
  }
  return Object.fromEntries([...totals].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function compareDatabase({ region, stored }: Books, truth: EntryMap): Difference[] {
  if ('unknown' in stored) {
    return [{ kind: 'unknown', text: `${region} cannot tell what is stored: ${stored.unknown}` }];
  }
  return compareEntries('stored', `the database asked by ${region}`, truth, joinEntries([stored]));
}

function compareAcknowledged({ region, actor, actors = [actor], acknowledged, entries }: Books): Difference[] {
  const counted = sum(entries.filter((entry) => actors.includes(entry.actor)).map((entry) => entry.increments));
  if (counted === acknowledged) return [];
  return [{ kind: 'acknowledged', text: `${region} acknowledged ${acknowledged} taps as ${actors.join(', ')} and counted ${counted}` }];
}

function compareEntries(kind: Difference['kind'], who: string, truth: EntryMap, held: EntryMap): Difference[] {
  const differences: Difference[] = [];
  for (const key of new Set([...truth.keys(), ...held.keys()])) {
    const { actor, emoji } = (truth.get(key) ?? held.get(key))!;
    const expected = show(truth.get(key));
    const found = show(held.get(key));
    if (expected !== found) {
      differences.push({ kind, text: `${who} holds ${found} ${emoji} of ${actor} instead of ${expected}` });
    }
  }
  return differences;
}

/** Of each actor and emoji the highest; an entry of zeros is no entry. */
function joinEntries(lists: readonly (readonly Entry[])[]): EntryMap {
  const joined = new Map<string, Entry>();
  for (const entry of lists.flat()) {
    if (entry.increments === 0 && entry.decrements === 0) continue;
    const key = `${entry.actor} ${entry.emoji}`;
    const held = joined.get(key);
    joined.set(key, {
      ...entry,
      increments: Math.max(entry.increments, held?.increments ?? 0),
      decrements: Math.max(entry.decrements, held?.decrements ?? 0),
    });
  }
  return joined;
}

function show(entry: Entry | undefined): string {
  if (entry === undefined) return '0';
  return entry.decrements === 0 ? String(entry.increments) : `${entry.increments} − ${entry.decrements}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
