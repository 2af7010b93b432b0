/**
 * The FrameFeed port: aggregator side → edges, everything that is read of counts.
 *
 * Only plain serializable values cross it, so that edges and aggregators can run in one process or
 * in several.
 */

import type { StreamId } from '../../crdt/ids.ts';

/** The rungs of the degradation ladder, mildest first. */
export const LEVELS = ['exact', 'relaxed', 'hearts', 'static'] as const;
export type Level = (typeof LEVELS)[number];

/** What players receive each tick. Self-contained: any frame replaces all before it. */
export interface Frame {
  readonly stream: StreamId;
  /** The region that made it. */
  readonly region: string;
  /** When it was made, milliseconds since the epoch. */
  readonly at: number;
  readonly level: Level;
  /** Converged count of each emoji: Σ increments − Σ decrements over all regions' actors. */
  readonly totals: Readonly<Record<string, number>>;
  /**
   * Taps of all emoji that were counted and taken back since the stream began: Σ decrements. Whoever shows totals sees by its
   * growth that they are lower for a reason, also after frames that were skipped. Absent while 0 [FRAME-13].
   */
  readonly corrected?: number;
  /** Smoothed reactions per second of each emoji. */
  readonly rates: Readonly<Record<string, number>>;
  /** How many reactions of each emoji to show as new now: the increase, capped, so that a heal does not explode on screen. */
  readonly hints: Readonly<Record<string, number>>;
  /** Viewers watching, in all regions as far as known. */
  readonly viewers: number;
  /** Of each peer region, how old its last word is, in milliseconds; null when it never spoke. */
  readonly staleness: Readonly<Record<string, number | null>>;
}

/** One actor's entry in the books, as counted by the answering region. */
export interface BookEntry {
  readonly actor: string;
  readonly emoji: string;
  readonly increments: number;
  readonly decrements: number;
}

/** The books of one stream in one region. */
export interface StreamBooks {
  readonly stream: StreamId;
  readonly region: string;
  /** Equal on regions that hold the same entries. */
  readonly digest: string;
  readonly entries: readonly BookEntry[];
  /** The actor that this region's shard, of several the home shard, writes as now. */
  readonly actor: string;
  /** Those of all its shards that count the stream; absent when there is one. */
  readonly actors?: readonly string[];
  /** Taps acknowledged as accepted by the process of these actors, counted apart from the ledger. */
  readonly acknowledged: number;
  /** Batches of any stream that moved, and of which this process could not settle whether another region has counted them, too. */
  readonly claimsInDoubt: number;
}

/** One line of the list of streams. */
export interface StreamSummary {
  readonly stream: StreamId;
  readonly level: Level;
  /** Of all emoji together. */
  readonly total: number;
  readonly rate: number;
  readonly viewers: number;
}

export interface FrameFeed {
  /** Tells how many viewers this edge has on a stream; frames come while it is above 0. */
  watch(stream: StreamId, viewers: number): void;
  /** Calls for each frame of each watched stream. */
  onFrame(listener: (frame: Frame) => void): () => void;
  /** The frame as it would be now, watched or not; of an unknown stream an empty one. */
  read(stream: StreamId): Promise<Frame>;
  books(stream: StreamId): Promise<StreamBooks>;
  /**
   * Up to `limit` streams, the liveliest first: of those that are watched here or changed last, or, when `among` is
   * given, of those, whether anything happened there or not.
   */
  streams(limit: number, among: readonly StreamId[] | null): Promise<readonly StreamSummary[]>;
}
