/**
 * A tally: the PN-counters of one stream, emoji → actor → (increments, decrements).
 *
 * It is a product of counters, hence itself a join-semilattice; beside them it keeps, per actor, the
 * highest actor sequence whose row was merged, which is a maximum too.
 */

import type { ActorId } from './actor.ts';
import type { EmojiId, StreamId } from './ids.ts';
import { PnCounter } from './pn-counter.ts';
import type { Row, RowEntry } from './row.ts';

/** Told about each entry that a merge moved, with its fields before and after. */
export type EntryObserver = (
  actor: ActorId,
  emoji: EmojiId,
  before: { readonly increments: number; readonly decrements: number },
  after: { readonly increments: number; readonly decrements: number },
) => void;

export class Tally {
  readonly stream: StreamId;
  readonly #counters = new Map<EmojiId, PnCounter>();
  readonly #sequences = new Map<ActorId, number>();

  constructor(stream: StreamId) {
    this.stream = stream;
  }

  counter(emoji: EmojiId): PnCounter | undefined {
    return this.#counters.get(emoji);
  }

  counters(): IterableIterator<[EmojiId, PnCounter]> {
    return this.#counters.entries();
  }

  /** Every actor that has a row here. */
  actors(): IterableIterator<ActorId> {
    return this.#sequences.keys();
  }

  /** The highest actor sequence merged of an actor's rows here; 0 when it has none. */
  sequence(actor: ActorId): number {
    return this.#sequences.get(actor) ?? 0;
  }

  /** Joins one actor's row; true when any counter or the actor's sequence grew. */
  join(row: Row, observe?: EntryObserver): boolean {
    let changed = false;
    for (const { emoji, increments, decrements } of row.entries) {
      // A zero entry is the same as none; it must not leave an empty counter that other replicas lack.
      if (increments === 0 && decrements === 0) continue;
      let counter = this.#counters.get(emoji);
      if (counter === undefined) this.#counters.set(emoji, (counter = new PnCounter()));
      const before = counter.entry(row.actor);
      if (counter.join(row.actor, increments, decrements)) {
        changed = true;
        observe?.(row.actor, emoji, before, counter.entry(row.actor));
      }
    }
    const sequence = this.#sequences.get(row.actor);
    if (sequence === undefined || row.sequence > sequence) {
      this.#sequences.set(row.actor, row.sequence);
      changed = true;
    }
    return changed;
  }

  /** One actor's entries, whole and absolute; undefined when the actor never wrote here. */
  row(actor: ActorId): Row | undefined {
    const sequence = this.#sequences.get(actor);
    if (sequence === undefined) return undefined;
    const entries: RowEntry[] = [];
    for (const [emoji, counter] of this.#counters) {
      const { increments, decrements } = counter.entry(actor);
      if (increments > 0 || decrements > 0) entries.push({ emoji, increments, decrements });
    }
    return { stream: this.stream, actor, sequence, entries };
  }

  merge(other: Tally, observe?: EntryObserver): boolean {
    let changed = false;
    for (const actor of other.actors()) {
      const row = other.row(actor);
      if (row !== undefined && this.join(row, observe)) changed = true;
    }
    return changed;
  }
}
