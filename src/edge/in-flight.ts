/**
 * A socket's batches on their way to an answer: sequence → when it was submitted.
 *
 * There are at most `BATCHES_IN_FLIGHT_MAX` and usually one. Two short lists, searched from the start,
 * whose places are used again, cost no garbage; a `Map` makes itself a new table after every few changes.
 */

/** In a place that is free. Sequences start at 1. */
const FREE = 0;

export class InFlight {
  readonly #sequences: number[] = [];
  readonly #submittedAt: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(sequence: number): boolean {
    return this.#sequences.includes(sequence);
  }

  add(sequence: number, at: number): void {
    const free = this.#sequences.indexOf(FREE);
    const place = free < 0 ? this.#sequences.length : free;
    this.#sequences[place] = sequence;
    this.#submittedAt[place] = at;
    this.#size += 1;
  }

  /** Removes a batch and answers when it was submitted; undefined when it is not in flight. */
  take(sequence: number): number | undefined {
    const place = this.#sequences.indexOf(sequence);
    if (place < 0) return undefined;
    this.#sequences[place] = FREE;
    this.#size -= 1;
    return this.#submittedAt[place];
  }

  /** Removes the batches that were submitted at this time or earlier, and answers their sequences. */
  takeUpTo(time: number): number[] {
    const late = this.#sequences.filter((sequence, place) => sequence !== FREE && this.#submittedAt[place]! <= time);
    for (const sequence of late) this.take(sequence);
    return late;
  }
}
