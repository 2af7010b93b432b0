/**
 * The hot store port: where a shard's commits become durable, before anything is acknowledged.
 *
 * A commit carries absolute values, so replaying any superset of what is needed, in any order, and
 * joining it by maximum gives the state back: there is no checkpoint protocol. A store keeps commits
 * until it is told to forget them. One writer at a time: a new writer fences the one before it, also those of shards that the region
 * does not have any more.
 *
 * Adapters: `memory-store.ts`, `jetstream-store.ts`. Contract: `test/contracts/hot-store-contract.ts`.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';

/** How long a commit answers resends. Clients resend a batch for at most 5 minutes; commits outlive that twofold. */
export const COMMIT_RETENTION_MS = 10 * 60_000;

export interface CommitEntry {
  readonly emoji: EmojiId;
  /** The actor's absolute counts for the stream and emoji. */
  readonly increments: number;
  readonly decrements: number;
  /** The increments that belong to the window of the commit's time. */
  readonly windowIncrements: number;
}

export interface CommitRow {
  readonly stream: StreamId;
  /** All of the actor's entries for the stream, changed in this commit or not. */
  readonly entries: readonly CommitEntry[];
}

/** What is kept of a session so that its resends count once and get the first answer again. */
export interface SessionRecord {
  readonly stream: StreamId;
  readonly session: string;
  readonly highest: number;
  readonly low: number;
  readonly high: number;
  /** `[sequence, clamped taps]` of the batches inside the window that were not counted whole. */
  readonly clamped: readonly (readonly [sequence: number, taps: number])[];
  /**
   * `[sequence, attempt]` of the batches inside the window that were sent to other regions before they were counted here:
   * to how many. −1 of those that are counted elsewhere and never here. Absent when there are none.
   */
  readonly attempts?: readonly (readonly [sequence: number, attempt: number])[];
}

/** What was counted of one viewer, device and emoji in one second, or a part of it. `counted` and `retracted` only grow. */
export interface Contribution {
  readonly stream: StreamId;
  readonly viewer: string;
  readonly device: string | null;
  readonly emoji: EmojiId;
  /** When the last of it was counted: it stands for the second in which that lies. */
  readonly at: number;
  readonly counted: number;
  /** The part of it that was taken back. */
  readonly retracted: number;
  /** Which one it is: the actor that counted it, null when that is the commit's own, and a number below 2^31. */
  readonly actor: ActorId | null;
  readonly number: number;
}

/** What the actor has taken back, all in all, of what was counted in a window, by whichever actor. */
export interface Correction {
  readonly stream: StreamId;
  readonly emoji: EmojiId;
  readonly windowStart: number;
  readonly decrements: number;
}

/**
 * A batch that was counted here and may have been counted by other regions as well, and how far that is settled. A
 * commit has it whole, as it stands after the commit.
 */
export interface ClaimRecord {
  readonly stream: StreamId;
  readonly session: string;
  readonly sequence: number;
  readonly viewer: string;
  readonly device: string | null;
  /** When it was counted. */
  readonly at: number;
  /** To how many regions it had been sent before. */
  readonly attempt: number;
  /** What was counted of it, in its order. */
  readonly reactions: readonly (readonly [emoji: EmojiId, taps: number])[];
  /** The rest of its taps. */
  readonly clamped: number;
  /** The page of claims that it stands on: `<shard>.<epoch>.<number>`. */
  readonly page: string;
  /** The regions that have not answered; none when it is settled. */
  readonly rivals: readonly string[];
  /** How many taps of it were given back, from its first. Only grows. */
  readonly given: number;
}

export interface Commit {
  readonly actor: ActorId;
  /** The actor's sequence: positive, and greater with each commit. Commits that were replaced leave gaps. */
  readonly sequence: number;
  /** Commit time, milliseconds since the epoch; never decreases within an actor. */
  readonly at: number;
  readonly rows: readonly CommitRow[];
  readonly sessions: readonly SessionRecord[];
  /** Those that changed in this commit, absolute. */
  readonly contributions: readonly Contribution[];
  /** Those that changed in this commit, absolute: the decrements of its rows, by the windows that they belong to. */
  readonly corrections: readonly Correction[];
  /** Those that changed in this commit; absent when none did. */
  readonly claims?: readonly ClaimRecord[];
  /** What this actor committed in windows that start before this time is in the database. */
  readonly windowsStoredBefore: number;
}

/** Nothing is known of the commit's fate. Committing the very same again is right. */
export class HotStoreUnavailable extends Error {
  override readonly name = 'HotStoreUnavailable';
}

/** Another process has become this shard's writer. This one must stop, and acknowledge nothing more. */
export class HotStoreFenced extends Error {
  override readonly name = 'HotStoreFenced';
}

/**
 * The store was wiped, rolled back or created anew and has lost commits that it had made durable. The
 * writer still holds them: it recovers and begins again, and commits its whole state before it goes on.
 */
export class HotStoreLost extends Error {
  override readonly name = 'HotStoreLost';
}

export interface HotStore {
  /**
   * Replays every commit still kept, of each shard oldest first. Also those of the region's other shards:
   * when the number of shards has changed, the streams have moved between them.
   * @throws HotStoreUnavailable
   */
  recover(visit: (commit: Commit) => void): Promise<void>;

  /**
   * Records durably that `actor` writes from now on; commits of earlier writers fail from here, also those of the shards that
   * are no more and fall to this one. Answers false when something was written since `recover`: recover again, then begin again.
   * @throws HotStoreUnavailable
   */
  begin(actor: ActorId): Promise<boolean>;

  /**
   * Replays what was written to other journals after `recover` had read them. Called when the writers of all shards have
   * begun, so that nothing comes after that an earlier life wrote.
   * @throws HotStoreUnavailable; HotStoreFenced when another process has begun since
   */
  catchUp(visit: (commit: Commit) => void): Promise<void>;

  /**
   * Resolves when the commit is durable. One at a time; a retry after `HotStoreUnavailable` must
   * be the very same commit, and is stored once.
   * @throws HotStoreUnavailable, HotStoreFenced, HotStoreLost
   */
  commit(commit: Commit): Promise<void>;

  /**
   * Lets go of commits that were made before a time, in milliseconds since the epoch, when it is
   * convenient: nothing needs them any more. What earlier writers left was made before this one's first commit,
   * whatever their clocks said. Best effort; may be called at any time.
   */
  forget(beforeMs: number): Promise<void>;

  close(): Promise<void>;
}
