/**
 * The persister: window queue → window store, removed from the queue only after the database commit.
 *
 * A database that is down only makes the queue longer: the batch at hand is tried again, with growing
 * waits, until it is stored (WIN-7). Storing twice changes nothing, so redeliveries need no care.
 */

import { backoffMs } from '../../regions/backoff.ts';
import { sleep, type Log, type Runtime } from '../../regions/runtime.ts';
import type { WindowQueue } from './window-queue.ts';
import type { WindowRecord } from './window-record.ts';
import type { WindowStore } from './window-store.ts';

const RETRY = { minMs: 100, maxMs: 5000 };
const STOP_MS_MAX = 3_000;

export interface PersisterOptions {
  readonly queue: WindowQueue;
  readonly store: WindowStore;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Told what the database has. */
  readonly onStored?: (records: readonly WindowRecord[]) => void;
}

export class Persister {
  readonly #counters = { storedRecords: 0, storeFailures: 0, queueFailures: 0 };
  readonly #options: PersisterOptions;
  readonly #stopping = new AbortController();
  /** The start of the oldest window at hand; null when nothing is. */
  #oldestAtHand: number | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PersisterOptions) {
    this.#options = options;
  }

  get stats(): {
    readonly storedRecords: number;
    readonly storeFailures: number;
    readonly queueFailures: number;
    /** Messages of the queue that were set aside, unread. */
    readonly malformedMessages: number;
    /** Records that wait in the queue, as far as known. */
    readonly recordsBehind: number;
    /** Age of the oldest record that is being stored; 0 when nothing is behind. */
    readonly oldestAgeMs: number;
  } {
    const { queue, runtime } = this.#options;
    const oldestAgeMs = this.#oldestAtHand === null ? 0 : Math.max(0, runtime.clock.now() - this.#oldestAtHand);
    return { ...this.#counters, malformedMessages: queue.malformed(), recordsBehind: queue.depth(), oldestAgeMs };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves when nothing is being stored any more, or the database hangs; what was not acknowledged stays in the queue. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const done = new AbortController();
    void this.#running.finally(() => done.abort());
    await sleep(this.#options.runtime.timers, STOP_MS_MAX, done.signal);
  }

  async #run(): Promise<void> {
    const { queue, runtime, log } = this.#options;
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await queue.open();
        await queue.consume(async (records) => {
          await this.#storeUntilDone(records);
          failures = 0;
        }, signal);
      } catch (error) {
        this.#counters.queueFailures += 1;
        log.warn({ error }, 'the window queue is lost; opening it again');
        await sleep(runtime.timers, backoffMs((failures += 1), RETRY, runtime.random), signal);
      }
    }
  }

  async #storeUntilDone(records: readonly WindowRecord[]): Promise<void> {
    const { store, runtime, log, onStored } = this.#options;
    const { signal } = this.#stopping;
    this.#oldestAtHand = records.reduce((oldest, record) => Math.min(oldest, record.windowStart), Infinity);
    for (let failures = 1; ; failures++) {
      try {
        await store.store(records);
        this.#counters.storedRecords += records.length;
        this.#oldestAtHand = null;
        onStored?.(records);
        return;
      } catch (error) {
        this.#counters.storeFailures += 1;
        log.warn({ error, records: records.length }, 'the database did not take windows; they stay queued');
        if (!signal.aborted) await sleep(runtime.timers, backoffMs(failures, RETRY, runtime.random), signal);
        if (signal.aborted) throw error;
      }
    }
  }
}
