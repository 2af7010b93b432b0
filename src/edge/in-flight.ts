/**
 * A socket's batches on their way to an answer: sequence → the session it is of, and when it was submitted.
 *
 * There are at most `BATCHES_IN_FLIGHT_MAX` and usually one. Three short lists, searched from the start,
 * whose places are used again, cost no garbage; a `Map` makes itself a new table after every few changes.
 */

/** In a place that is free. Sequences start at 1. */
const FREE = 0;

export class InFlight {
  readonly #sequences: number[] = [];
  readonly #sessions: string[] = [];
  readonly #submittedAt: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The session in which a batch of this sequence is in flight; undefined when there is none. */
  sessionOf(sequence: number): string | undefined {
    const place = this.#sequences.indexOf(sequence);
    return place < 0 ? undefined : this.#sessions[place];
  }

  add(sequence: number, session: string, at: number): void {
    const free = this.#sequences.indexOf(FREE);
    const place = free < 0 ? this.#sequences.length : free;
    this.#sequences[place] = sequence;
    this.#sessions[place] = session;
    this.#submittedAt[place] = at;
    this.#size += 1;
  }

  /** Removes a batch and answers when it was submitted; undefined when it is not in flight. */
  take(sequence: number, session: string): number | undefined {
    const place = this.#sequences.indexOf(sequence);
    if (place < 0 || this.#sessions[place] !== session) return undefined;
    this.#sequences[place] = FREE;
    this.#size -= 1;
    return this.#submittedAt[place];
  }

  /** Removes the batches that were submitted at this time or earlier, and answers their sequences. */
  takeUpTo(time: number): number[] {
    const late = this.#sequences.filter((sequence, place) => sequence !== FREE && this.#submittedAt[place]! <= time);
    for (const sequence of late) this.take(sequence, this.sessionOf(sequence)!);
    return late;
  }
}
