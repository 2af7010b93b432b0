/**
 * The Ingest port: edge → aggregator, batches in, replies out.
 *
 * Only plain serializable values cross it, so that edges and aggregators can run in one process or
 * in several.
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';

export type Reaction = readonly [emoji: EmojiId, count: number];

export interface Batch {
  readonly stream: StreamId;
  readonly viewer: string;
  /** What the viewer's app calls its device; null when it does not say. */
  readonly device: string | null;
  /** The network that the batch came from, shortened to what one household has; null when it is not known. */
  readonly address: string | null;
  /** Null for a post without a session: it counts every time. */
  readonly session: string | null;
  /** A positive safe integer; 0 without a session. */
  readonly sequence: number;
  /** At least one; counts are positive integers. */
  readonly reactions: readonly Reaction[];
  /** Regions that may have received it before, in the order of its sendings; absent when there is none. */
  readonly via?: readonly string[];
}

export type Refusal =
  /** The stream's policy says that it takes no more taps. */
  | 'stream-ended'
  /** An emoji that is not in the stream's palette. */
  | 'unknown-emoji'
  /** A sequence number below the session's window: it can no longer be told whether it was counted. */
  | 'stale-sequence'
  /** A bound was reached; nothing was counted. Resend after a while. */
  | 'overloaded'
  /** The shard is starting, stopping or fenced; nothing was acknowledged. Resend after a while. */
  | 'unavailable';

export type IngestReply =
  | {
      readonly kind: 'counted';
      /** Taps of this batch that count, also when it was counted before. */
      readonly accepted: number;
      /** Taps of this batch beyond the viewer's limits. */
      readonly clamped: number;
      /** True when an earlier delivery of the batch was counted. */
      readonly duplicate: boolean;
    }
  | { readonly kind: 'refused'; readonly reason: Refusal; readonly retryAfterMs?: number };

export interface Ingest {
  /** Calls `done` exactly once: after the commit, or with the refusal. Never throws. */
  submit(batch: Batch, done: (reply: IngestReply) => void): void;
}
