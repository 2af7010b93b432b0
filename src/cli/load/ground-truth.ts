/**
 * The ground truth of a run: what the crowd tapped and what it was told, counted apart from the service.
 *
 * An acknowledgement says how many taps of a batch count, not which. Where a batch of several emoji
 * was clamped, the share of each emoji is therefore a range; the totals are always exact.
 */

export interface Range {
  readonly min: number;
  readonly max: number;
}

export type Reactions = readonly { readonly emoji_id: string; readonly count: number }[];

/** A batch that will never be acknowledged: refused for good, or given up without an answer. */
export type Loss = 'refused' | 'in-doubt';

export class GroundTruth {
  /** Taps by viewers. */
  tapped = 0;
  batches = 0;
  /** Taps acknowledged as counted. */
  acknowledged = 0;
  /** Taps acknowledged as beyond the viewer's limits. */
  clamped = 0;
  /** Batches whose acknowledgement said that an earlier delivery was counted. */
  duplicates = 0;
  /** Taps of batches that the service refused for good: not counted. */
  refused = 0;
  /** Taps of batches without a final answer: counted or not, nobody told. */
  inDoubt = 0;
  readonly #byEmoji = new Map<string, { min: number; max: number }>();
  readonly #refusals = new Map<string, number>();

  tap(count: number): void {
    this.tapped += count;
  }

  acknowledge(reactions: Reactions, accepted: number, clamped: number, duplicate: boolean): void {
    this.batches += 1;
    this.acknowledged += accepted;
    this.clamped += clamped;
    if (duplicate) this.duplicates += 1;
    for (const { emoji_id, count } of reactions) {
      this.#widen(emoji_id, Math.max(0, count - clamped), Math.min(count, accepted));
    }
  }

  lose(reactions: Reactions, loss: Loss, code: string): void {
    this.batches += 1;
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
    for (const { emoji_id, count } of reactions) {
      if (loss === 'refused') {
        this.refused += count;
      } else {
        this.inDoubt += count;
        this.#widen(emoji_id, 0, count);
      }
    }
  }

  /** Of each emoji, how many taps the service may show. */
  byEmoji(): ReadonlyMap<string, Range> {
    return this.#byEmoji;
  }

  /** Of all emoji together, how many taps the service may show; exact when nothing is in doubt. */
  total(): Range {
    return { min: this.acknowledged, max: this.acknowledged + this.inDoubt };
  }

  /** Why batches were refused or given up, by problem name. */
  refusals(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refusals);
  }

  #widen(emoji: string, min: number, max: number): void {
    const range = this.#byEmoji.get(emoji);
    if (range === undefined) {
      this.#byEmoji.set(emoji, { min, max });
    } else {
      range.min += min;
      range.max += max;
    }
  }
}
