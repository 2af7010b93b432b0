/** What every window queue promises: at least once, in batches, nothing lost by a store that refuses. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import type { WindowQueue } from '../../src/analytics/window-queue.ts';
import { WindowQueueUnavailable } from '../../src/analytics/window-queue.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import { booksOf, recordsOf } from '../analytics/commits.ts';

export interface QueueUnderTest {
  readonly queue: WindowQueue;
  /** Another one that refuses sooner: it holds at least 100 records and fewer than 60,000. */
  readonly small: WindowQueue;
}

export function windowQueueContract(name: string, make: () => Promise<QueueUnderTest>): void {
  describe(`the window queue ${name}`, () => {
    const opened: WindowQueue[] = [];
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((queue) => queue.close()));
    });

    async function open(): Promise<QueueUnderTest> {
      const made = await make();
      opened.push(made.queue, made.small);
      await Promise.all(opened.map((queue) => queue.open()));
      return made;
    }

    it('[WIN-7] hands out what was published, once stored no more', async () => {
      const { queue } = await open();
      const records = recordsOf(20, 50);
      await queue.publish(records.slice(0, 400));
      const consumer = consume(queue);
      await queue.publish(records.slice(400));
      await vi.waitFor(() => expect(consumer.records).toHaveLength(records.length));
      await consumer.stop();
      expect(booksOf(consumer.records)).toEqual(booksOf(records));
      await vi.waitFor(() => expect(queue.depth()).toBe(0));

      const later = consume(queue);
      await queue.publish(recordsOf(1));
      await vi.waitFor(() => expect(later.records).toEqual(recordsOf(1)));
      await later.stop();
    });

    it('[WIN-7] a batch whose store rejects comes again', async () => {
      const { queue } = await open();
      await queue.publish(recordsOf(10));
      let refusals = 2;
      const consumer = consume(queue, async () => {
        if (refusals-- > 0) throw new Error('the database is down');
      });
      await vi.waitFor(() => expect(booksOf(consumer.records)).toEqual(booksOf(recordsOf(10))), { timeout: 60_000 });
      await consumer.stop();
    });

    it('[WIN-7] one call of store at a time; what waits during a long one is not lost', async () => {
      const { queue } = await open();
      let running = 0;
      let goOn = (): void => {};
      const gate = new Promise<void>((resolve) => (goOn = resolve));
      const consumer = consume(queue, async () => {
        expect((running += 1)).toBe(1);
        await gate;
        running -= 1;
      });
      const records = recordsOf(30);
      for (let from = 0; from < 30; from += 10) await queue.publish(records.slice(from, from + 10));
      await vi.waitFor(() => expect(running).toBe(1));
      goOn();
      await vi.waitFor(() => expect(booksOf(consumer.records)).toEqual(booksOf(records)));
      await consumer.stop();
    });

    it('[WIN-5] refuses when full, and keeps what it took before', async () => {
      const { small } = await open();
      const first = recordsOf(100);
      await small.publish(first);
      await expect(
        (async () => {
          for (let round = 0; round < 12; round++) await small.publish(recordsOf(1, 5000));
        })(),
      ).rejects.toBeInstanceOf(WindowQueueUnavailable);
      const consumer = consume(small);
      await vi.waitFor(() => expect(booksOf(consumer.records)).toMatchObject(booksOf(first)));
      await consumer.stop();
    });

    it('consuming ends when aborted, also with nothing in the queue', async () => {
      const { queue } = await open();
      await consume(queue).stop();
    });
  });
}

function consume(queue: WindowQueue, before: (records: readonly WindowRecord[]) => Promise<void> = async () => {}) {
  const records: WindowRecord[] = [];
  const ending = new AbortController();
  const ended = queue.consume(async (batch) => {
    await before(batch);
    records.push(...batch);
  }, ending.signal);
  return {
    records,
    stop: async () => {
      ending.abort();
      await ended;
    },
  };
}
