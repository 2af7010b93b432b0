/**
 * What the window queue has taken and the database has not: kept at hand, so that a queue which loses what it took is filled
 * again, and so that an actor's mark says what is stored rather than what is queued. Pure.
 *
 * Bounded: a database that is down for long leaves the oldest to the queue alone, and they are counted.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { WindowRecord } from './window-record.ts';
import type { ClosedWindow } from './windows.ts';

const UNSTORED_RECORDS_MAX = 100_000;

export class UnstoredWindows {
  /** In the order in which they came; several of a window that was corrected later. */
  readonly #windows = new Map<string, ClosedWindow[]>();
  /** How many there are of each second in which they were committed. */
  readonly #seconds = new Map<ActorId, Map<number, number>>();
  readonly #recordsMax: number;
  #size = 0;
  #letGo = 0;

  constructor(recordsMax = UNSTORED_RECORDS_MAX) {
    this.#recordsMax = recordsMax;
  }

  get size(): number {
    return this.#size;
  }

  /** Records of which only the queue knew since, because there were too many; counted up. */
  get letGo(): number {
    return this.#letGo;
  }

  /** Before the queue is given it: the database may be quicker than the queue's answer. */
  add(window: ClosedWindow): void {
    const key = keyOf(window.record);
    const held = this.#windows.get(key);
    if (held?.includes(window) === true) return;
    if (held === undefined) this.#windows.set(key, [window]);
    else held.push(window);
    this.#count(window, 1);
    if (this.#size > this.#recordsMax) this.#dropOldest();
  }

  /** The database has these records, or greater ones. */
  stored(records: readonly WindowRecord[]): void {
    for (const record of records) {
      const key = keyOf(record);
      const held = this.#windows.get(key);
      if (held === undefined) continue;
      const left = held.filter((window) => !covers(record, window.record));
      if (left.length === held.length) continue;
      for (const window of held) if (!left.includes(window)) this.#count(window, -1);
      if (left.length === 0) this.#windows.delete(key);
      else this.#windows.set(key, left);
    }
  }

  /** The start of the oldest window in which the actor committed something that is not stored; Infinity when all is. */
  oldest(actor: ActorId): number {
    let oldest = Infinity;
    for (const committedIn of this.#seconds.get(actor)?.keys() ?? []) oldest = Math.min(oldest, committedIn);
    return oldest;
  }

  /** Those in which something was committed before this time. */
  *before(timeMs: number): Generator<ClosedWindow> {
    for (const window of this.all()) if (window.committedIn < timeMs) yield window;
  }

  /** All of them, the oldest first. */
  *all(): Generator<ClosedWindow> {
    for (const windows of this.#windows.values()) yield* windows;
  }

  #dropOldest(): void {
    for (const [key, windows] of this.#windows) {
      this.#windows.delete(key);
      for (const window of windows) this.#count(window, -1);
      this.#letGo += windows.length;
      return;
    }
  }

  #count({ record: { actor }, committedIn }: ClosedWindow, change: 1 | -1): void {
    this.#size += change;
    const seconds = this.#seconds.get(actor) ?? new Map<number, number>();
    const count = (seconds.get(committedIn) ?? 0) + change;
    if (count === 0) seconds.delete(committedIn);
    else seconds.set(committedIn, count);
    if (seconds.size === 0) this.#seconds.delete(actor);
    else this.#seconds.set(actor, seconds);
  }
}

function keyOf({ actor, stream, windowStart }: WindowRecord): string {
  return `${actor} ${stream} ${windowStart}`;
}

/** Whether storing one record has stored the other, of the same window, too. */
function covers(stored: WindowRecord, record: WindowRecord): boolean {
  return record.entries.every(({ emoji, increments, decrements }) =>
    stored.entries.some((entry) => entry.emoji === emoji && entry.increments >= increments && entry.decrements >= decrements),
  );
}
