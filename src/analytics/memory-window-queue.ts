/**
 * The window queue in memory: for regions without a broker, and for tests.
 *
 * It lives as long as its process and is labelled so: a crash loses what waits here, up to what the
 * hot store replays.
 */

import { WindowQueueUnavailable, type WindowQueue } from './window-queue.ts';
import type { WindowRecord } from './window-record.ts';

const RECORDS_MAX = 500_000;
const RECORDS_PER_STORE_MAX = 5000;

export function createMemoryWindowQueue(recordsMax = RECORDS_MAX): WindowQueue {
  return new Queue(recordsMax);
}

class Queue implements WindowQueue {
  readonly #recordsMax: number;
  #waiting: WindowRecord[] = [];
  #wake: (() => void) | null = null;

  constructor(recordsMax: number) {
    this.#recordsMax = recordsMax;
  }

  async open(): Promise<void> {}

  async publish(records: readonly WindowRecord[]): Promise<void> {
    if (this.#waiting.length + records.length > this.#recordsMax) throw new WindowQueueUnavailable('the queue is full');
    for (const record of records) this.#waiting.push(record);
    this.#wake?.();
  }

  async consume(store: (records: readonly WindowRecord[]) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const batch = this.#waiting.slice(0, RECORDS_PER_STORE_MAX);
      if (batch.length === 0) {
        await this.#more(signal);
        continue;
      }
      const stored = await store(batch).then(
        () => true,
        () => false,
      );
      // Only this consumer takes from the front, so what was handed out is still there.
      if (stored) this.#waiting = this.#waiting.slice(batch.length);
    }
  }

  losses(): number {
    return 0;
  }

  malformed(): number {
    return 0;
  }

  depth(): number {
    return this.#waiting.length;
  }

  async close(): Promise<void> {}

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#wake = null;
        signal.removeEventListener('abort', finish);
        resolve();
      };
      this.#wake = finish;
      signal.addEventListener('abort', finish, { once: true });
      if (signal.aborted) finish();
    });
  }
}
