/**
 * The frame: from the counts of a stream now and what was shown before to what is shown next. Pure.
 *
 * Totals are always exact. What moves on screen is not allowed to jump: `hints`, the reactions to
 * show as new, are capped by what the crowd did lately, and what a region that was cut off brings
 * all at once is not taken for applause of this very moment.
 */

import type { EmojiId } from '../../crdt/ids.ts';
import { smoothRate } from './smoothing.ts';

/** Emoji → region → what that region's actors counted of it. */
export type Counts = ReadonlyMap<EmojiId, ReadonlyMap<string, number>>;

/** What the next frame of a stream is compared with. */
export interface Crowd {
  readonly counts: Counts;
  /** Smoothed reactions per second, only those above 0. */
  readonly rates: ReadonlyMap<EmojiId, number>;
}

export interface Tick {
  readonly elapsedMs: number;
  /** Regions whose increase is partly old: they were not heard for a while. */
  readonly lateRegions: ReadonlySet<string>;
  readonly timeConstantMs: number;
}

/** The numbers of a frame, by emoji. */
export interface FrameNumbers {
  readonly totals: Record<string, number>;
  readonly rates: Record<string, number>;
  readonly hints: Record<string, number>;
}

/** So many new reactions of an emoji may be shown in any one frame. */
export const HINTS_MIN = 50;
/** Beyond that, so many times what its smoothed rate lets expect. */
export const HINTS_SURGE = 3;

/** A crowd that nothing is known of but its counts: nothing is new and nothing moves. */
export function quietCrowd(counts: Counts): Crowd {
  return { counts, rates: new Map() };
}

/** What the crowd did in a tick: its next state, and the reactions to show as new. */
export function advanceCrowd(
  before: Crowd,
  counts: Counts,
  tick: Tick,
): { readonly crowd: Crowd; readonly hints: ReadonlyMap<EmojiId, number> } {
  const rates = new Map<EmojiId, number>();
  const hints = new Map<EmojiId, number>();
  for (const [emoji, now] of counts) {
    const rate = before.rates.get(emoji) ?? 0;
    const cap = Math.max(HINTS_MIN, Math.floor((HINTS_SURGE * rate * tick.elapsedMs) / 1000));
    const increase = presentIncrease(before.counts.get(emoji), now, tick.lateRegions, cap);
    const next = smoothRate(rate, increase, tick.elapsedMs, tick.timeConstantMs);
    if (next > 0) rates.set(emoji, next);
    if (increase > 0) hints.set(emoji, Math.min(increase, cap));
  }
  return { crowd: { counts, rates }, hints };
}

export function totalOf(byRegion: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const count of byRegion.values()) total += count;
  return total;
}

/**
 * The numbers of a frame as plain objects, in the palette's order. Emoji that are not in the palette
 * (any more) follow. Rates and hints that are 0 are left out.
 */
export function frameNumbers(
  palette: Iterable<EmojiId>,
  crowd: Crowd,
  hints: ReadonlyMap<EmojiId, number>,
): FrameNumbers {
  const numbers: FrameNumbers = { totals: {}, rates: {}, hints: {} };
  for (const emoji of new Set([...palette, ...crowd.counts.keys()])) {
    const byRegion = crowd.counts.get(emoji);
    if (byRegion === undefined) continue;
    numbers.totals[emoji] = totalOf(byRegion);
    const rate = Math.round((crowd.rates.get(emoji) ?? 0) * 10) / 10;
    if (rate > 0) numbers.rates[emoji] = rate;
    const hint = hints.get(emoji) ?? 0;
    if (hint > 0) numbers.hints[emoji] = hint;
  }
  return numbers;
}

/**
 * The numbers of a frame for who shows hearts and nothing else: what moves on screen is one rate and one number of new reactions, of
 * all emoji together, under the first of the totals. Totals stay whole: they are no show, and players keep them [LOAD-5].
 */
export function foldNumbers({ totals, rates, hints }: FrameNumbers): FrameNumbers {
  const [first] = Object.keys(totals);
  const fold = (numbers: Readonly<Record<string, number>>): Record<string, number> => {
    const sum = Object.values(numbers).reduce((all, each) => all + each, 0);
    return first === undefined || sum === 0 ? {} : { [first]: Math.round(sum * 10) / 10 };
  };
  return { totals, rates: fold(rates), hints: fold(hints) };
}

/**
 * The increase that belongs to the present. Regions are netted against each other, because what one
 * region claims another one gives back; late regions add at most `cap`.
 */
function presentIncrease(
  before: ReadonlyMap<string, number> | undefined,
  now: ReadonlyMap<string, number>,
  lateRegions: ReadonlySet<string>,
  cap: number,
): number {
  let live = 0;
  let late = 0;
  for (const [region, count] of now) {
    const increase = count - (before?.get(region) ?? 0);
    if (lateRegions.has(region)) late += increase;
    else live += increase;
  }
  return Math.max(0, live + Math.min(late, cap));
}
