/** The inbox: batches that wait for their commit, first in first out, bounded. */

import type { Batch, IngestReply } from './ingest.ts';

export interface Waiting {
  readonly batch: Batch;
  readonly done: (reply: IngestReply) => void;
  /** When it came. */
  readonly at: number;
}

export class Inbox {
  readonly #sizeMax: number;
  /** Filled at the end, while `#front` is emptied from its start: no shifting, no copying. */
  #back: Waiting[] = [];
  #front: Waiting[] = [];
  #taken = 0;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get size(): number {
    return this.#back.length + this.#front.length - this.#taken;
  }

  /** False when it is full. */
  put(waiting: Waiting): boolean {
    if (this.size >= this.#sizeMax) return false;
    this.#back.push(waiting);
    return true;
  }

  /** When the batch came that waits longest; Infinity when none does. */
  get oldestAt(): number {
    return (this.#front[this.#taken] ?? this.#back[0])?.at ?? Infinity;
  }

  /** The next batches that `take` will answer, at most so many. */
  peek(countMax: number): Batch[] {
    const front = this.#front.slice(this.#taken, this.#taken + countMax);
    const next = front.length < countMax ? front.concat(this.#back.slice(0, countMax - front.length)) : front;
    return next.map(({ batch }) => batch);
  }

  take(): Waiting | undefined {
    if (this.#taken === this.#front.length) {
      this.#front = this.#back;
      this.#back = [];
      this.#taken = 0;
    }
    return this.#taken < this.#front.length ? this.#front[this.#taken++] : undefined;
  }
}
