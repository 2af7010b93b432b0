/**
 * Windows: commits → one second of one actor's counts for one stream. Pure.
 *
 * Commits carry absolute window counts, so a window is the maximum of what its commits say: joining
 * any superset of the commits, in any order, any number of times, gives the same records (WIN-1).
 * What a commit's mark declares to be stored already is skipped (WIN-3), so recovery may join all commits
 * kept again. What a commit took back of older windows comes out with its own, as records of those windows (WIN-15).
 * How long windows stay open is the publisher's decision.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { compareText } from '../base/compare.ts';
import type { Commit } from '../hot-store/hot-store.ts';
import { windowStartOf, type WindowRecord } from './window-record.ts';

interface Counts {
  increments: number;
  decrements: number;
}

/** A window that ended, and the one in which it was committed: a later one when it is the correction of an old window. */
export interface ClosedWindow {
  readonly record: WindowRecord;
  readonly committedIn: number;
}

/** What was committed in one window: records of that window, and of older ones that it corrected. */
type OpenRecords = Map<string, { readonly stream: StreamId; readonly windowStart: number; readonly emojis: Map<EmojiId, Counts> }>;

interface ActorWindows {
  /** What was committed in windows that start before this is stored, as the actor's own commits say. */
  mark: number;
  readonly open: Map<number, OpenRecords>;
}

export class Windows {
  readonly #actors = new Map<ActorId, ActorWindows>();
  #size = 0;

  /** Open records, one for each stream, actor, second, and second in which it was committed. */
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
    let records = windows.open.get(start);
    if (records === undefined) {
      records = new Map();
      windows.open.set(start, records);
    }
    for (const { stream, entries } of commit.rows) {
      for (const { emoji, windowIncrements } of entries) {
        if (windowIncrements > 0) this.#raise(records, stream, start, emoji, 'increments', windowIncrements);
      }
    }
    for (const { stream, emoji, windowStart, decrements } of commit.corrections) {
      this.#raise(records, stream, windowStart, emoji, 'decrements', decrements);
    }
    if (records.size === 0) windows.open.delete(start);
  }

  /** The start of the actor's oldest window in which something was committed and not closed; Infinity when there is none. */
  oldestOpen(actor: ActorId): number {
    let oldest = Infinity;
    for (const start of this.#actors.get(actor)?.open.keys() ?? []) oldest = Math.min(oldest, start);
    return oldest;
  }

  /**
   * Takes out the windows that have ended by the time their actor has reached, oldest first, then by
   * actor and stream. `viewersOf` says how many viewers watch a stream.
   */
  closeBefore(reachedBy: (actor: ActorId) => number, viewersOf: (stream: StreamId) => number): ClosedWindow[] {
    const closed: ClosedWindow[] = [];
    for (const [actor, { open }] of this.#actors) {
      const end = windowStartOf(reachedBy(actor));
      for (const [committedIn, records] of open) {
        if (committedIn >= end) continue;
        open.delete(committedIn);
        this.#size -= records.size;
        for (const { stream, windowStart, emojis } of records.values()) {
          // Who watches now did not watch then: of an old window this writer knows no viewers.
          const viewers = windowStart === committedIn ? viewersOf(stream) : 0;
          closed.push({ committedIn, record: { stream, actor, windowStart, viewers, entries: entriesOf(emojis) } });
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
    for (const [start, records] of windows.open) {
      if (start >= mark) continue;
      windows.open.delete(start);
      this.#size -= records.size;
    }
  }

  #raise(records: OpenRecords, stream: StreamId, windowStart: number, emoji: EmojiId, field: keyof Counts, value: number): void {
    const key = `${stream} ${windowStart}`;
    let record = records.get(key);
    if (record === undefined) {
      records.set(key, (record = { stream, windowStart, emojis: new Map() }));
      this.#size += 1;
    }
    let counts = record.emojis.get(emoji);
    if (counts === undefined) record.emojis.set(emoji, (counts = { increments: 0, decrements: 0 }));
    counts[field] = Math.max(counts[field], value);
  }
}

function entriesOf(emojis: ReadonlyMap<EmojiId, Counts>): WindowRecord['entries'] {
  return [...emojis]
    .map(([emoji, { increments, decrements }]) => ({ emoji, increments, decrements }))
    .sort((one, other) => compareText(one.emoji, other.emoji));
}

function oldestFirst(one: ClosedWindow, other: ClosedWindow): number {
  return (
    one.committedIn - other.committedIn ||
    one.record.windowStart - other.record.windowStart ||
    compareText(one.record.actor, other.record.actor) ||
    compareText(one.record.stream, other.record.stream)
  );
}
