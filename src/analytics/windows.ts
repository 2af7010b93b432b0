/**
 * Windows: commits → one second of one actor's counts for one stream. Pure.
 *
 * Commits carry absolute window counts, so a window is the maximum of what its commits say: joining
 * any superset of the commits, in any order, any number of times, gives the same records (WIN-1).
 * Windows that a commit's mark declares to be in the queue already are skipped (WIN-3), so recovery
 * may join all commits kept again. How long windows stay open is the publisher's decision.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { Commit, CommitRow } from '../hot-store/hot-store.ts';
import { windowStartOf, type WindowRecord } from './window-record.ts';

interface Counts {
  increments: number;
  decrements: number;
}

type StreamWindows = Map<StreamId, Map<EmojiId, Counts>>;

interface ActorWindows {
  /** Windows that start before this are in the queue, as the actor's own commits say. */
  mark: number;
  readonly open: Map<number, StreamWindows>;
}

export class Windows {
  readonly #actors = new Map<ActorId, ActorWindows>();
  #size = 0;

  /** Open windows, one for each stream, actor and second. */
  get size(): number {
    return this.#size;
  }

  /** Every actor that a commit was joined of. */
  actors(): IterableIterator<ActorId> {
    return this.#actors.keys();
  }

  join(commit: Commit): void {
    const windows = this.#of(commit.actor);
    this.#raiseMark(windows, commit.windowsStoredBefore);
    const start = windowStartOf(commit.at);
    if (start < windows.mark) return;
    let streams = windows.open.get(start);
    if (streams === undefined) {
      streams = new Map();
      windows.open.set(start, streams);
    }
    for (const row of commit.rows) this.#joinRow(streams, row);
    if (streams.size === 0) windows.open.delete(start);
  }

  /** The start of the actor's oldest open window; Infinity when none is open. */
  oldestOpen(actor: ActorId): number {
    let oldest = Infinity;
    for (const start of this.#actors.get(actor)?.open.keys() ?? []) oldest = Math.min(oldest, start);
    return oldest;
  }

  /**
   * Takes out the windows that have ended by the time their actor has reached, oldest first, then by
   * actor and stream. `viewersOf` says how many viewers watch a stream.
   */
  closeBefore(reachedBy: (actor: ActorId) => number, viewersOf: (stream: StreamId) => number): WindowRecord[] {
    const closed: WindowRecord[] = [];
    for (const [actor, { open }] of this.#actors) {
      const end = windowStartOf(reachedBy(actor));
      for (const [windowStart, streams] of open) {
        if (windowStart >= end) continue;
        open.delete(windowStart);
        this.#size -= streams.size;
        for (const [stream, emojis] of streams) {
          closed.push({ stream, actor, windowStart, viewers: viewersOf(stream), entries: entriesOf(emojis) });
        }
      }
    }
    return closed.sort(oldestFirst);
  }

  #of(actor: ActorId): ActorWindows {
    let windows = this.#actors.get(actor);
    if (windows === undefined) {
      windows = { mark: 0, open: new Map() };
      this.#actors.set(actor, windows);
    }
    return windows;
  }

  #raiseMark(windows: ActorWindows, mark: number): void {
    if (mark <= windows.mark) return;
    windows.mark = mark;
    // Replayed commits may come in any order: what was opened before its mark was seen goes away again.
    for (const [start, streams] of windows.open) {
      if (start >= mark) continue;
      windows.open.delete(start);
      this.#size -= streams.size;
    }
  }

  #joinRow(streams: StreamWindows, row: CommitRow): void {
    for (const { emoji, windowIncrements, windowDecrements } of row.entries) {
      if (windowIncrements === 0 && windowDecrements === 0) continue;
      let emojis = streams.get(row.stream);
      if (emojis === undefined) {
        emojis = new Map();
        streams.set(row.stream, emojis);
        this.#size += 1;
      }
      const counts = emojis.get(emoji);
      if (counts === undefined) {
        emojis.set(emoji, { increments: windowIncrements, decrements: windowDecrements });
      } else {
        counts.increments = Math.max(counts.increments, windowIncrements);
        counts.decrements = Math.max(counts.decrements, windowDecrements);
      }
    }
  }
}

function entriesOf(emojis: ReadonlyMap<EmojiId, Counts>): WindowRecord['entries'] {
  return [...emojis]
    .map(([emoji, { increments, decrements }]) => ({ emoji, increments, decrements }))
    .sort((one, other) => compare(one.emoji, other.emoji));
}

function oldestFirst(one: WindowRecord, other: WindowRecord): number {
  return (
    one.windowStart - other.windowStart || compare(one.actor, other.actor) || compare(one.stream, other.stream)
  );
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
