/** The window record: one second of one actor's counts for one stream, as stored for analytics. */

import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';

export const WINDOW_MS = 1000;

export interface WindowRecord {
  readonly stream: StreamId;
  readonly actor: ActorId;
  /** Milliseconds since the epoch; a multiple of `WINDOW_MS`. */
  readonly windowStart: number;
  /** Viewers watching the stream in all regions, as far as the writer knew. */
  readonly viewers: number;
  readonly entries: readonly { readonly emoji: EmojiId; readonly increments: number; readonly decrements: number }[];
}

/** The window that a time falls into, by its start. */
export function windowStartOf(atMs: number): number {
  return Math.floor(atMs / WINDOW_MS) * WINDOW_MS;
}
