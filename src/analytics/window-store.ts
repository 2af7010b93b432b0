/**
 * The window store port: the database of windows, and what is asked of it.
 *
 * Adapter: `postgres-store.ts`, for PostgreSQL, TimescaleDB and PGlite behind its socket alike.
 * Contract: `test/contracts/window-store-contract.ts`.
 */

import type { StreamId } from '../../crdt/ids.ts';
import type { WindowRecord } from './window-record.ts';

/** The database cannot be reached or refused for now. */
export class WindowStoreUnavailable extends Error {
  override readonly name: string = 'WindowStoreUnavailable';
}

/** It answers, but has not the tables of this build. `ovation migrate` makes them. */
export class WindowStoreOutdated extends WindowStoreUnavailable {
  override readonly name = 'WindowStoreOutdated';
}

export const HISTORY_STEPS = { '1s': 1, '10s': 10, '1m': 60, '1h': 3600 } as const;
export type HistoryStep = keyof typeof HISTORY_STEPS;

export interface HistoryQuery {
  readonly stream: StreamId;
  /** Milliseconds since the epoch, inclusive. */
  readonly from: number;
  /** Milliseconds since the epoch, exclusive. */
  readonly to: number;
  readonly step: HistoryStep;
  readonly emoji?: string;
  /** At most this many points, oldest first. */
  readonly limit: number;
}

export interface HistoryPoint {
  readonly emoji: string;
  /** Milliseconds since the epoch. */
  readonly windowStart: number;
  /** Increments − decrements, over all actors. */
  readonly count: number;
  /** Reactions per second per viewer watching; null when nobody was watching. */
  readonly normalizedRate: number | null;
}

/** What the database holds of one actor's counts, summed over all windows. */
export interface StoredEntry {
  readonly actor: string;
  readonly emoji: string;
  readonly increments: number;
  readonly decrements: number;
}

export interface WindowStore {
  /** Idempotent: of each field the greatest value ever stored stays. @throws WindowStoreUnavailable */
  store(records: readonly WindowRecord[]): Promise<void>;
  /** @throws WindowStoreUnavailable */
  history(query: HistoryQuery): Promise<HistoryPoint[]>;
  /** @throws WindowStoreUnavailable */
  stored(stream: StreamId): Promise<StoredEntry[]>;
  close(): Promise<void>;
}
