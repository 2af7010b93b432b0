/**
 * Viewers that move to another region with batches unanswered, real processes and real NATS: a region is killed under load,
 * comes back, and what two regions have counted is counted once.
 */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { Platform, Reactions } from '../../src/client/client-types.ts';
import { createReactions } from '../../src/client/create-reactions.ts';
import { natsAvailable } from '../support/nats.ts';
import { startRegionProcesses, type RegionProcesses } from '../support/region-processes.ts';

const REGIONS = ['us', 'eu', 'ap'];
const VIEWERS = 40;
const LONG = { timeout: 180_000 };

interface Player {
  readonly reactions: Reactions;
  readonly books: { taken: number; accepted: number; clamped: number; lost: number; moves: number };
}

describe.skipIf(!natsAvailable)('fail-over', () => {
  let regions: RegionProcesses;

  beforeAll(async () => {
    regions = await startRegionProcesses(REGIONS);
  }, 60_000);
  afterAll(() => regions?.stop());

  const eventually = (check: () => void | Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 50 });
  const total = async (name: string, stream: string): Promise<number | null> => {
    const totals = await regions.totals(name, stream);
    return totals && Object.values(totals).reduce((sum, count) => sum + count, 0);
  };
  const post = async (name: string, reaction: object): Promise<unknown> => {
    const response = await fetch(`${regions.url(name)}/reactions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ viewer_id: 'ada', timestamp: Date.now(), session_id: 's1', seq: 1, emoji_id: 'heart', count_since_last: 3, ...reaction }),
    });
    return response.json();
  };
  const everywhere = async (stream: string, count: number): Promise<void> => {
    for (const name of REGIONS) await eventually(async () => expect(await total(name, stream), name).toBe(count));
  };

  it('[CLAIM-7] a batch that two regions have counted counts once, and each answers resends as it did', LONG, async () => {
    const batch = { stream_id: 'twice' };
    expect(await post('us', batch)).toMatchObject({ accepted: 3, duplicate: false });
    expect(await post('eu', { ...batch, via: ['us'] })).toMatchObject({ accepted: 3, duplicate: false });
    expect(await post('ap', { ...batch, via: ['us', 'eu'] })).toMatchObject({ accepted: 3, duplicate: false });
    await everywhere('twice', 3);
    expect(await post('us', { ...batch, via: ['us', 'eu', 'ap'] })).toMatchObject({ accepted: 3, duplicate: true });
    await everywhere('twice', 3);
  });

  it('[CLAIM-7] a region that was down when its viewers moved never counts what they took along', LONG, async () => {
    const batch = { stream_id: 'late', count_since_last: 2 };
    await regions.kill('us');
    expect(await post('eu', { ...batch, via: ['us'] })).toMatchObject({ accepted: 2, duplicate: false });
    await regions.start('us');
    await everywhere('late', 2);
    // What was on its way all the time, or a viewer that never heard of the answer.
    await eventually(async () => expect(await post('us', batch)).toMatchObject({ accepted: 2, duplicate: true }));
    await everywhere('late', 2);
  });

  it('[CLAIM-7] [SDK-4] kill -9 of a region under load: every tap that was taken counts once', LONG, async () => {
    const endpoints = REGIONS.map((name) => regions.url(name));
    const players = Array.from({ length: VIEWERS }, (): Player => {
      const books = { taken: 0, accepted: 0, clamped: 0, lost: 0, moves: 0 };
      const platform = { WebSocket: WebSocket as unknown as Platform['WebSocket'] };
      const reactions = createReactions({ endpoints, streamId: 'storm', platform });
      reactions.on('ack', ({ accepted, clamped }) => {
        books.accepted += accepted;
        books.clamped += clamped;
      });
      reactions.on('discontinuity', ({ reason, taps }) => {
        if (reason === 'in-doubt' || reason === 'dropped') books.lost += taps;
        if (reason === 'moved') books.moves += 1;
      });
      return { reactions, books };
    });
    const tapping = setInterval(() => {
      for (const { reactions, books } of players) books.taken += reactions.tap('heart');
    }, 150);
    try {
      await eventually(() => expect(players.every(({ books }) => books.accepted > 10)).toBe(true));
      await regions.kill('us');
      await eventually(() => expect(players.every(({ books }) => books.moves > 0)).toBe(true));
      await regions.start('us');
      // They go home again, and some of it is unanswered once more.
      await eventually(() => expect(players.some(({ books }) => books.moves > 1)).toBe(true));
    } finally {
      clearInterval(tapping);
    }
    await eventually(() => {
      for (const { books } of players) expect(books.accepted + books.clamped + books.lost).toBe(books.taken);
    });
    for (const { reactions } of players) reactions.close();
    expect(players.map(({ books }) => books.lost)).toEqual(players.map(() => 0));
    await everywhere('storm', players.reduce((sum, { books }) => sum + books.accepted, 0));
  });
});
