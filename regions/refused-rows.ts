/**
 * Rows that the own log has refused, for want of room: set aside, so that they hold up nothing else. Pure. Bounded by the
 * rows that there are.
 */

import type { RowId } from '../crdt/ledger.ts';

export class RefusedRows {
  /** By the key that each would have in the log. */
  readonly #rows = new Map<string, RowId>();

  get size(): number {
    return this.#rows.size;
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  add(key: string, row: RowId): void {
    this.#rows.set(key, row);
  }

  /** All of them, which are refused no more. */
  take(): RowId[] {
    const rows = [...this.#rows.values()];
    this.#rows.clear();
    return rows;
  }
}
