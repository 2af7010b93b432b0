/**
 * Surplus rows: what the own log may still hold of streams that are forgotten, and has to remove. Pure.
 *
 * Rows of own actors follow from the ledger when it forgets; rows that are kept for peers (custody) do not, so
 * the keys of those that the log holds are noted here. Bounded by the rows that the log holds.
 */

import { regionOf } from '../crdt/actor.ts';
import type { StreamId } from '../crdt/ids.ts';
import type { Ledger, RowId } from '../crdt/ledger.ts';
import { custodyKey, rowKey } from './subjects.ts';

export class SurplusRows {
  readonly #region: string;
  readonly #ledger: Ledger;
  /** Keys of peers' rows that the log holds, by stream. */
  readonly #kept = new Map<StreamId, Set<string>>();
  readonly #keys = new Set<string>();

  constructor(region: string, ledger: Ledger) {
    this.#region = region;
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** The ledger has forgotten these streams, and held these rows of them. */
  forgotten(streams: readonly StreamId[], rows: readonly RowId[]): void {
    for (const row of rows) if (regionOf(row.actor) === this.#region) this.#keys.add(rowKey(row));
    for (const stream of streams) {
      for (const key of this.#kept.get(stream) ?? []) this.#keys.add(key);
      this.#kept.delete(stream);
    }
  }

  /** The log is read back: what it holds is visited next. */
  opening(): void {
    this.#kept.clear();
  }

  /** A row that the log holds; true when it is surplus. A server that was killed may have brought back what was removed. */
  visit(key: string, row: RowId, isKept: boolean): boolean {
    const isSurplus = this.#ledger.hasForgotten(row.stream);
    if (isSurplus) this.#keys.add(key);
    else if (isKept) this.#keep(row.stream, key);
    return isSurplus;
  }

  /** Rows that the log has taken. They may have been forgotten while they were on their way. */
  published(rows: readonly RowId[], kept: readonly RowId[]): void {
    for (const row of rows) if (this.#ledger.hasForgotten(row.stream)) this.#keys.add(rowKey(row));
    for (const row of kept) this.visit(custodyKey(row), row, true);
  }

  some(limit: number): string[] {
    const keys: string[] = [];
    for (const key of this.#keys) if (keys.push(key) >= limit) break;
    return keys;
  }

  removed(keys: readonly string[]): void {
    for (const key of keys) this.#keys.delete(key);
  }

  #keep(stream: StreamId, key: string): void {
    const keys = this.#kept.get(stream);
    if (keys === undefined) this.#kept.set(stream, new Set([key]));
    else keys.add(key);
  }
}
