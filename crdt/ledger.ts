/**
 * The ledger: all tallies that a process holds, its own actors' and its peers'.
 *
 * It is the only place where counts live once they are committed. Whoever derives something from
 * counts (the replicator, the broadcaster) takes a `DirtyRows` and is told which rows moved: a set
 * bounded by the number of rows, never a queue. Per region it keeps a digest of all entries, so two
 * ledgers are compared in 16 characters.
 *
 * A stream that is over can be forgotten: nothing of it remains but its id, and whatever is heard of it later
 * changes nothing [CRDT-16]. Ledgers that have forgotten the same streams are compared as if these had never been.
 */

import { regionOf, type ActorId } from './actor.ts';
import { Digest, hashInteger, hashText } from './digest.ts';
import { IdSet } from './id-set.ts';
import type { EmojiId, StreamId } from './ids.ts';
import type { PnEntry } from './pn-counter.ts';
import type { Row } from './row.ts';
import { Tally } from './tally.ts';

export interface RowId {
  readonly stream: StreamId;
  readonly actor: ActorId;
}

/** What is kept of an actor over all streams, so that merging an entry hashes nothing twice. */
interface ActorState {
  /** The highest actor sequence merged, of the streams not forgotten. */
  sequence: number;
  /** The digest of the actor's region. */
  readonly digest: Digest;
  /** The two 32-bit hashes of the actor id, continued with stream and emoji. */
  readonly high: number;
  readonly low: number;
}

export class Ledger {
  readonly #tallies = new Map<StreamId, Tally>();
  readonly #digests = new Map<string, Digest>();
  readonly #actors = new Map<ActorId, ActorState>();
  readonly #forgotten = new IdSet();
  readonly #forgottenDigest = new Digest();
  readonly #trackers: { readonly accepts: (actor: ActorId) => boolean; readonly dirty: DirtyRows }[] = [];

  tally(stream: StreamId): Tally | undefined {
    return this.#tallies.get(stream);
  }

  tallies(): IterableIterator<Tally> {
    return this.#tallies.values();
  }

  get streamCount(): number {
    return this.#tallies.size;
  }

  /** Every actor that any row was merged of. */
  actors(): IterableIterator<ActorId> {
    return this.#actors.keys();
  }

  /** The highest actor sequence merged of an actor, over all streams that are not forgotten; 0 when none was. */
  sequence(actor: ActorId): number {
    return this.#actors.get(actor)?.sequence ?? 0;
  }

  row({ stream, actor }: RowId): Row | undefined {
    return this.#tallies.get(stream)?.row(actor);
  }

  /** Every row of the actors accepted, for a full state. */
  *rows(accepts: (actor: ActorId) => boolean = () => true): Generator<Row> {
    for (const tally of this.#tallies.values()) {
      for (const actor of tally.actors()) {
        const row = accepts(actor) ? tally.row(actor) : undefined;
        if (row !== undefined) yield row;
      }
    }
  }

  /**
   * Forgets streams, for good. Answers whose rows were held: who stored them elsewhere has to remove them.
   * Ids of forgotten streams are kept, so the caller bounds how many there can be.
   */
  forget(streams: Iterable<StreamId>): RowId[] {
    const rows: RowId[] = [];
    const lowered = new Map<ActorId, ActorState>();
    for (const stream of streams) {
      if (!this.#forgotten.add(stream)) continue;
      this.#forgottenDigest.toggle(hashText(stream, HIGH_SEED), hashText(stream, LOW_SEED));
      const tally = this.#tallies.get(stream);
      if (tally === undefined) continue;
      this.#tallies.delete(stream);
      // What was in the digests goes out of them: toggling is its own inverse.
      for (const [emoji, counter] of tally.counters()) {
        for (const [actor, entry] of counter.entries()) this.#toggle(stream, emoji, actor, entry);
      }
      for (const actor of tally.actors()) {
        rows.push({ stream, actor });
        const state = this.#actorState(actor);
        if (tally.sequence(actor) === state.sequence) lowered.set(actor, state);
      }
    }
    this.#lowerSequences(lowered);
    return rows;
  }

  hasForgotten(stream: StreamId): boolean {
    return this.#forgotten.has(stream);
  }

  get forgottenCount(): number {
    return this.#forgotten.size;
  }

  /** Equal on ledgers that have forgotten the same streams; all zeros for none. Only then their other digests can be compared. */
  forgottenDigest(): string {
    return this.#forgottenDigest.toString();
  }

  /** Joins a row; true when the ledger changed. */
  join(row: Row): boolean {
    if (this.#forgotten.has(row.stream)) return false;
    let tally = this.#tallies.get(row.stream);
    if (tally === undefined) {
      tally = new Tally(row.stream);
      this.#tallies.set(row.stream, tally);
    }
    const actor = this.#actorState(row.actor);
    const high = hashText(row.stream, actor.high);
    const low = hashText(row.stream, actor.low);
    const changed = tally.join(row, (_actor, emoji, before, after) => {
      const entryHigh = hashText(emoji, high);
      const entryLow = hashText(emoji, low);
      toggleEntry(actor.digest, entryHigh, entryLow, before);
      toggleEntry(actor.digest, entryHigh, entryLow, after);
    });
    if (!changed) return false;
    if (row.sequence > actor.sequence) actor.sequence = row.sequence;
    for (const { accepts, dirty } of this.#trackers) if (accepts(row.actor)) dirty.mark(row);
    return true;
  }

  /** From now on the rows that change, of the actors accepted, are marked in the set returned. */
  track(accepts: (actor: ActorId) => boolean = () => true): DirtyRows {
    const dirty = new DirtyRows();
    this.#trackers.push({ accepts, dirty });
    return dirty;
  }

  /** The digest of all entries of a region's actors. Equal on ledgers that hold the same counts. */
  regionDigest(region: string): string {
    return (this.#digests.get(region) ?? new Digest()).toString();
  }

  /** The digest of one stream's entries, of all actors. */
  streamDigest(stream: StreamId): string {
    const digest = new Digest();
    for (const [emoji, counter] of this.#tallies.get(stream)?.counters() ?? []) {
      for (const [actor, entry] of counter.entries()) this.#toggle(stream, emoji, actor, entry, digest);
    }
    return digest.toString();
  }

  /** Toggles an entry in a digest, or in that of its actor's region. */
  #toggle(stream: StreamId, emoji: EmojiId, actor: ActorId, entry: PnEntry, digest = this.#actorState(actor).digest): void {
    const { high, low } = this.#actorState(actor);
    toggleEntry(digest, hashText(emoji, hashText(stream, high)), hashText(emoji, hashText(stream, low)), entry);
  }

  /** Finds the sequences of actors whose highest row was forgotten: who never heard of that row must come to the same. */
  #lowerSequences(lowered: ReadonlyMap<ActorId, ActorState>): void {
    if (lowered.size === 0) return;
    for (const state of lowered.values()) state.sequence = 0;
    for (const tally of this.#tallies.values()) {
      for (const [actor, state] of lowered) state.sequence = Math.max(state.sequence, tally.sequence(actor));
    }
  }

  #actorState(actor: ActorId): ActorState {
    let state = this.#actors.get(actor);
    if (state === undefined) {
      const region = regionOf(actor);
      let digest = this.#digests.get(region);
      if (digest === undefined) this.#digests.set(region, (digest = new Digest()));
      state = { sequence: 0, digest, high: hashText(actor, HIGH_SEED), low: hashText(actor, LOW_SEED) };
      this.#actors.set(actor, state);
    }
    return state;
  }
}

/** The rows that changed and that nobody has taken yet, each once, the longest-waiting stream first. */
export class DirtyRows {
  readonly #actors = new Map<StreamId, Set<ActorId>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  mark({ stream, actor }: RowId): void {
    let actors = this.#actors.get(stream);
    if (actors === undefined) {
      actors = new Set();
      this.#actors.set(stream, actors);
    }
    if (actors.has(actor)) return;
    actors.add(actor);
    this.#size += 1;
  }

  /** Takes up to `limit` rows out of the set. Who fails to use one marks it again. */
  take(limit = Infinity): RowId[] {
    const taken: RowId[] = [];
    for (const [stream, actors] of this.#actors) {
      if (taken.length >= limit) break;
      for (const actor of actors) {
        if (taken.length >= limit) break;
        actors.delete(actor);
        taken.push({ stream, actor });
      }
      this.#actors.delete(stream);
      // What is left of a stream goes to the end, so that one stream cannot starve the others.
      if (actors.size > 0) this.#actors.set(stream, actors);
    }
    this.#size -= taken.length;
    return taken;
  }
}

const HIGH_SEED = 0x2545f491;
const LOW_SEED = 0x6c8e9cf5;

function toggleEntry(digest: Digest, high: number, low: number, { increments, decrements }: PnEntry): void {
  if (increments === 0 && decrements === 0) return;
  digest.toggle(
    hashInteger(hashInteger(high, increments), decrements),
    hashInteger(hashInteger(low, increments), decrements),
  );
}
