/**
 * Looking ahead: what the next batches will read of the state is brought near before they are counted.
 *
 * With a hundred thousand sessions nearly all of a batch's time is spent waiting for memory: the session, its viewer, one
 * after the other. Of many batches at once the waits overlap. What is found is a guess and changes nothing: `step` makes sure
 * of it, and finds what was guessed wrong as if nobody had looked.
 */

import { GUESSES_MAX } from '../base/slot-table.ts';
import type { Batch } from './ingest.ts';
import type { ShardState } from './shard-state.ts';

/** So many batches are looked at at once. */
export const BATCHES_AHEAD = GUESSES_MAX;

export class LookAhead {
  readonly #slots = new Int32Array(BATCHES_AHEAD);
  readonly #scopes = new Int32Array(BATCHES_AHEAD);
  readonly #buckets = new Int32Array(BATCHES_AHEAD);
  readonly #sessions: string[] = Array.from({ length: BATCHES_AHEAD }, () => '');
  readonly #viewers: string[] = Array.from({ length: BATCHES_AHEAD }, () => '');

  /** At most `BATCHES_AHEAD` batches, in the order in which they will be counted. */
  look({ counts, sessions, judge }: ShardState, batches: readonly Batch[]): void {
    for (let index = 0; index < batches.length; index++) {
      const { stream, session, viewer } = batches[index]!;
      this.#scopes[index] = counts.find(stream)?.scope ?? 0;
      this.#sessions[index] = session ?? '';
      this.#viewers[index] = viewer;
    }
    sessions.guess(batches.length, this.#scopes, this.#sessions, this.#slots, this.#buckets);
    judge.touch(batches.length, this.#buckets, this.#viewers);
  }

  /** The slot that the session of a batch probably has, −1 when it has none; by the batch's place among those looked at last. */
  slotOf(index: number): number {
    return this.#slots[index]!;
  }
}
