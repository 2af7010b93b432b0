/** The window record: one second of one actor's counts for one stream, as stored for analytics. */

import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';

export { WINDOW_MS, windowStartOf } from '../base/window.ts';

export interface WindowRecord {
  readonly stream: StreamId;
  readonly actor: ActorId;
  /** Milliseconds since the epoch; a multiple of `WINDOW_MS`. */
  readonly windowStart: number;
  /** Viewers watching the stream in all regions, as far as the writer knew. */
  readonly viewers: number;
  readonly entries: readonly { readonly emoji: EmojiId; readonly increments: number; readonly decrements: number }[];
}
