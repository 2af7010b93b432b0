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
  #commits: { readonly at: number; readonly sequence: number; readonly bytes: Uint8Array }[] = [];
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
    this.lastSequence += 1;
    if (commit !== null) this.#commits.push({ at: commit.at, sequence: this.lastSequence, bytes: encodeCommit(commit) });
    return this.lastSequence;
  }

  /** Those written after a sequence, oldest first. */
  *commits(afterSequence = 0): Generator<Commit> {
    for (const { sequence, bytes } of this.#commits) {
      if (sequence <= afterSequence) continue;
      const record = decodeRecord(bytes);
      if (record.kind === 'commit') yield record.commit;
    }
  }

  /** Whatever is kept was made before this time, by the clock of who writes now. */
  precede(at: number): void {
    this.#commits = this.#commits.map((commit) => ({ ...commit, at: Math.min(commit.at, at - 1) }));
  }

  forget(beforeMs: number): void {
    this.#commits = this.#commits.filter(({ at }) => at >= beforeMs);
  }
}

/** A journal's end as a store last saw it. */
interface JournalEnd {
  readonly life: number;
  readonly sequence: number;
}

/** `journals` are those of all shards that the region ever had, by number, of which it has the first `shardCount` now. */
export function createMemoryStore(journal: MemoryJournal, journals: readonly MemoryJournal[] = [journal], shardCount = journals.length): HotStore {
  const shard = journals.indexOf(journal);
  const others = journals.filter((other) => other !== journal);
  /** Of shards that are no more, those that fall to this one. */
  const orphans = journals.filter((_, number) => number >= shardCount && number % shardCount === shard);
  /** Of all journals; empty before this store recovered. */
  const ends = new Map<MemoryJournal, JournalEnd>();
  let last = '';
  /** Nothing was committed since `begin`. */
  let isFirst = true;
  let closed = false;

  const checkOpen = (): void => {
    if (closed) throw new HotStoreUnavailable('the store was closed');
  };
  const recovered = (): JournalEnd => {
    checkOpen();
    const end = ends.get(journal);
    if (end === undefined) throw new Error('recover comes first');
    return end;
  };
  const write = (to: MemoryJournal, commit: Commit | null): void => void ends.set(to, { life: to.life, sequence: to.append(commit) });
  const isUnchanged = (one: MemoryJournal): boolean => {
    const { life, sequence } = ends.get(one)!;
    return life === one.life && sequence === one.lastSequence;
  };
  const read = (from: MemoryJournal, visit: (commit: Commit) => void, afterSequence = 0): void => {
    for (const commit of from.commits(afterSequence)) visit(commit);
    ends.set(from, { life: from.life, sequence: from.lastSequence });
  };

  return {
    async recover(visit) {
      checkOpen();
      for (const one of [...others, journal]) read(one, visit);
    },

    async begin(_actor: ActorId) {
      recovered();
      const owned = [...orphans, journal];
      if (!owned.every(isUnchanged)) return false;
      for (const one of owned) write(one, null);
      isFirst = true;
      return true;
    },

    async catchUp(visit) {
      recovered();
      for (const one of [...orphans, journal]) {
        if (ends.get(one)!.life === one.life && !isUnchanged(one)) throw new HotStoreFenced('another writer has begun');
      }
      for (const one of others) {
        const { life, sequence } = ends.get(one)!;
        if (!orphans.includes(one)) read(one, visit, life === one.life ? sequence : 0);
      }
    },

    async commit(commit) {
      const { life, sequence } = recovered();
      if (life !== journal.life) throw new HotStoreLost('the journal was wiped');
      if (last === `${commit.actor}/${commit.sequence}`) return;
      if (sequence !== journal.lastSequence) throw new HotStoreFenced('another writer has begun');
      if (isFirst) journal.precede(commit.at);
      isFirst = false;
      write(journal, commit);
      last = `${commit.actor}/${commit.sequence}`;
    },

    async forget(beforeMs) {
      for (const one of [...orphans, journal]) if (ends.get(one)?.life === one.life) one.forget(beforeMs);
    },

    async close() {
      closed = true;
    },
  };
}
