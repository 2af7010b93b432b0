/**
 * The hot store in memory: for tests, simulation, and regions that run without NATS.
 *
 * The journal outlives the stores that open it, so a crash is simulated by opening another store on
 * it, and a restart after it. Commits pass through the codec, so nothing is shared by reference.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { Clock } from '../../regions/runtime.ts';
import { decodeRecord, encodeCommit } from './commit-codec.ts';
import { COMMIT_RETENTION_MS, HotStoreFenced, HotStoreUnavailable, type Commit, type HotStore } from './hot-store.ts';

/** What a disk would hold. Shared by the stores of one shard. */
export class MemoryJournal {
  readonly #clock: Clock;
  readonly #commits: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #first = 0;
  /** Counts every write, as a broker's sequence does. */
  lastSequence = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
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
  /** The journal's last sequence as this store knows it; null before it recovered. */
  let position: number | null = null;
  let began = false;
  let last: string | null = null;
  let closed = false;

  const checkOpen = (): void => {
    if (closed) throw new HotStoreUnavailable('the store was closed');
  };

  return {
    async recover(visit) {
      checkOpen();
      for (const commit of journal.commits()) visit(commit);
      position = journal.lastSequence;
    },

    async begin(_actor: ActorId) {
      checkOpen();
      if (position !== journal.lastSequence) return false;
      position = journal.append(null);
      began = true;
      return true;
    },

    async commit(commit) {
      checkOpen();
      if (!began) throw new HotStoreFenced('commit before begin');
      if (last === `${commit.actor} ${commit.sequence}`) return;
      if (position !== journal.lastSequence) throw new HotStoreFenced(`another writer than ${commit.actor} has begun`);
      position = journal.append(encodeCommit(commit));
      last = `${commit.actor} ${commit.sequence}`;
    },

    async close() {
      closed = true;
    },
  };
}
