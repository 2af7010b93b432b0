/**
 * One append of the row publisher: what is taken out of its sets, and in which order it goes. Pure.
 */

import type { Ledger, RowId } from '../crdt/ledger.ts';
import { encodeRow } from '../crdt/row.ts';
import type { LogAppend } from './log.ts';
import type { DocumentBatch } from './own-documents.ts';
import { HEARTBEAT_KEY, custodyKey, documentKey, rowKey } from './subjects.ts';

export interface Taken {
  readonly rows: readonly RowId[];
  readonly custody: readonly RowId[];
  readonly documents: DocumentBatch;
  /** No row was left over but those that the log has refused. */
  readonly isAll: boolean;
}

export interface HeartbeatDue {
  readonly payload: Uint8Array;
  /** It tells the digest of all rows that the log holds after this append. */
  readonly isWhole: boolean;
}

/** The heartbeat goes after what it tells of, and before rows that it says nothing of: these may be refused. */
export function messagesOf(ledger: Ledger, taken: Taken, heartbeat: HeartbeatDue | null): LogAppend[] {
  const rows: LogAppend[] = [];
  const add = (ids: readonly RowId[], keyOf: (id: RowId) => string): void => {
    for (const id of ids) {
      const row = ledger.row(id);
      if (row !== undefined) rows.push({ key: keyOf(id), payload: encodeRow(row) });
    }
  };
  add(taken.rows, rowKey);
  add(taken.custody, custodyKey);
  // Documents use the reserve: without them nobody could end streams, which is what makes room.
  const documents: LogAppend[] = taken.documents.versions.map(({ key, bytes }) => ({ key: documentKey(key), payload: bytes, usesReserve: true }));
  if (heartbeat === null) return [...documents, ...rows];
  const word: LogAppend = { key: HEARTBEAT_KEY, payload: heartbeat.payload, usesReserve: true };
  return heartbeat.isWhole ? [...documents, ...rows, word] : [...documents, word, ...rows];
}
