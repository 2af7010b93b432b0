/** Commits of one actor, as an aggregator would make them, with the ground truth beside them. */

import * as fc from 'fast-check';
import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { WINDOW_MS, windowStartOf, type WindowRecord } from '../../src/analytics/window-record.ts';
import type { Commit, Correction } from '../../src/hot-store/hot-store.ts';

export const ACTOR = 'us/0/1795342812345' as ActorId;
export const START_MS = Date.UTC(2026, 0, 22, 12);

/** What happened in one commit tick. */
export interface Tick {
  /** Since the tick before. */
  readonly afterMs: number;
  readonly taps: readonly {
    readonly stream: string;
    readonly emoji: string;
    readonly added: number;
    readonly retracted: number;
    /** So many windows ago was counted what is taken back. */
    readonly windowsAgo?: number;
  }[];
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
        windowsAgo: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 8 })),
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
}

/** The commits of the ticks, in order; `markOf` says what each claims to be stored. */
export function commitsOf(history: readonly Tick[], markOf: (at: number) => number = () => 0, actor = ACTOR): Commit[] {
  const counts = new Map<string, Map<string, Entry>>();
  const commits: Commit[] = [];
  const corrections = new Map<string, Correction>();
  let at = START_MS;
  for (const { afterMs, taps } of history) {
    at += afterMs;
    const windowStart = windowStartOf(at);
    const touched = new Set<string>();
    const corrected = new Set<string>();
    for (const { stream, emoji, added, retracted, windowsAgo = 0 } of taps) {
      touched.add(stream);
      const entries = counts.get(stream) ?? new Map<string, Entry>();
      counts.set(stream, entries);
      const entry = entries.get(emoji) ?? { increments: 0, decrements: 0, windowStart, windowIncrements: 0 };
      entries.set(emoji, entry);
      turn(entry, windowStart);
      entry.increments += added;
      entry.decrements += retracted;
      entry.windowIncrements += added;
      if (retracted === 0) continue;
      const correctedWindow = windowStart - windowsAgo * WINDOW_MS;
      const key = `${stream} ${emoji} ${correctedWindow}`;
      const decrements = retracted + (corrections.get(key)?.decrements ?? 0);
      corrections.set(key, { stream: stream as StreamId, emoji: emoji as EmojiId, windowStart: correctedWindow, decrements });
      corrected.add(key);
    }
    const rows = [...touched].map((stream) => ({
      stream: stream as StreamId,
      entries: [...counts.get(stream)!].map(([emoji, entry]) => {
        turn(entry, windowStart);
        const { increments, decrements, windowIncrements } = entry;
        return { emoji: emoji as EmojiId, increments, decrements, windowIncrements };
      }),
    }));
    commits.push({
      actor,
      sequence: commits.length + 1,
      at,
      rows,
      sessions: [],
      contributions: [],
      corrections: [...corrected].map((key) => corrections.get(key)!),
      windowsStoredBefore: markOf(at),
    });
  }
  return commits;
}

function turn(entry: Entry, windowStart: number): void {
  if (entry.windowStart === windowStart) return;
  Object.assign(entry, { windowStart, windowIncrements: 0 });
}

export type Books = Record<string, { increments: number; decrements: number }>;

/** The truth, from the taps alone: what each window must hold, of what was committed in windows before a time. */
export function expectedWindows(history: readonly Tick[], committedBefore = Infinity): Books {
  const books: Books = {};
  let at = START_MS;
  for (const { afterMs, taps } of history) {
    at += afterMs;
    for (const { stream, emoji, added, retracted, windowsAgo = 0 } of taps) {
      const window = windowStartOf(at);
      if (window >= committedBefore) return books;
      if (added > 0) entryOf(books, window, stream, emoji).increments += added;
      if (retracted > 0) entryOf(books, window - windowsAgo * WINDOW_MS, stream, emoji).decrements += retracted;
    }
  }
  return books;
}

function entryOf(books: Books, window: number, stream: string, emoji: string): Books[string] {
  return (books[`${window} ${stream} ${emoji}`] ??= { increments: 0, decrements: 0 });
}

/** What these books lack of others; nothing when they hold at least as much of everything. */
export function lackingIn(books: Books, expected: Books): string[] {
  return Object.entries(expected).flatMap(([key, { increments, decrements }]) => {
    const held = books[key] ?? { increments: 0, decrements: 0 };
    return held.increments >= increments && held.decrements >= decrements ? [] : [key];
  });
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
