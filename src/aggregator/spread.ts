/**
 * The spread of a stream: which shards of a region count it, and which of them knows what about it. Pure but for the
 * one moment in which the spreads are read.
 *
 * A marquee stream is counted by its home shard and those that follow [AGG-50]. Its batches go by their sessions, so that
 * one shard alone knows whether a batch was counted before; those without a session go by their viewers. How far a
 * stream is spread is read when a process starts, and holds for its life [AGG-51]. In the next one it may differ: a session
 * is recovered into the shard that its batches go to now; notes of taps, and claims, which speak of the same taps, into the
 * shard that made them, and into the home shard if that one does not count the stream any more. So nothing is known, given
 * back or taken back twice [AGG-52].
 */

import { hashText } from '../../crdt/digest.ts';
import type { StreamId } from '../../crdt/ids.ts';
import type { FlaggedViewer } from '../antispam/flagged.ts';
import { shardOf } from './shards.ts';

/** What something recovered belongs to: a session, or the shard that made it. */
export type Origin = { readonly session: string } | { readonly madeBy: number };

const SESSION_SEED = 0x2c1b3c6d;
const VIEWER_SEED = 0x297a2d39;
const FLAGGED_MAX = 100;

/** The shards that count a stream, its home shard first: never more than there are. */
export function shardsOf(stream: StreamId, spread: number, shardCount: number): readonly number[] {
  const home = shardOf(stream, shardCount);
  return Array.from({ length: Math.max(1, Math.min(spread, shardCount)) }, (_, next) => (home + next) % shardCount);
}

export class Spreads {
  readonly #shardCount: number;
  /** By home shard: what most streams have. */
  #plain: readonly (readonly number[])[];
  /** Of the streams that are spread otherwise. */
  readonly #others = new Map<StreamId, readonly number[]>();

  /** Until they are read, no stream is spread. */
  constructor(shardCount: number) {
    this.#shardCount = shardCount;
    this.#plain = this.#ringOf(1);
  }

  /** Reads the spreads once, before any shard recovers: of these streams, and that of all others. */
  read(streams: Iterable<StreamId>, spreadOf: (stream: StreamId) => number, plain: number): void {
    this.#plain = this.#ringOf(plain);
    this.#others.clear();
    for (const stream of streams) {
      const spread = spreadOf(stream);
      if (spread !== plain) this.#others.set(stream, shardsOf(stream, spread, this.#shardCount));
    }
  }

  shardsOf(stream: StreamId): readonly number[] {
    return this.#others.get(stream) ?? this.#plain[shardOf(stream, this.#shardCount)]!;
  }

  /** The shard that a batch goes to. */
  shardOfBatch({ stream, session, viewer }: { readonly stream: StreamId; readonly session: string | null; readonly viewer: string }): number {
    const shards = this.shardsOf(stream);
    if (shards.length === 1) return shards[0]!;
    const hash = session === null ? hashText(viewer, VIEWER_SEED) : hashText(session, SESSION_SEED);
    return shards[(hash >>> 0) % shards.length]!;
  }

  /** Whether a shard is the one that what was recovered of a stream belongs to. */
  owns(shard: number, stream: StreamId, origin: Origin): boolean {
    if ('session' in origin) return this.shardOfBatch({ stream, session: origin.session, viewer: '' }) === shard;
    const shards = this.shardsOf(stream);
    return shard === (shards.includes(origin.madeBy) ? origin.madeBy : shards[0]);
  }

  #ringOf(spread: number): readonly (readonly number[])[] {
    const width = Math.max(1, Math.min(spread, this.#shardCount));
    return Array.from({ length: this.#shardCount }, (_, home) => Array.from({ length: width }, (__, next) => (home + next) % this.#shardCount));
  }
}

/** Whom the shards of a stream take for programs, each viewer once, the most suspicious first [AGG-53]. */
export function joinFlagged(lists: readonly (readonly FlaggedViewer[])[]): FlaggedViewer[] {
  if (lists.length === 1) return [...lists[0]!];
  const worst = new Map<string, FlaggedViewer>();
  for (const one of lists.flat()) if (one.score > (worst.get(one.viewer)?.score ?? -1)) worst.set(one.viewer, one);
  return [...worst.values()].sort((one, other) => other.score - one.score).slice(0, FLAGGED_MAX);
}
