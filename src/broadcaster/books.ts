/** Tallies as plain values: what each region counted, what was taken back, and every actor's entry. Pure. */

import { regionOf } from '../../crdt/actor.ts';
import type { EmojiId } from '../../crdt/ids.ts';
import type { Tally } from '../../crdt/tally.ts';
import { compareText } from '../base/compare.ts';
import type { BookEntry } from './frame-feed.ts';
import type { Counts } from './frame.ts';

export function countsByRegion(tally: Tally | undefined): Counts {
  const counts = new Map<EmojiId, Map<string, number>>();
  for (const [emoji, counter] of tally?.counters() ?? []) {
    const byRegion = new Map<string, number>();
    for (const [actor, { increments, decrements }] of counter.entries()) {
      const region = regionOf(actor);
      byRegion.set(region, (byRegion.get(region) ?? 0) + increments - decrements);
    }
    counts.set(emoji, byRegion);
  }
  return counts;
}

/** Taps of all emoji that were counted and taken back again, by whomever and whyever: Σ decrements [FRAME-13]. */
export function takenBack(tally: Tally | undefined): number {
  let taps = 0;
  for (const [, { decrements }] of tally?.counters() ?? []) taps += decrements;
  return taps;
}

/** In one order wherever they are read, so that the books of two regions can be compared line by line. */
export function bookEntries(tally: Tally | undefined): BookEntry[] {
  const entries: BookEntry[] = [];
  for (const [emoji, counter] of tally?.counters() ?? []) {
    for (const [actor, { increments, decrements }] of counter.entries()) {
      entries.push({ actor, emoji, increments, decrements });
    }
  }
  return entries.sort((one, other) => compareText(one.actor, other.actor) || compareText(one.emoji, other.emoji));
}
