/** The streams whose counts changed last, for those who ask what is going on. Pure, and bounded. */

import type { StreamId } from '../../crdt/ids.ts';

export class RecentStreams implements Iterable<StreamId> {
  readonly #max: number;
  /** Oldest first. */
  readonly #streams = new Set<StreamId>();

  /** Beyond `max` the one that has been quiet for longest is dropped. */
  constructor(max: number) {
    this.#max = max;
  }

  note(stream: StreamId): void {
    this.#streams.delete(stream);
    this.#streams.add(stream);
    for (const oldest of this.#streams) {
      if (this.#streams.size <= this.#max) break;
      this.#streams.delete(oldest);
    }
  }

  forget(stream: StreamId): void {
    this.#streams.delete(stream);
  }

  [Symbol.iterator](): IterableIterator<StreamId> {
    return this.#streams.values();
  }
}
