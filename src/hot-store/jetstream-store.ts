/**
 * The hot store on JetStream: one journal stream per region and shard, in the region's own NATS.
 *
 * Every write names the last sequence it expects, so a writer that has begun makes all earlier ones fail
 * [HOT-3], also in the journals of shards that are no more [HOT-12]; every commit carries a message id, so a retry is stored once [HOT-4]. A journal that is full
 * refuses instead of forgetting [HOT-7]; what is forgotten is purged up to a sequence, never by age, so
 * that a commit outlives any outage of what derives from it [HOT-8]. The journals of shards that a region no
 * longer has are read as long as they are needed, and then removed [HOT-10]. A journal that was deleted, created anew or rolled back under a
 * living writer is told from another writer by its creation time and length [HOT-6]. A record that cannot
 * be read is logged and counted and does not hold up the others [HOT-5].
 */

import type { ActorId } from '../../crdt/actor.ts';
import { NatsUnavailable, NatsWrongSequence, connectNats, type NatsConnection, type StreamSpec } from '../../regions/nats-connection.ts';
import type { Log } from '../../regions/runtime.ts';
import type { NatsAddress } from '../../regions/topology.ts';
import { MalformedCommit, decodeRecord, encodeCommit, encodeOpening, type JournalRecord } from './commit-codec.ts';
import { HotStoreFenced, HotStoreLost, HotStoreUnavailable, type Commit, type HotStore } from './hot-store.ts';

export interface JetStreamStoreOptions {
  readonly region: string;
  readonly shard: number;
  /** Of the region, now. Default 1 more than `shard`. */
  readonly shardCount?: number;
  readonly address: NatsAddress;
  readonly log: Log;
  /** The journal's bound, which the server sets aside. A commit of n batches takes about 50 n bytes. */
  readonly bytesMax?: number;
}

const BYTES_MAX = 1024 * 1024 * 1024;
/** Where commits stand in the journal is remembered once in this time: forgetting is this exact. */
const MILESTONE_MS = 1_000;
/** Beyond these every other milestone is dropped. */
const MILESTONES_MAX = 4_096;

/** Where a journal ended when this writer last saw it, and in which life of the stream. */
interface JournalEnd {
  readonly created: string;
  readonly sequence: number;
}

/** The journal of a shard that the region no longer has, and when its last commit was made. */
interface Orphan {
  readonly name: string;
  readonly subject: string;
  lastAt: number;
}

/** A commit: all records below its sequence are of commits made before `at`. */
interface Milestone {
  readonly at: number;
  readonly sequence: number;
}

export function createJetstreamStore(options: JetStreamStoreOptions): JetStreamStore {
  return new JetStreamStore(options);
}

export type { JetStreamStore };

/** Of the shard whose journal it is. */
function numberOf(journal: string): number {
  return Number(journal.slice(journal.lastIndexOf('_') + 1));
}

class JetStreamStore implements HotStore {
  readonly stats = { malformed: 0, connections: 0 };
  readonly #options: JetStreamStoreOptions;
  readonly #spec: StreamSpec;
  readonly #subject: string;
  /** The one that there is, or that is being made. */
  #connection: Promise<NatsConnection> | null = null;
  #end: JournalEnd | null = null;
  /** Of the journals of other shards, by name. */
  readonly #otherEnds = new Map<string, JournalEnd>();
  #milestones: Milestone[] = [];
  /** The last commit, and the latest time of any. */
  #newest: Milestone | null = null;
  /** Nothing was committed since `begin`. */
  #isFirst = true;
  /** All records below this sequence were purged. */
  #purgedBelow = 0;
  #orphans: Orphan[] = [];
  #closed = false;

  constructor(options: JetStreamStoreOptions) {
    this.#options = options;
    this.#subject = `journal.${options.region}.${options.shard}`;
    this.#spec = {
      name: `JOURNAL_${options.region}_${options.shard}`,
      subjects: [this.#subject],
      maxBytes: options.bytesMax ?? BYTES_MAX,
      retention: 'limits',
      discard: 'new',
    };
  }

  recover(visit: (commit: Commit) => void): Promise<void> {
    return this.#attempt(async (nats) => {
      const { created } = await nats.ensureStream(this.#spec);
      await this.#recoverOthers(nats, visit);
      this.#milestones = [];
      this.#newest = null;
      this.#purgedBelow = 0;
      const sequence = await this.#replay(nats, this.#spec.name, (record, at) => {
        if (record.kind !== 'commit') return;
        this.#passed(record.commit.at, at);
        visit(record.commit);
      });
      this.#end = { created, sequence };
    });
  }

  begin(actor: ActorId): Promise<boolean> {
    const end = this.#recovered();
    return this.#attempt(async (nats) => {
      const opening = encodeOpening(actor);
      try {
        for (const { name, subject } of this.#orphans) {
          const other = this.#otherEnds.get(name)!;
          const { sequence } = await nats.publish(subject, opening, { expectLastSequence: other.sequence });
          this.#otherEnds.set(name, { ...other, sequence });
        }
        const { sequence } = await nats.publish(this.#subject, opening, { expectLastSequence: end.sequence });
        this.#end = { ...end, sequence };
        this.#isFirst = true;
        return true;
      } catch (error) {
        if (error instanceof NatsWrongSequence) return false;
        throw error;
      }
    });
  }

  catchUp(visit: (commit: Commit) => void): Promise<void> {
    const own = this.#recovered();
    return this.#attempt(async (nats) => {
      for (const name of await nats.streamNames(`journal.${this.#options.region}.*`)) {
        const now = await nats.streamState(name);
        // One that was lost is found out by its writer.
        if (now === null) continue;
        const isOwn = name === this.#spec.name;
        const end = isOwn ? own : this.#otherEnds.get(name);
        const isSame = end === undefined || end.created === now.created;
        const from = isSame ? (end?.sequence ?? 0) : 0;
        if (isOwn || this.#fallsToThis(numberOf(name))) {
          if (isSame && now.lastSequence > from) throw new HotStoreFenced(`another process writes ${name}`);
          continue;
        }
        const read = (record: JournalRecord): void => void (record.kind === 'commit' && visit(record.commit));
        this.#otherEnds.set(name, { created: now.created, sequence: await this.#replay(nats, name, read, from) });
      }
    });
  }

  commit(commit: Commit): Promise<void> {
    const end = this.#recovered();
    return this.#attempt(async (nats) => {
      const sequence = await this.#append(nats, commit, end);
      this.#end = { ...end, sequence };
      if (this.#isFirst) this.#precede(commit.at);
      this.#isFirst = false;
      this.#passed(commit.at, sequence);
    });
  }

  async forget(beforeMs: number): Promise<void> {
    await this.#removeOrphans(beforeMs);
    const below = this.#forgettableBelow(beforeMs);
    if (below <= this.#purgedBelow || this.#end === null) return;
    const { created } = this.#end;
    const isThere = await this.#attempt(async (nats) => {
      // A journal that has been lost since is no longer the one whose sequences these are.
      if ((await nats.streamState(this.#spec.name))?.created !== created) return false;
      await nats.purge(this.#spec.name, below);
      return true;
    });
    if (!isThere) return;
    this.#purgedBelow = below;
    this.#milestones = this.#milestones.filter(({ sequence }) => sequence >= below);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#connection?.catch(() => null))?.close();
  }

  /** Answers where in the journal the commit stands. */
  async #append(nats: NatsConnection, commit: Commit, end: JournalEnd): Promise<number> {
    const messageId = `${commit.actor}/${commit.sequence}`;
    try {
      return (await nats.publish(this.#subject, encodeCommit(commit), { expectLastSequence: end.sequence, messageId })).sequence;
    } catch (error) {
      await this.#judge(nats, commit, end, error);
      return end.sequence + 1;
    }
  }

  /** Why a commit failed, out of what the journal looks like now; returns when it is the next record after all. */
  async #judge(nats: NatsConnection, commit: Commit, end: JournalEnd, failure: unknown): Promise<void> {
    const { name } = this.#spec;
    const now = await nats.streamState(name);
    if (now === null || now.created !== end.created || now.lastSequence < end.sequence) {
      throw new HotStoreLost(`${name} has lost what was written to it before`);
    }
    if (!(failure instanceof NatsWrongSequence)) throw failure;
    // A first try may have been stored although its acknowledgement was lost.
    let stored = false;
    const read = (record: JournalRecord, sequence: number): void => {
      if (sequence !== end.sequence + 1 || record.kind !== 'commit') return;
      stored = record.commit.actor === commit.actor && record.commit.sequence === commit.sequence;
    };
    await this.#replay(nats, name, read, end.sequence);
    if (!stored) throw new HotStoreFenced(`another process writes ${name}`);
  }

  /** All that earlier writers left was made before this time, whatever their clocks said: of it no milestone is later. */
  #precede(at: number): void {
    this.#milestones = this.#milestones.filter((milestone) => milestone.at <= at - MILESTONE_MS);
    this.#newest = null;
  }

  /** Notes where in the journal a time lies. Between the lives before the clock may have been set, so times may repeat. */
  #passed(at: number, sequence: number): void {
    this.#newest = { at: Math.max(at, this.#newest?.at ?? 0), sequence };
    const last = this.#milestones.at(-1);
    if (last !== undefined && at < last.at + MILESTONE_MS) return;
    this.#milestones.push({ at, sequence });
    if (this.#milestones.length > MILESTONES_MAX) this.#milestones = this.#milestones.filter((_, index) => index % 2 === 0);
  }

  /** Below this sequence all commits were made before a time. An idle journal keeps none: it would tell for ever what the others know better. */
  #forgettableBelow(beforeMs: number): number {
    if (this.#newest !== null && this.#newest.at < beforeMs) return this.#newest.sequence + 1;
    return this.#milestones.findLast(({ at }) => at <= beforeMs)?.sequence ?? 0;
  }

  async #recoverOthers(nats: NatsConnection, visit: (commit: Commit) => void): Promise<void> {
    const { region } = this.#options;
    this.#orphans = [];
    this.#otherEnds.clear();
    for (const name of await nats.streamNames(`journal.${region}.*`)) {
      if (name === this.#spec.name) continue;
      const state = await nats.streamState(name);
      if (state === null) continue;
      const number = numberOf(name);
      const orphan: Orphan = { name, subject: `journal.${region}.${number}`, lastAt: 0 };
      const sequence = await this.#replay(nats, name, (record) => {
        if (record.kind !== 'commit') return;
        orphan.lastAt = Math.max(orphan.lastAt, record.commit.at);
        visit(record.commit);
      });
      this.#otherEnds.set(name, { created: state.created, sequence });
      if (this.#fallsToThis(number)) this.#orphans.push(orphan);
    }
  }

  /** Whether it is the journal of a shard that is no more, and this one's to fence and to remove. */
  #fallsToThis(number: number): boolean {
    const { shard, shardCount = shard + 1 } = this.#options;
    return number >= shardCount && number % shardCount === shard;
  }

  async #removeOrphans(beforeMs: number): Promise<void> {
    const done = this.#orphans.filter(({ lastAt }) => lastAt < beforeMs);
    for (const orphan of done) {
      await this.#attempt((nats) => nats.deleteStream(orphan.name));
      // Meanwhile they may have been read again.
      this.#orphans = this.#orphans.filter(({ name }) => name !== orphan.name);
    }
  }

  #replay(nats: NatsConnection, journal: string, visit: (record: JournalRecord, sequence: number) => void, afterSequence = 0): Promise<number> {
    return nats.replay(journal, ({ payload, sequence }) => {
      let record: JournalRecord;
      try {
        record = decodeRecord(payload);
      } catch (error) {
        if (!(error instanceof MalformedCommit)) throw error;
        this.stats.malformed += 1;
        this.#options.log.error({ error, journal, sequence }, 'A journal record cannot be read: its commit is lost to this recovery.');
        return;
      }
      visit(record, sequence);
    }, afterSequence);
  }

  #recovered(): JournalEnd {
    if (this.#end === null) throw new Error('recover comes first');
    return this.#end;
  }

  async #attempt<Value>(act: (nats: NatsConnection) => Promise<Value>): Promise<Value> {
    if (this.#closed) throw new HotStoreUnavailable('the store was closed');
    const connecting = (this.#connection ??= this.#connect());
    let connection: NatsConnection | null = null;
    try {
      connection = await connecting;
      return await act(connection);
    } catch (error) {
      if (!(error instanceof NatsUnavailable)) throw error;
      // What is still on its way on a doubtful connection must not mix with what is tried next.
      void connection?.close();
      this.#abandon(connecting);
      throw new HotStoreUnavailable(error.message, { cause: error });
    }
  }

  #connect(): Promise<NatsConnection> {
    const connecting = connectNats(this.#options.address, `journal ${this.#options.region}/${this.#options.shard}`).then((connection) => {
      this.stats.connections += 1;
      void connection.closed.then(() => this.#abandon(connecting));
      return connection;
    });
    void connecting.catch(() => this.#abandon(connecting));
    return connecting;
  }

  /** The next call connects anew, unless another one has done so already. */
  #abandon(connecting: Promise<NatsConnection>): void {
    if (this.#connection === connecting) this.#connection = null;
  }
}
