/**
 * Corrections: what this actor has taken back, by the windows in which it had been counted.
 *
 * A window of the database is a maximum per actor, so the number that is told for one is always all that
 * this actor has ever taken back from it [WIN-15]. A life has an actor of its own and starts at nothing. What can no
 * longer be taken back needs no number any more, so this is bounded by the contributions that are kept.
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { windowStartOf } from '../base/window.ts';
import type { Correction } from '../hot-store/hot-store.ts';

type Mutable = { -readonly [Field in keyof Correction]: Correction[Field] };

/** Two integers and headers, beside stream and emoji. */
const CORRECTION_BYTES = 9 + 9 + 3 + 8;

export class Corrections {
  readonly #windows = new Map<number, Map<string, Mutable>>();
  readonly #changed = new Set<Mutable>();
  #changedBytes = 0;

  /** An upper bound of the encoded size of those that changed. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  /** Adds taps that are taken back, and that had been counted at a time. */
  add(stream: StreamId, emoji: EmojiId, countedAt: number, taps: number): void {
    const windowStart = windowStartOf(countedAt);
    let window = this.#windows.get(windowStart);
    if (window === undefined) this.#windows.set(windowStart, (window = new Map()));
    const key = `${stream} ${emoji}`;
    let correction = window.get(key);
    if (correction === undefined) window.set(key, (correction = { stream, emoji, windowStart, decrements: 0 }));
    correction.decrements += taps;
    if (this.#changed.has(correction)) return;
    this.#changed.add(correction);
    this.#changedBytes += correctionBytesMax(correction);
  }

  takeChanged(): Correction[] {
    const taken = [...this.#changed].map((correction) => ({ ...correction }));
    this.#changed.clear();
    this.#changedBytes = 0;
    return taken;
  }

  *all(): Generator<Correction> {
    for (const window of this.#windows.values()) for (const correction of window.values()) yield { ...correction };
  }

  /** Nothing that was counted before this time can be taken back any more. */
  forgetBefore(timeMs: number): void {
    for (const windowStart of this.#windows.keys()) {
      // What changed and was not taken yet stays in its set.
      if (windowStart < windowStartOf(timeMs)) this.#windows.delete(windowStart);
    }
  }
}

/** An upper bound of what msgpack makes of a correction, its stream told with it. */
export function correctionBytesMax({ stream, emoji }: Correction): number {
  return CORRECTION_BYTES + stream.length + emoji.length;
}
