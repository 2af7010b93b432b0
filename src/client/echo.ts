/**
 * The totals that a viewer sees: the region's, and the viewer's own taps at once. Pure.
 *
 * An own tap moves its number immediately, and is part of it exactly once: as echo, until a frame holds
 * it [SDK-8]. Answers and frames may cross, so for a moment an own tap can seem to be in both or in
 * neither; a number therefore stands rather than falls, and what really is less after `HOLD_MS` (a tap
 * that was clamped, a region that knows less) is approached in steps. Only what a frame says was taken back falls at
 * once, and by no more than that [SDK-19].
 */

import type { BatchMessage } from '../protocol/messages.ts';
import type { Totals } from './client-types.ts';

/** How long a number stands before it falls: frames come at least that often. */
export const HOLD_MS = 2_500;

/** What is shown too much is halved in this time. */
const HALVED_MS = 250;

interface Count {
  /** As the region says. */
  total: number;
  /** Own taps that are not answered yet. */
  unanswered: number;
  /** Own taps that are counted, and that the next frame holds. */
  landing: number;
  shown: number;
  /** Since when more is shown than there is; Infinity when not. */
  aheadSince: number;
}

export class Echo {
  readonly #counts = new Map<string, Count>();
  #totals: Totals = Object.freeze({});
  #shownAt = 0;

  /** What to show: the same object as long as nothing changed. */
  get totals(): Totals {
    return this.#totals;
  }

  tap(emoji: string, count: number): void {
    const entry = this.#countOf(emoji);
    entry.unanswered += count;
    entry.shown += count;
    this.#publish();
  }

  /** Own taps were answered: of them `accepted` count, the others do not. */
  settle(reactions: BatchMessage['reactions'], accepted: number): void {
    let left = accepted;
    for (const { emoji_id, count } of reactions) {
      const entry = this.#countOf(emoji_id);
      const landed = Math.min(count, left);
      left -= landed;
      entry.unanswered = Math.max(0, entry.unanswered - count);
      entry.landing += landed;
    }
  }

  /** What the region counts now, and what was taken back since the last frame. A `welcome` may be older than the last answer, a frame is not. */
  show(totals: Totals, isFrame: boolean, nowMs: number, takenBack = 0): void {
    for (const emoji of Object.keys(totals)) this.#countOf(emoji);
    for (const [emoji, entry] of this.#counts) {
      // An emoji may be called `constructor`, which every object inherits.
      entry.total = Object.hasOwn(totals, emoji) ? totals[emoji]! : 0;
      if (isFrame) entry.landing = 0;
      const truth = entry.total + entry.unanswered + entry.landing;
      entry.shown = Math.max(truth, entry.shown - takenBack);
      if (truth === entry.shown) entry.aheadSince = Infinity;
      else if (entry.aheadSince === Infinity) entry.aheadSince = nowMs;
      else if (nowMs - entry.aheadSince >= HOLD_MS) {
        entry.shown -= Math.ceil((entry.shown - truth) * (1 - 0.5 ** ((nowMs - this.#shownAt) / HALVED_MS)));
      }
    }
    this.#shownAt = nowMs;
    this.#publish();
  }

  #countOf(emoji: string): Count {
    let entry = this.#counts.get(emoji);
    if (entry === undefined) {
      this.#counts.set(emoji, (entry = { total: 0, unanswered: 0, landing: 0, shown: 0, aheadSince: Infinity }));
    }
    return entry;
  }

  #publish(): void {
    const next: Record<string, number> = {};
    let hasChanged = false;
    for (const [emoji, { shown }] of this.#counts) {
      next[emoji] = shown;
      if (!Object.hasOwn(this.#totals, emoji) || this.#totals[emoji] !== shown) hasChanged = true;
    }
    if (hasChanged) this.#totals = Object.freeze(next);
  }
}
