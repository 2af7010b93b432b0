/**
 * The window queue port: closed windows wait here, durably, until the database has them.
 *
 * At least once: a record may be delivered again, and storing it again changes nothing.
 * Adapters: `memory-window-queue.ts`, `jetstream-window-queue.ts`. Contract:
 * `test/contracts/window-queue-contract.ts`.
 */

import type { WindowRecord } from './window-record.ts';

/** The queue is full or cannot be reached; none or some of the records were kept. Trying again is right. */
export class WindowQueueUnavailable extends Error {
  override readonly name = 'WindowQueueUnavailable';
}

export interface WindowQueue {
  /**
   * Connects and creates what is missing. Called again after a failure.
   * @throws WindowQueueUnavailable
   */
  open(): Promise<void>;
  /**
   * Resolves when the records are durable.
   * @throws WindowQueueUnavailable
   */
  publish(records: readonly WindowRecord[]): Promise<void>;
  /**
   * Hands batches of records to `store`, one call at a time, and removes them from the queue when it
   * resolves; when it rejects they are delivered again (how soon is for `store` to decide: it rejects
   * when it has waited). Resolves when the signal is aborted.
   * @throws WindowQueueUnavailable when the queue is lost; call again.
   */
  consume(store: (records: readonly WindowRecord[]) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** How often it was found to have lost records that it had taken: it is another one than before, or an older copy. */
  losses(): number;
  /** Messages that could not be read and were set aside: their windows are missing from the database. */
  malformed(): number;
  /** Records waiting, as far as known. */
  depth(): number;
  close(): Promise<void>;
}
