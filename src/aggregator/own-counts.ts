/**
 * What this actor itself has counted, per stream: absolute counts, and the part that belongs to the
 * current one-second window.
 *
 * A life of a shard has an actor of its own, so these start at nothing and are never restored: what
 * earlier lives counted stays in the ledger under their actors. What is taken back, of whichever life, is
 * this actor's decrement: only the net counts.
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { ROW_ENTRIES_MAX } from '../../crdt/row.ts';
import { windowStartOf } from '../base/window.ts';
import type { CommitRow } from '../hot-store/hot-store.ts';
import type { Policy } from '../moderation/policy.ts';
import { REACTIONS_PER_BATCH_MAX } from '../protocol/messages.ts';
import { EMOJI_NUMBERS_MAX } from './contribution-cell.ts';
import type { Reaction } from './ingest.ts';

interface OwnEntry {
  readonly emoji: EmojiId;
  /** Stands for the emoji in tables of contributions. */
  readonly number: number;
  increments: number;
  decrements: number;
  windowIncrements: number;
}

/** One stream's counts. `scope` is its number, which stands for it in tables of sessions and buckets and is given once. */
export interface OwnStream {
  readonly stream: StreamId;
  readonly scope: number;
  readonly entries: Map<EmojiId, OwnEntry>;
  /** The policy whose retractions are all carried out; null when none is known to be. */
  checked: Policy | null;
  windowStart: number;
  changed: boolean;
}

/** The id of no stream. */
export const NO_STREAM = '' as StreamId;
/** A stream id and headers, once for the row and once for its contributions. */
const ROW_BYTES = 2 * 80;
/** Three integers and a header, beside the emoji itself; the emoji once more for the contributions. */
const ENTRY_BYTES = 3 * 9 + 2 * 2;

export class OwnCounts {
  readonly #streamsMax: number;
  readonly #streams = new Map<StreamId, OwnStream>();
  readonly #byScope = new Map<number, OwnStream>();
  #nextScope = 0;
  readonly #emojiNumbers = new Map<EmojiId, number>();
  readonly #emojis: EmojiId[] = [];
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

  streams(): Iterable<OwnStream> {
    return this.#byScope.values();
  }

  find(stream: StreamId): OwnStream | undefined {
    return this.#streams.get(stream);
  }

  /** The stream's counts, opened when they are new; undefined when there is no room for them. `found` is what `find` answers. */
  open(stream: StreamId, found = this.find(stream)): OwnStream | undefined {
    if (found !== undefined) return found.entries.size <= ROW_ENTRIES_MAX - REACTIONS_PER_BATCH_MAX ? found : undefined;
    if (this.#streams.size >= this.#streamsMax) return undefined;
    const own = { stream, scope: this.#nextScope, entries: new Map(), checked: null, windowStart: 0, changed: false };
    this.#streams.set(stream, own);
    this.#byScope.set(this.#nextScope++, own);
    return own;
  }

  /** Lets go of a stream that has not changed since changes were taken. */
  forget(own: OwnStream): void {
    this.#streams.delete(own.stream);
    this.#byScope.delete(own.scope);
  }

  /** Only of streams that are not forgotten. */
  ofScope(scope: number): OwnStream {
    return this.#byScope.get(scope)!;
  }

  /** `NO_STREAM` when it is forgotten. */
  streamOf(scope: number): StreamId {
    return this.#byScope.get(scope)?.stream ?? NO_STREAM;
  }

  /** The number of an emoji; −1 when there are too many. */
  numberOf(emoji: EmojiId): number {
    const found = this.#emojiNumbers.get(emoji);
    if (found !== undefined) return found;
    if (this.#emojis.length >= EMOJI_NUMBERS_MAX) return -1;
    this.#emojiNumbers.set(emoji, this.#emojis.length);
    return this.#emojis.push(emoji) - 1;
  }

  emojiOf(number: number): EmojiId {
    return this.#emojis[number]!;
  }

  /** Whether all these emoji have a number or can have one. */
  knows(reactions: readonly Reaction[]): boolean {
    return this.#emojis.length < EMOJI_NUMBERS_MAX - reactions.length || reactions.every(([emoji]) => this.#emojiNumbers.has(emoji));
  }

  /** From now on the stream's row changes, at a time that never goes back. */
  touch(own: OwnStream, now: number): void {
    turnWindow(own, now);
    if (own.changed) return;
    own.changed = true;
    this.#changed.push(own);
    this.#changedBytes += rowBytesMax(own.entries.values());
  }

  /** Counts taps of a stream that was touched; answers the emoji's number. */
  add(own: OwnStream, emoji: EmojiId, taps: number): number {
    const entry = own.entries.get(emoji) ?? this.#newEntry(own, emoji);
    entry.increments += taps;
    entry.windowIncrements += taps;
    return entry.number;
  }

  /** Takes taps back, whoever counted them; false when the row has no room for the emoji. */
  takeBack(own: OwnStream, emoji: EmojiId, taps: number): boolean {
    const found = own.entries.get(emoji);
    if (found === undefined && own.entries.size >= ROW_ENTRIES_MAX) return false;
    const entry = found ?? this.#newEntry(own, emoji);
    entry.decrements += taps;
    return true;
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
    for (const own of this.#byScope.values()) {
      if (own.entries.size === 0) continue;
      turnWindow(own, now);
      yield rowOf(own);
    }
  }

  #newEntry(own: OwnStream, emoji: EmojiId): OwnEntry {
    const entry = { emoji, number: this.numberOf(emoji), increments: 0, decrements: 0, windowIncrements: 0 };
    own.entries.set(emoji, entry);
    this.#changedBytes += ENTRY_BYTES + 2 * emoji.length;
    return entry;
  }
}

/** An upper bound of what msgpack makes of a row. */
export function rowBytesMax(entries: Iterable<{ readonly emoji: EmojiId }>): number {
  let bytes = ROW_BYTES;
  for (const { emoji } of entries) bytes += ENTRY_BYTES + 2 * emoji.length;
  return bytes;
}

function turnWindow(own: OwnStream, now: number): void {
  const windowStart = windowStartOf(now);
  if (own.windowStart === windowStart) return;
  own.windowStart = windowStart;
  for (const entry of own.entries.values()) entry.windowIncrements = 0;
}

function rowOf(own: OwnStream): CommitRow {
  const entries = Array.from(own.entries.values(), ({ emoji, increments, decrements, windowIncrements }) => ({
    emoji,
    increments,
    decrements,
    windowIncrements,
  }));
  return { stream: own.stream, entries };
}
