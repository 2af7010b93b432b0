/**
 * The hot store in memory: for tests, simulation, and regions that run without NATS.
 *
 * The journal outlives the stores that open it, so a crash is simulated by opening another store on
 * it, and a restart after it. Commits pass through the codec, so nothing is shared by reference.
 */

import type { ActorId } from '../../crdt/actor.ts';
import { decodeRecord, encodeCommit } from './commit-codec.ts';
import { HotStoreFenced, HotStoreLost, HotStoreUnavailable, type Commit, type HotStore } from './hot-store.ts';

/** What a disk would hold. Shared by the stores of one shard. */
export class MemoryJournal {
  #commits: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  /** Counts every write, as a broker's sequence does. */
  lastSequence = 0;
  /** Counts how often it was wiped: which life of the journal this is. */
  life = 0;

  /** Loses everything, as a deleted volume does. */
  wipe(): void {
    this.#commits = [];
    this.lastSequence = 0;
    this.life += 1;
  }

  append(commit: Commit | null): number {
    if (commit !== null) this.#commits.push({ at: commit.at, bytes: encodeCommit(commit) });
    this.lastSequence += 1;
    return this.lastSequence;
  }

  *commits(): Generator<Commit> {
    for (const { bytes } of this.#commits) {
      const record = decodeRecord(bytes);
      if (record.kind === 'commit') yield record.commit;
    }
  }

  forget(beforeMs: number): void {
    this.#commits = this.#commits.filter(({ at }) => at >= beforeMs);
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
      end = { life, sequence: journal.append(commit) };
      last = `${commit.actor}/${commit.sequence}`;
    },

    async forget(beforeMs) {
      if (end?.life === journal.life) journal.forget(beforeMs);
    },

    async close() {
      closed = true;
    },
  };
}
