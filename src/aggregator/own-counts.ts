/**
 * What this actor itself has counted, per stream: absolute counts, and the part that belongs to the
 * current one-second window.
 *
 * A life of a shard has an actor of its own, so these start at nothing and are never restored: what
 * earlier lives counted stays in the ledger under their actors.
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { ROW_ENTRIES_MAX } from '../../crdt/row.ts';
import { windowStartOf } from '../base/window.ts';
import type { CommitRow } from '../hot-store/hot-store.ts';
import { REACTIONS_PER_BATCH_MAX } from '../protocol/messages.ts';
import type { Reaction } from './ingest.ts';

interface OwnEntry {
  readonly emoji: EmojiId;
  increments: number;
  decrements: number;
  windowIncrements: number;
  windowDecrements: number;
}

/** One stream's counts. `scope` is its number, which stands for it in tables of sessions and buckets. */
export interface OwnStream {
  readonly stream: StreamId;
  readonly scope: number;
  readonly entries: Map<EmojiId, OwnEntry>;
  windowStart: number;
  changed: boolean;
}

/** A stream id and headers; four integers and a header, beside the emoji itself. */
const ROW_BYTES = 80;
const ENTRY_BYTES = 4 * 9 + 2;

export class OwnCounts {
  readonly #streamsMax: number;
  readonly #streams = new Map<StreamId, OwnStream>();
  readonly #byScope: OwnStream[] = [];
  #changed: OwnStream[] = [];
  #changedBytes = 0;

  constructor(streamsMax: number) {
    this.#streamsMax = streamsMax;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get changedCount(): number {
    return this.#changed.length;
  }

  /** An upper bound of the encoded size of the rows that changed. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  find(stream: StreamId): OwnStream | undefined {
    return this.#streams.get(stream);
  }

  /** The stream's counts, opened when they are new; undefined when there is no room for them. */
  open(stream: StreamId): OwnStream | undefined {
    const found = this.#streams.get(stream);
    if (found !== undefined) return found.entries.size <= ROW_ENTRIES_MAX - REACTIONS_PER_BATCH_MAX ? found : undefined;
    if (this.#streams.size >= this.#streamsMax) return undefined;
    const own = { stream, scope: this.#byScope.length, entries: new Map(), windowStart: 0, changed: false };
    this.#streams.set(stream, own);
    this.#byScope.push(own);
    return own;
  }

  streamOf(scope: number): StreamId {
    return this.#byScope[scope]!.stream;
  }

  /** Counts the first `accepted` taps of a batch, at a time that never goes back. */
  add(own: OwnStream, reactions: readonly Reaction[], accepted: number, now: number): void {
    this.#touch(own, now);
    let left = accepted;
    for (const [emoji, count] of reactions) {
      const counted = Math.min(count, left);
      if (counted === 0) return;
      left -= counted;
      const entry = this.#entry(own, emoji);
      entry.increments += counted;
      entry.windowIncrements += counted;
    }
  }

  /** The rows that changed since the last call, whole. */
  takeChanged(): CommitRow[] {
    const rows = this.#changed.map(rowOf);
    for (const own of this.#changed) own.changed = false;
    this.#changed = [];
    this.#changedBytes = 0;
    return rows;
  }

  /** All rows, as at `now`. */
  *rows(now: number): Generator<CommitRow> {
    for (const own of this.#byScope) {
      if (own.entries.size === 0) continue;
      turnWindow(own, now);
      yield rowOf(own);
    }
  }

  #touch(own: OwnStream, now: number): void {
    turnWindow(own, now);
    if (own.changed) return;
    own.changed = true;
    this.#changed.push(own);
    this.#changedBytes += rowBytesMax(own.entries.values());
  }

  #entry(own: OwnStream, emoji: EmojiId): OwnEntry {
    const found = own.entries.get(emoji);
    if (found !== undefined) return found;
    const entry = { emoji, increments: 0, decrements: 0, windowIncrements: 0, windowDecrements: 0 };
    own.entries.set(emoji, entry);
    this.#changedBytes += ENTRY_BYTES + emoji.length;
    return entry;
  }
}

/** An upper bound of what msgpack makes of a row. */
export function rowBytesMax(entries: Iterable<{ readonly emoji: EmojiId }>): number {
  let bytes = ROW_BYTES;
  for (const { emoji } of entries) bytes += ENTRY_BYTES + emoji.length;
  return bytes;
}

function turnWindow(own: OwnStream, now: number): void {
  const windowStart = windowStartOf(now);
  if (own.windowStart === windowStart) return;
  own.windowStart = windowStart;
  for (const entry of own.entries.values()) {
    entry.windowIncrements = 0;
    entry.windowDecrements = 0;
  }
}

function rowOf(own: OwnStream): CommitRow {
  return { stream: own.stream, entries: Array.from(own.entries.values(), (entry) => ({ ...entry })) };
}
