import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Platform, Reactions, ReactionsError, ReactionsOptions } from '../../src/client/client-types.ts';
import { CountingRegion, startCountingRegions } from '../cli/counting-region.ts';

let regions: CountingRegion[] = [];
const open: Reactions[] = [];

beforeEach(async () => {
  regions = await startCountingRegions('us', 'eu');
});
afterEach(async () => {
  for (const reactions of open.splice(0)) reactions.close();
  await Promise.all(regions.map((region) => region.stop()));
});

function start(options: Partial<ReactionsOptions> = {}, platform: Partial<Platform> = {}) {
  const reactions = createReactions({
    endpoints: regions.map(({ url }) => url),
    streamId: 'derby',
    platform: { WebSocket: WebSocket as unknown as Platform['WebSocket'], ...platform },
    ...options,
  });
  open.push(reactions);
  const books = { acknowledged: 0, taken: 0, errors: [] as ReactionsError[] };
  reactions.on('ack', ({ accepted }) => (books.acknowledged += accepted));
  reactions.on('error', (error) => books.errors.push(error));
  const tap = (emoji: string, count?: number): void => void (books.taken += reactions.tap(emoji, count));
  return { reactions, books, tap };
}

const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 20 });
const counted = (region = 0): number => [...regions[region]!.totalsOf('derby').values()].reduce((sum, count) => sum + count, 0);

test('[SDK-4] a tap reaches the region, its frame and the totals', async () => {
  const { reactions, books, tap } = start();
  tap('heart', 3);
  await eventually(() => expect(reactions.frame?.totals).toMatchObject({ heart: 3 }));
  expect(reactions.totals).toMatchObject({ heart: 3 });
  expect(reactions.palette).toHaveProperty('heart', '❤️');
  tap('fire');
  await eventually(() => expect(books.acknowledged).toBe(4));
  expect(books.errors).toEqual([]);
});

test('[SDK-4] acknowledgements that are lost with a restart: resent to the same region, counted once', async () => {
  const us = regions[0]!;
  const { books, tap } = start({ endpoints: us.url });
  us.mute = true;
  tap('heart', 2);
  await eventually(() => expect(us.submissions).toBe(1));
  tap('fire', 3);
  await eventually(() => expect(us.submissions).toBe(2));
  us.mute = false;
  await us.stop();
  tap('clap', 1);
  await us.start();
  await eventually(() => expect(books.acknowledged).toBe(6));
  expect(counted()).toBe(6);
});

test('[SDK-4] fail-over: what is unanswered goes to the other region and says where it was', async () => {
  const [us] = regions as [CountingRegion, CountingRegion];
  const { reactions, books, tap } = start();
  us.mute = true;
  tap('heart', 5);
  await eventually(() => expect(counted()).toBe(5));
  await us.stop();
  await eventually(() => expect(reactions.endpoint).toBe(regions[1]!.url));
  tap('fire', 2);
  await eventually(() => expect(books.acknowledged).toBe(7));
  // Both have counted the first batch; that they settle it is the regions' affair.
  expect([counted(0), counted(1)]).toEqual([5, 7]);
  expect(regions[1]!.moved).toEqual([['us']]);
});

test('[SDK-10] where WebSocket is blocked taps are posted, and frames come all the same', async () => {
  const Blocked = class extends WebSocket {
    constructor() {
      super('ws://127.0.0.1:1');
    }
  };
  const { reactions, books, tap } = start({ endpoints: regions[0]!.url }, { WebSocket: Blocked as unknown as Platform['WebSocket'] });
  tap('heart', 2);
  await eventually(() => expect(books.acknowledged).toBe(2));
  tap('fire', 3);
  await eventually(() => expect(reactions.frame?.totals).toMatchObject({ heart: 2, fire: 3 }));
  expect(reactions.palette).toHaveProperty('fire');
  expect(counted()).toBe(5);
});

test('[SDK-14] a region that drains is waited for, and nothing is lost on the way', async () => {
  const us = regions[0]!;
  const { books, tap } = start({ endpoints: us.url });
  tap('heart');
  await eventually(() => expect(books.acknowledged).toBe(1));
  const burst = setInterval(() => tap('fire'), 20);
  await us.stop();
  await us.start();
  await eventually(() => expect(books.acknowledged).toBeGreaterThan(20));
  clearInterval(burst);
  await eventually(() => expect(books.acknowledged).toBe(books.taken));
  expect(counted()).toBe(books.taken);
});

test('[SDK-13] what refuses for good says so once: a broken stream id by the edge, a path that is none', async () => {
  const wrong = start({ endpoints: `${regions[0]!.url}/not/here` });
  await eventually(() => expect(wrong.reactions.state).toBe('disconnected'));
  await eventually(() => expect(wrong.books.errors).toMatchObject([{ code: 'not-found', temporary: false }]));
  const dead = start({ endpoints: 'http://127.0.0.1:1' });
  await eventually(() => expect(dead.books.errors).toMatchObject([{ code: 'unreachable', temporary: true }]));
});

test('[SDK-13] a missing token: one error, and the SDK stops', async () => {
  const strict = new CountingRegion('us', regions, { jwt: { secret: 'a secret of at least thirty-two characters' } });
  await strict.start();
  regions.push(strict);
  const { reactions, books, tap } = start({ endpoints: strict.url });
  tap('heart');
  await eventually(() => expect(books.errors).toMatchObject([{ code: 'unauthenticated', temporary: false }]));
  expect(reactions.state).toBe('disconnected');
  const watching = start({ endpoints: strict.url, watchOnly: true });
  await eventually(() => expect(watching.reactions.frame).not.toBeNull());
});

test('[SDK-5] the clock of the SDK goes on with whichever of the machine’s clocks goes further', async () => {
  const { browserPlatform } = await import('../../src/client/browser-platform.ts');
  const { clock } = browserPlatform().runtime;
  const wall = vi.spyOn(Date, 'now');
  const monotonic = vi.spyOn(performance, 'now');
  const at = (wallMs: number, monotonicMs: number): number => {
    wall.mockReturnValue(wallMs);
    monotonic.mockReturnValue(monotonicMs);
    return clock.now();
  };
  const start = at(2e12, 1e9);
  // The machine slept for an hour: the monotonic clock stood.
  const woken = at(2e12 + 3_600_000, 1e9 + 10);
  expect(woken - start).toBe(3_600_000);
  // The wall clock is set back.
  expect(at(1e12, 1e9 + 1_010) - woken).toBe(1_000);
  vi.restoreAllMocks();
});
