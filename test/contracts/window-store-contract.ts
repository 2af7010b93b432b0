/** What every window store promises, on a database that was just migrated. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { HistoryPoint, HistoryStep, WindowStore } from '../../src/analytics/window-store.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import { run } from '../support/postgres.ts';

export interface StoreUnderTest {
  readonly store: WindowStore;
  readonly url: string;
}

const START_MS = Date.UTC(2026, 10, 22, 12);
let streams = 0;

/** A stream that no other test has written. */
function newStream(): StreamId {
  return `contract-${streams++}` as StreamId;
}

function recordOf(
  stream: StreamId,
  actor: string,
  second: number,
  viewers: number,
  counts: Readonly<Record<string, readonly [increments: number, decrements: number]>>,
): WindowRecord {
  const entries = Object.entries(counts).map(([emoji, [increments, decrements]]) => ({ emoji: emoji as EmojiId, increments, decrements }));
  return { stream, actor: actor as ActorId, windowStart: START_MS + second * 1000, viewers, entries };
}

export function windowStoreContract(name: string, current: () => StoreUnderTest, rounds = 20): void {
  describe(`the window store on ${name}`, () => {
    const history = (stream: StreamId, step: HistoryStep = '1s', emoji?: string): Promise<HistoryPoint[]> =>
      current().store.history({
        stream,
        from: START_MS - 86_400_000,
        to: START_MS + 86_400_000,
        step,
        limit: 1000,
        ...(emoji === undefined ? {} : { emoji }),
      });

    it('[WIN-8] of each field the greatest value stays, in any order, however often and in whatever batches', async () => {
      const { store } = current();
      const count = fc.nat({ max: 1000 });
      const write = fc.record({ actor: fc.constantFrom('us/0/1', 'eu/0/1'), second: fc.nat({ max: 2 }), increments: count, decrements: count });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(write, { maxLength: 6 }), { maxLength: 4 }), async (batches) => {
          const stream = newStream();
          const expected = new Map<string, [number, number]>();
          for (const batch of batches) {
            for (const { actor, second, increments, decrements } of batch) {
              const held = expected.get(`${actor} ${second}`) ?? [0, 0];
              expected.set(`${actor} ${second}`, [Math.max(held[0], increments), Math.max(held[1], decrements)]);
            }
            const records = batch.map((given) =>
              recordOf(stream, given.actor, given.second, 1, { heart: [given.increments, given.decrements] }),
            );
            await store.store(records);
            await store.store(records);
          }
          const sums = new Map<string, [number, number]>();
          for (const [key, [increments, decrements]] of expected) {
            const actor = key.split(' ')[0]!;
            const sum = sums.get(actor) ?? [0, 0];
            sums.set(actor, [sum[0] + increments, sum[1] + decrements]);
          }
          const stored = await store.stored(stream);
          expect(new Map(stored.map((entry) => [entry.actor, [entry.increments, entry.decrements]]))).toEqual(sums);
        }),
        { numRuns: rounds },
      );
    });

    it('[WIN-8] writers of two regions store at the same time, and all of it counts', async () => {
      const { store } = current();
      const stream = newStream();
      const writes = ['us/0/1', 'eu/0/1'].flatMap((actor) =>
        Array.from({ length: 10 }, (_, round) =>
          // The same windows again and again, growing, as after redeliveries.
          store.store(Array.from({ length: 50 }, (__, second) => recordOf(stream, actor, second, 1, { fire: [round + 1, 0], heart: [round + 1, 1] }))),
        ),
      );
      await Promise.all(writes);
      expect(await store.stored(stream)).toEqual(
        ['eu/0/1', 'us/0/1'].flatMap((actor) => [
          { actor, emoji: 'fire', increments: 500, decrements: 0 },
          { actor, emoji: 'heart', increments: 500, decrements: 50 },
        ]),
      );
    });

    it('[WIN-8] keeps counts beyond 32 bits, an id that spells NULL, and says nothing of what it does not have', async () => {
      const { store } = current();
      const stream = newStream();
      await store.store([]);
      await store.store([recordOf(stream, 'us/0/1', 0, 0, { NULL: [Number.MAX_SAFE_INTEGER, 0], null: [1, 0] })]);
      expect(await store.stored(stream)).toEqual([
        { actor: 'us/0/1', emoji: 'NULL', increments: Number.MAX_SAFE_INTEGER, decrements: 0 },
        { actor: 'us/0/1', emoji: 'null', increments: 1, decrements: 0 },
      ]);
      expect(await history(newStream())).toEqual([]);
      expect(await store.stored(newStream())).toEqual([]);
    });

    it('[WIN-10] the view has exactly the analysts’ columns; count is net over all actors', async () => {
      const { store, url } = current();
      const stream = newStream();
      await store.store([
        recordOf(stream, 'us/0/1', 0, 8, { heart: [10, 2], fire: [4, 0] }),
        recordOf(stream, 'eu/0/1', 0, 4, { heart: [3, 1] }),
        recordOf(stream, 'us/0/1', 61, 0, { heart: [5, 0] }),
      ]);
      const rows = await run(url, 'SELECT * FROM reactions_1s WHERE stream_id = $1 ORDER BY window_start, emoji_id', [stream]);
      expect(rows).toEqual([
        // Eight viewers were known of, by the other region: viewers watch streams, not emoji.
        { stream_id: stream, emoji_id: 'fire', window_start: new Date(START_MS), count: '4', normalized_rate: 0.5 },
        { stream_id: stream, emoji_id: 'heart', window_start: new Date(START_MS), count: '10', normalized_rate: 1.25 },
        { stream_id: stream, emoji_id: 'heart', window_start: new Date(START_MS + 61_000), count: '5', normalized_rate: null },
      ]);
      expect(Object.keys(rows[0]!)).toEqual(['stream_id', 'emoji_id', 'window_start', 'count', 'normalized_rate']);
      const columns = await run(
        url,
        `SELECT column_name || ' ' || data_type AS column FROM information_schema.columns
         WHERE table_name IN ('reactions_1s', 'reactions_1m', 'reactions_1h') ORDER BY table_name, ordinal_position`,
      );
      const expected = ['stream_id text', 'emoji_id text', 'window_start timestamp with time zone', 'count bigint', 'normalized_rate double precision'];
      expect(columns.map(({ column }) => column)).toEqual([...expected, ...expected, ...expected]);
    });

    it('[WIN-11] history by step says the same as the views', async () => {
      const { store, url } = current();
      const stream = newStream();
      await store.store(
        [0, 1, 9, 10, 59, 60, 3599, 3600].flatMap((second) => [
          recordOf(stream, 'us/0/1', second, 10, { heart: [second + 1, 1], fire: [2, 0] }),
          recordOf(stream, 'eu/0/1', second, 20, { heart: [1, 0] }),
        ]),
      );
      for (const [step, view] of [['1s', 'reactions_1s'], ['1m', 'reactions_1m'], ['1h', 'reactions_1h']] as const) {
        const rows = await run<{ emoji_id: string; window_start: Date; count: string; normalized_rate: number | null }>(
          url,
          `SELECT * FROM ${view} WHERE stream_id = $1 ORDER BY window_start, emoji_id`,
          [stream],
        );
        const points = await history(stream, step);
        expect(points.map(({ emoji, windowStart, count }) => ({ emoji, windowStart, count }))).toEqual(
          rows.map((row) => ({ emoji: row.emoji_id, windowStart: row.window_start.getTime(), count: Number(row.count) })),
        );
        for (const [index, point] of points.entries()) expect(point.normalizedRate).toBeCloseTo(rows[index]!.normalized_rate!, 12);
      }
      expect((await history(stream, '10s', 'fire')).map(({ windowStart, count }) => [(windowStart - START_MS) / 1000, count])).toEqual([
        [0, 6],
        [10, 2],
        [50, 2],
        [60, 2],
        [3590, 2],
        [3600, 2],
      ]);
      expect((await history(stream, '1h', 'heart'))[0]!.normalizedRate).toBeCloseTo(3745 / 3600 / 20, 12);
    });

    it('[WIN-11] from is inclusive, to exclusive, the oldest come first and at most as many as asked for', async () => {
      const { store } = current();
      const stream = newStream();
      await store.store(Array.from({ length: 10 }, (_, second) => recordOf(stream, 'us/0/1', second, 1, { heart: [1, 0] })));
      const points = await store.history({ stream, from: START_MS + 2000, to: START_MS + 8000, step: '1s', limit: 4 });
      expect(points.map(({ windowStart }) => (windowStart - START_MS) / 1000)).toEqual([2, 3, 4, 5]);
      expect(await store.history({ stream, from: START_MS + 7000, to: START_MS + 8000, step: '1s', limit: 4 })).toHaveLength(1);
    });
  });
}
