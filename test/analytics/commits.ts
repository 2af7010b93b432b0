/** Commits of one actor, as an aggregator would make them, with the ground truth beside them. */

import * as fc from 'fast-check';
import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { WINDOW_MS, windowStartOf, type WindowRecord } from '../../src/analytics/window-record.ts';
import type { Commit } from '../../src/hot-store/hot-store.ts';

export const ACTOR = 'us/0/1795342812345' as ActorId;
export const START_MS = Date.UTC(2026, 0, 22, 12);

/** What happened in one commit tick. */
export interface Tick {
  /** Since the tick before. */
  readonly afterMs: number;
  readonly taps: readonly { readonly stream: string; readonly emoji: string; readonly added: number; readonly retracted: number }[];
}

const name = (prefix: string): fc.Arbitrary<string> => fc.integer({ min: 0, max: 2 }).map((index) => `${prefix}${index}`);

export const ticks: fc.Arbitrary<Tick[]> = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 1500 }),
    taps: fc.array(
      fc.record({
        stream: name('stream'),
        emoji: name('emoji'),
        added: fc.integer({ min: 0, max: 9 }),
        retracted: fc.integer({ min: 0, max: 3 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  }),
  { maxLength: 30 },
);

interface Entry {
  increments: number;
  decrements: number;
  windowStart: number;
  windowIncrements: number;
  windowDecrements: number;
}

/** The commits of the ticks, in order; `markOf` says what each claims to be stored. */
export function commitsOf(history: readonly Tick[], markOf: (at: number) => number = () => 0, actor = ACTOR): Commit[] {
  const counts = new Map<string, Map<string, Entry>>();
  const commits: Commit[] = [];
  let at = START_MS;
  for (const { afterMs, taps } of history) {
    at += afterMs;
    const windowStart = windowStartOf(at);
    const touched = new Set<string>();
    for (const { stream, emoji, added, retracted } of taps) {
      touched.add(stream);
      const entries = counts.get(stream) ?? new Map<string, Entry>();
      counts.set(stream, entries);
      const entry = entries.get(emoji) ?? { increments: 0, decrements: 0, windowStart, windowIncrements: 0, windowDecrements: 0 };
      entries.set(emoji, entry);
      turn(entry, windowStart);
      entry.increments += added;
      entry.decrements += retracted;
      entry.windowIncrements += added;
      entry.windowDecrements += retracted;
    }
    const rows = [...touched].map((stream) => ({
      stream: stream as StreamId,
      entries: [...counts.get(stream)!].map(([emoji, entry]) => {
        turn(entry, windowStart);
        const { increments, decrements, windowIncrements, windowDecrements } = entry;
        return { emoji: emoji as EmojiId, increments, decrements, windowIncrements, windowDecrements };
      }),
    }));
    commits.push({ actor, sequence: commits.length + 1, at, rows, sessions: [], windowsStoredBefore: markOf(at) });
  }
  return commits;
}

function turn(entry: Entry, windowStart: number): void {
  if (entry.windowStart === windowStart) return;
  Object.assign(entry, { windowStart, windowIncrements: 0, windowDecrements: 0 });
}

export type Books = Record<string, { increments: number; decrements: number }>;

/** The truth, from the taps alone: what each window must hold. */
export function expectedWindows(history: readonly Tick[]): Books {
  const books: Books = {};
  let at = START_MS;
  for (const { afterMs, taps } of history) {
    at += afterMs;
    for (const { stream, emoji, added, retracted } of taps) {
      if (added === 0 && retracted === 0) continue;
      const entry = (books[`${windowStartOf(at)} ${stream} ${emoji}`] ??= { increments: 0, decrements: 0 });
      entry.increments += added;
      entry.decrements += retracted;
    }
  }
  return books;
}

/** Records as the database keeps them: by key, the greatest of each field. */
export function booksOf(records: readonly WindowRecord[]): Books {
  const books: Books = {};
  for (const { windowStart, stream, entries } of records) {
    for (const { emoji, increments, decrements } of entries) {
      const entry = (books[`${windowStart} ${stream} ${emoji}`] ??= { increments: 0, decrements: 0 });
      entry.increments = Math.max(entry.increments, increments);
      entry.decrements = Math.max(entry.decrements, decrements);
    }
  }
  return books;
}

/** Records of one second each, for `streams` streams named by a prefix, with values that tell them apart. */
export function recordsOf(seconds: number, streams = 1, actor = ACTOR, prefix = 'stream'): WindowRecord[] {
  return Array.from({ length: seconds * streams }, (_, index) => ({
    stream: `${prefix}${index % streams}` as StreamId,
    actor,
    windowStart: START_MS + Math.floor(index / streams) * WINDOW_MS,
    viewers: 10,
    entries: [{ emoji: 'heart' as EmojiId, increments: index + 2, decrements: 1 }],
  }));
}
