/**
 * The hot store in memory: for tests, simulation, and regions that run without NATS.
 *
 * The journal outlives the stores that open it, so a crash is simulated by opening another store on
 * it, and a restart after it. Commits pass through the codec, so nothing is shared by reference.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { Clock } from '../../regions/runtime.ts';
import { decodeRecord, encodeCommit } from './commit-codec.ts';
import { COMMIT_RETENTION_MS, HotStoreFenced, HotStoreLost, HotStoreUnavailable, type Commit, type HotStore } from './hot-store.ts';

/** What a disk would hold. Shared by the stores of one shard. */
export class MemoryJournal {
  readonly #clock: Clock;
  readonly #commits: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #first = 0;
  /** Counts every write, as a broker's sequence does. */
  lastSequence = 0;
  /** Counts how often it was wiped: which life of the journal this is. */
  life = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Loses everything, as a deleted volume does. */
  wipe(): void {
    this.#commits.length = 0;
    this.#first = 0;
    this.lastSequence = 0;
    this.life += 1;
  }

  append(bytes: Uint8Array | null): number {
    this.#expire();
    if (bytes !== null) this.#commits.push({ at: this.#clock.now(), bytes });
    this.lastSequence += 1;
    return this.lastSequence;
  }

  *commits(): Generator<Commit> {
    this.#expire();
    for (let index = this.#first; index < this.#commits.length; index++) {
      const record = decodeRecord(this.#commits[index]!.bytes);
      if (record.kind === 'commit') yield record.commit;
    }
  }

  #expire(): void {
    const keptFrom = this.#clock.now() - COMMIT_RETENTION_MS;
    while (this.#first < this.#commits.length && this.#commits[this.#first]!.at < keptFrom) this.#first += 1;
    // Removed in bulk, because removing from the front moves all the rest.
    if (this.#first <= 1024 || this.#first * 2 < this.#commits.length) return;
    this.#commits.splice(0, this.#first);
    this.#first = 0;
  }
}

export function createMemoryStore(journal: MemoryJournal): HotStore {
  /** The journal's end as this store last saw it; null before it recovered. */
  let end: { readonly life: number; readonly sequence: number } | null = null;
  let last = '';
  let closed = false;

  const recovered = (): { readonly life: number; readonly sequence: number } => {
    if (closed) throw new HotStoreUnavailable('the store was closed');
    if (end === null) throw new Error('recover comes first');
    return end;
  };

  return {
    async recover(visit) {
      if (closed) throw new HotStoreUnavailable('the store was closed');
      for (const commit of journal.commits()) visit(commit);
      end = { life: journal.life, sequence: journal.lastSequence };
    },

    async begin(_actor: ActorId) {
      const { life, sequence } = recovered();
      if (life !== journal.life || sequence !== journal.lastSequence) return false;
      end = { life, sequence: journal.append(null) };
      return true;
    },

    async commit(commit) {
      const { life, sequence } = recovered();
      if (life !== journal.life) throw new HotStoreLost('the journal was wiped');
      if (last === `${commit.actor}/${commit.sequence}`) return;
      if (sequence !== journal.lastSequence) throw new HotStoreFenced('another writer has begun');
      end = { life, sequence: journal.append(encodeCommit(commit)) };
      last = `${commit.actor}/${commit.sequence}`;
    },

    async close() {
      closed = true;
    },
  };
}
