/**
 * The ledger: all tallies that a process holds, its own actors' and its peers'.
 *
 * It is the only place where counts live once they are committed. Whoever derives something from
 * counts (the replicator, the broadcaster) takes a `DirtyRows` and is told which rows moved: a set
 * bounded by the number of rows, never a queue. Per region it keeps a digest of all entries, so two
 * ledgers are compared in 16 characters.
 */

import { regionOf, type ActorId } from './actor.ts';
import { Digest, hashInteger, hashText } from './digest.ts';
import type { EmojiId, StreamId } from './ids.ts';
import type { Row } from './row.ts';
import { Tally } from './tally.ts';

export interface RowId {
  readonly stream: StreamId;
  readonly actor: ActorId;
}

export class Ledger {
  readonly #tallies = new Map<StreamId, Tally>();
  readonly #digests = new Map<string, Digest>();
  readonly #sequences = new Map<ActorId, number>();
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
    return this.#sequences.keys();
  }

  /** The highest actor sequence merged of an actor, over all streams; 0 when none was. */
  sequence(actor: ActorId): number {
    return this.#sequences.get(actor) ?? 0;
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

  /** Joins a row; true when the ledger changed. */
  join(row: Row): boolean {
    let tally = this.#tallies.get(row.stream);
    if (tally === undefined) {
      tally = new Tally(row.stream);
      this.#tallies.set(row.stream, tally);
    }
    const digest = this.#digestOf(regionOf(row.actor));
    const changed = tally.join(row, (actor, emoji, before, after) => {
      toggleEntry(digest, row.stream, actor, emoji, before.increments, before.decrements);
      toggleEntry(digest, row.stream, actor, emoji, after.increments, after.decrements);
    });
    if (!changed) return false;
    if (row.sequence > this.sequence(row.actor)) this.#sequences.set(row.actor, row.sequence);
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
    return this.#digestOf(region).toString();
  }

  /** The digest of one stream's entries, of all actors. */
  streamDigest(stream: StreamId): string {
    const digest = new Digest();
    const tally = this.#tallies.get(stream);
    for (const [emoji, counter] of tally?.counters() ?? []) {
      for (const [actor, entry] of counter.entries()) {
        toggleEntry(digest, stream, actor, emoji, entry.increments, entry.decrements);
      }
    }
    return digest.toString();
  }

  #digestOf(region: string): Digest {
    let digest = this.#digests.get(region);
    if (digest === undefined) {
      digest = new Digest();
      this.#digests.set(region, digest);
    }
    return digest;
  }
}

/** The rows that changed and that nobody has taken yet, each once, longest-waiting first. */
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
      for (const actor of actors) {
        if (taken.length >= limit) return taken;
        actors.delete(actor);
        this.#size -= 1;
        taken.push({ stream, actor });
      }
      this.#actors.delete(stream);
    }
    return taken;
  }
}

const HIGH_SEED = 0x2545f491;
const LOW_SEED = 0x6c8e9cf5;

function toggleEntry(
  digest: Digest,
  stream: StreamId,
  actor: ActorId,
  emoji: EmojiId,
  increments: number,
  decrements: number,
): void {
  if (increments === 0 && decrements === 0) return;
  const name = `${stream} ${actor} ${emoji}`;
  digest.toggle(
    hashInteger(hashInteger(hashText(name, HIGH_SEED), increments), decrements),
    hashInteger(hashInteger(hashText(name, LOW_SEED), increments), decrements),
  );
}
