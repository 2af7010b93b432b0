/**
 * The replicator: makes every region's ledger the same, over logs that may lose, double or delay.
 *
 * A region publishes the rows of its own actors, and its documents, to its own log and reads each peer's.
 * It never echoes a peer's rows, save those that the peer has lost (custody). Rules: `docs/SPEC.md`, REP.
 *
 * `recover` first: until the own log was read back, nothing is published. Then `start`.
 */

import { parseActorId } from '../crdt/actor.ts';
import type { StreamId } from '../crdt/ids.ts';
import type { LogReader } from './log.ts';
import { PeerFollower, type PeerStatus } from './peer-follower.ts';
import {
  REPLICATION_DEFAULTS,
  createReplication,
  type ReplicationOptions,
  type ReplicationParts,
  type ReplicationStats,
} from './replication.ts';
import { RowPublisher, type RowPublisherParts } from './row-publisher.ts';
import { sleep } from './runtime.ts';

export interface ReplicatorParts extends ReplicationParts, RowPublisherParts {
  /** Of each peer region, a reader of its log. */
  readonly readers: ReadonlyMap<string, LogReader>;
  readonly options?: Partial<ReplicationOptions>;
}

export interface Replicator {
  readonly stats: Readonly<ReplicationStats>;
  /** Joins what the own log holds, documents included; tries until it can, or until stopped. */
  recover(): Promise<void>;
  start(): void;
  /** Publishes what is left, for a bounded time, if it was started and not fenced, and lets go of the logs. */
  stop(): Promise<void>;
  /** Another process has taken the place of this one: from now on nothing is published [REP-28]. */
  fence(): void;
  /** Of each peer, the time since its last message in milliseconds; null when it never spoke. */
  staleness(): Record<string, number | null>;
  /** Viewers of a stream in the peer regions, as far as known. */
  viewers(stream: StreamId): number;
  /** Own rows that the own log does not hold yet. */
  rowsWaiting(): number;
  /** At least the age of the oldest of them in milliseconds; 0 when there are none. */
  oldestDirtyMs(): number;
  /** The same without those that the own log has no room for. */
  oldestUntriedMs(): number;
  /** Since the own log took something, in milliseconds: heartbeats are due each `heartbeatMs`. */
  silentMs(): number;
  /**
   * A document of this region has changed, come into being, or gone: it is read and published at the next
   * tick. False when too many wait. @throws when the key is none of a known kind
   */
  markDocument(key: string): boolean;
  /** Whether the own log holds a document as it is now. */
  holdsDocument(key: string): boolean;
  /** Whether the own log holds no version of a document and none is on its way there: it was full, and is to be told again. */
  lacksDocument(key: string): boolean;
  /** Own documents that the own log does not hold yet. */
  documentsWaiting(): number;
  /**
   * Forgets streams that are over, in the ledger and in the own log. Regions that do so at about the same time, which
   * each knows from the same documents, stay quiet meanwhile [REP-25].
   */
  forget(streams: readonly StreamId[]): void;
  /** Messages of forgotten streams that the own log may still hold. */
  removalsWaiting(): number;
  peers(): PeerStatus[];
  /** Whatever documents a peer had at this time, by our clock, its owners have heard of; null before the first such word. */
  documentsHeardAt(peer: string): number | null;
}

export function createReplicator(parts: ReplicatorParts): Replicator {
  const replication = createReplication(parts, { ...REPLICATION_DEFAULTS, ...parts.options });
  const { runtime, options, log } = replication;
  const publisher = new RowPublisher(replication, parts, () => Array.from(followers.values(), (follower) => follower.heardOf()).filter((heard) => heard !== null));
  const ownEpoch = (): number => Math.max(0, ...Array.from(parts.currentActors().keys(), (actor) => parseActorId(actor).epoch));
  const followers: ReadonlyMap<string, PeerFollower> = new Map(
    Array.from(parts.readers, ([peer, reader]) => [
      peer,
      new PeerFollower(peer, reader, replication, (rows) => publisher.keep(rows), ownEpoch),
    ]),
  );
  const stopping = new AbortController();
  let recovering: Promise<void> | null = null;
  let running: Promise<unknown> | null = null;

  const finish = async (deadline: AbortController): Promise<void> => {
    try {
      await Promise.all([recovering, running]);
      // Who was never started may have been followed already, and knows too little to say what is gone.
      if (running !== null) await publisher.flush(deadline.signal);
    } catch (error) {
      log.error({ error }, 'could not finish replicating');
    }
    deadline.abort();
  };

  return {
    stats: replication.stats,
    recover() {
      recovering ??= publisher.recover(stopping.signal);
      return recovering;
    },
    start() {
      if (!publisher.recovered) throw new Error('recover() comes first: publishing before it could take counts back');
      running ??= Promise.all([
        publisher.run(stopping.signal),
        ...Array.from(followers.values(), (follower) => follower.run(stopping.signal)),
      ]);
    },
    async stop() {
      stopping.abort();
      const deadline = new AbortController();
      void finish(deadline);
      await sleep(runtime.timers, options.flushMs, deadline.signal);
      deadline.abort();
      if (publisher.rowsWaiting > 0) log.warn({ rows: publisher.rowsWaiting }, 'stopped before the own log held every row');
      await publisher.close();
    },
    fence: () => publisher.fence(),
    staleness: () => Object.fromEntries(Array.from(followers, ([peer, follower]) => [peer, follower.stalenessMs()])),
    viewers(stream) {
      let viewers = 0;
      for (const follower of followers.values()) viewers += follower.viewers(stream);
      return viewers;
    },
    rowsWaiting: () => publisher.rowsWaiting,
    oldestDirtyMs: () => publisher.oldestDirtyMs(),
    oldestUntriedMs: () => publisher.oldestUntriedMs(),
    silentMs: () => publisher.silentMs(),
    markDocument: (key) => publisher.markDocument(key),
    holdsDocument: (key) => publisher.holdsDocument(key),
    lacksDocument: (key) => publisher.lacksDocument(key),
    documentsWaiting: () => publisher.documentsWaiting,
    forget: (streams) => publisher.surplus.forgotten(streams, replication.ledger.forget(streams)),
    removalsWaiting: () => publisher.surplus.size,
    peers: () => Array.from(followers.values(), (follower) => follower.status()),
    documentsHeardAt: (peer) => followers.get(peer)?.documentsHeardAt ?? null,
  };
}
