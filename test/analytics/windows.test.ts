import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActorId } from '../../crdt/actor.ts';
import { WINDOW_MS, windowStartOf, type WindowRecord } from '../../src/analytics/window-record.ts';
import { windowRows } from '../../src/analytics/window-rows.ts';
import { Windows, type ClosedWindow } from '../../src/analytics/windows.ts';
import type { Commit } from '../../src/hot-store/hot-store.ts';
import { ACTOR, START_MS, booksOf, commitsOf, expectedWindows, recordsOf, ticks } from './commits.ts';

const noViewers = (): number => 0;
const ever = (): number => Infinity;

function recordsOfClosed(closed: readonly ClosedWindow[]): WindowRecord[] {
  return closed.map(({ record }) => record);
}

function closeAll(commits: readonly Commit[]) {
  const windows = new Windows();
  for (const commit of commits) windows.join(commit);
  const closed = windows.closeBefore(ever, noViewers);
  expect(windows.size).toBe(0);
  return recordsOfClosed(closed);
}

/** Some commits several times, all at least once, in any order. */
const disorder = fc.record({ repeats: fc.array(fc.nat(), { maxLength: 20 }), seed: fc.integer() });

function disordered(commits: readonly Commit[], { repeats, seed }: { repeats: number[]; seed: number }): Commit[] {
  const all = [...commits, ...(commits.length === 0 ? [] : repeats.map((index) => commits[index % commits.length]!))];
  const order = all.map((commit, index) => ({ commit, rank: Math.imul(seed ^ (index + 1), 0x9e3779b1) }));
  return order.sort((one, other) => one.rank - other.rank).map(({ commit }) => commit);
}

describe('windows', () => {
  it('[WIN-1] any superset of the commits, in any order, gives the same records', () => {
    fc.assert(
      fc.property(ticks, disorder, (history, order) => {
        const commits = commitsOf(history);
        expect(closeAll(disordered(commits, order))).toEqual(closeAll(commits));
      }),
    );
  });

  it('[WIN-1] closing at any times in between changes nothing once records are merged by maximum', () => {
    fc.assert(
      fc.property(ticks, disorder, fc.array(fc.integer({ min: 0, max: 30_000 })), (history, order, closings) => {
        const windows = new Windows();
        const records = disordered(commitsOf(history), order).flatMap((commit, index) => {
          windows.join(commit);
          return recordsOfClosed(windows.closeBefore(() => START_MS + (closings[index] ?? 0), noViewers));
        });
        records.push(...recordsOfClosed(windows.closeBefore(ever, noViewers)));
        expect(booksOf(records)).toEqual(expectedWindows(history));
      }),
    );
  });

  it('[WIN-2] [WIN-15] the windows hold every tap once, less what was taken back: they add up to the counts', () => {
    fc.assert(
      fc.property(ticks, (history) => {
        const commits = commitsOf(history);
        const sums = new Map<string, number[]>();
        // A window that was corrected twice is told twice: of each key the greatest value stays.
        for (const [key, { increments, decrements }] of Object.entries(booksOf(closeAll(commits)))) {
          const [, stream, emoji] = key.split(' ');
          const sum = sums.get(`${stream} ${emoji}`) ?? [0, 0];
          sums.set(`${stream} ${emoji}`, [sum[0]! + increments, sum[1]! + decrements]);
        }
        const counts = new Map<string, number[]>();
        for (const { rows } of commits) {
          for (const { stream, entries } of rows) {
            for (const { emoji, increments, decrements } of entries) counts.set(`${stream} ${emoji}`, [increments, decrements]);
          }
        }
        for (const [key, count] of counts) expect(sums.get(key) ?? [0, 0]).toEqual(count);
      }),
    );
  });

  it('[WIN-3] what was committed in windows before the mark is skipped, whatever the order, and nothing else', () => {
    fc.assert(
      fc.property(ticks, disorder, fc.integer({ min: 0, max: 5 }), (history, order, windowsBehind) => {
        const markOf = (at: number): number => windowStartOf(at) - windowsBehind * WINDOW_MS;
        const commits = commitsOf(history, markOf);
        const mark = Math.max(0, ...commits.map((commit) => commit.windowsStoredBefore));
        const since = commitsOf(history).filter(({ at }) => windowStartOf(at) >= mark);
        expect(booksOf(closeAll(disordered(commits, order)))).toEqual(booksOf(closeAll(since)));
      }),
    );
  });

  it('[WIN-3] a mark speaks for its own actor only', () => {
    const history = [{ afterMs: 0, taps: [{ stream: 's', emoji: 'e', added: 1, retracted: 0 }] }];
    const windows = new Windows();
    for (const commit of commitsOf(history, () => 0, 'us/0/1' as ActorId)) windows.join(commit);
    for (const commit of commitsOf(history, () => START_MS + 60_000, 'us/0/2' as ActorId)) windows.join(commit);
    expect(recordsOfClosed(windows.closeBefore(ever, noViewers)).map(({ actor }) => actor)).toEqual(['us/0/1']);
  });

  it('a window closes when its last millisecond is over, oldest first, with the viewers of that time', () => {
    const tap = { stream: 's', emoji: 'e', added: 1, retracted: 0 };
    const windows = new Windows();
    for (const commit of commitsOf([{ afterMs: 999, taps: [tap] }, { afterMs: 1, taps: [tap] }])) windows.join(commit);
    expect(windows.oldestOpen(ACTOR)).toBe(START_MS);
    expect(windows.closeBefore(() => START_MS + 999, () => 7)).toEqual([]);
    const closed = windows.closeBefore(() => START_MS + 2999, () => 7);
    expect(closed.map(({ record: { windowStart, viewers } }) => [windowStart - START_MS, viewers])).toEqual([[0, 7], [1000, 7]]);
    expect(windows.oldestOpen(ACTOR)).toBe(Infinity);
  });
});

describe('rows of the database', () => {
  it('[WIN-8] each key once, by maximum, in key order', () => {
    const [early, late] = recordsOf(2);
    const grown = { ...early!, viewers: 99, entries: [{ ...early!.entries[0]!, increments: 50, decrements: 0 }] };
    const rows = windowRows([late!, early!, grown]);
    expect(rows.map(({ windowStart, increments, decrements, viewers }) => [windowStart - START_MS, increments, decrements, viewers])).toEqual([
      [0, 50, 1, 99],
      [1000, 3, 1, 10],
    ]);
  });
});
