/**
 * Window records as rows of the database: flat, each key once, in key order. Pure.
 *
 * One statement cannot touch a row twice, so duplicates within a batch are merged by maximum first,
 * as the database merges them between batches. One order for all writers keeps them from waiting for
 * each other in a circle.
 */

import { compareText } from '../base/compare.ts';
import type { WindowRecord } from './window-record.ts';

export interface WindowRow {
  readonly stream: string;
  readonly emoji: string;
  /** Milliseconds since the epoch. */
  readonly windowStart: number;
  readonly actor: string;
  increments: number;
  decrements: number;
  viewers: number;
}

export function windowRows(records: readonly WindowRecord[]): WindowRow[] {
  const rows = new Map<string, WindowRow>();
  for (const { stream, actor, windowStart, viewers, entries } of records) {
    for (const { emoji, increments, decrements } of entries) {
      const key = `${stream} ${emoji} ${windowStart} ${actor}`;
      const held = rows.get(key);
      if (held === undefined) {
        rows.set(key, { stream, emoji, windowStart, actor, increments, decrements, viewers });
      } else {
        held.increments = Math.max(held.increments, increments);
        held.decrements = Math.max(held.decrements, decrements);
        held.viewers = Math.max(held.viewers, viewers);
      }
    }
  }
  return [...rows.values()].sort(byKey);
}

function byKey(one: WindowRow, other: WindowRow): number {
  return (
    compareText(one.stream, other.stream) ||
    compareText(one.emoji, other.emoji) ||
    one.windowStart - other.windowStart ||
    compareText(one.actor, other.actor)
  );
}
