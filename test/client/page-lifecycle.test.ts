import { beforeEach, describe, expect, test } from 'vitest';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Discontinuity, PageLike, Platform, ReactionsOptions } from '../../src/client/client-types.ts';
import { postAndForget } from '../../src/client/post-batches.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';

class Page extends EventTarget implements PageLike {
  readonly document = Object.assign(new EventTarget(), { visibilityState: 'visible' });

  show(visibility: 'visible' | 'hidden'): void {
    this.document.visibilityState = visibility;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  say(name: string): void {
    this.dispatchEvent(new Event(name));
  }
}

let runtime: SimulatedRuntime;
let world: SimulatedWorld;
let page: Page;

beforeEach(() => {
  runtime = createSimulatedRuntime(21);
  world = new SimulatedWorld(runtime, 'us');
  page = new Page();
});

async function start(options: Partial<ReactionsOptions> = {}) {
  const reactions = createReactions({
    endpoints: 'https://us.test',
    streamId: 'derby',
    platform: { ...world.platform(), page },
    ...options,
  });
  await runtime.runUntil(() => reactions.state === 'connected');
  return reactions;
}

describe('[SDK-11] a page that is away', () => {
  test('offline: the connection rests, taps wait, and both go on once it is online', async () => {
    const reactions = await start();
    page.say('offline');
    expect(reactions.state).toBe('disconnected');
    expect(reactions.tap('heart', 2)).toBe(2);
    await runtime.runFor(60_000);
    expect(world.connections.length).toBe(1);
    page.say('online');
    await runtime.runUntil(() => world.tapsCounted === 2, 5_000);
    reactions.close();
  });

  test('hidden: what waits goes at once, the connection ten seconds later, and comes back when it is seen', async () => {
    const reactions = await start();
    reactions.tap('heart');
    reactions.tap('fire');
    page.show('hidden');
    await runtime.runFor(100);
    expect(world.tapsCounted).toBe(2);
    await runtime.runFor(9_000);
    expect(reactions.state).toBe('connected');
    page.show('visible');
    page.show('hidden');
    await runtime.runFor(9_000);
    expect(reactions.state).toBe('connected');
    await runtime.runFor(2_000);
    expect(reactions.state).toBe('disconnected');
    expect(runtime.pendingTimers).toBe(0);
    page.show('visible');
    await runtime.runUntil(() => reactions.state === 'connected', 1_000);
    reactions.close();
  });

  test('left: all that is unanswered is posted so that it outlives the page, and counts once also when the page comes back', async () => {
    const reactions = await start();
    world.faults = { ...world.faults, lostAck: 1 };
    reactions.tap('heart');
    await runtime.runFor(1_000);
    // The socket is dead and nobody knows yet.
    world.faults = { ...world.faults, lostAck: 0, lostBatch: 1 };
    reactions.tap('heart', 2);
    reactions.tap('fire', 3);
    page.say('pagehide');
    expect(world.requests).toMatchObject([{ method: 'POST', url: 'https://us.test/reactions?region=us', keepalive: true }]);
    await runtime.runFor(1_000);
    expect(world.tapsCounted).toBe(6);
    expect(reactions.state).toBe('disconnected');
    world.faults = { ...world.faults, lostBatch: 0 };
    let acknowledged = 0;
    reactions.on('ack', ({ accepted }) => (acknowledged += accepted));
    page.say('pageshow');
    await runtime.runUntil(() => acknowledged === 6);
    expect(world.tapsCounted).toBe(6);
    reactions.close();
  });

  test('left before any region was met: what was tapped is posted to whichever answers, once, and in doubt', async () => {
    const discontinuities: Discontinuity[] = [];
    const reactions = createReactions({ endpoints: 'https://us.test', streamId: 'derby', platform: { ...world.platform(), page } });
    reactions.on('discontinuity', (event) => discontinuities.push(event));
    reactions.tap('heart', 2);
    await runtime.runFor(1);
    expect(reactions.state).toBe('connecting');
    page.say('pagehide');
    page.say('pagehide');
    expect(world.requests).toMatchObject([{ method: 'POST', url: 'https://us.test/reactions', keepalive: true }]);
    await runtime.runFor(1_000);
    expect(world.tapsCounted).toBe(2);
    page.say('pageshow');
    reactions.tap('fire');
    await runtime.runUntil(() => world.tapsCounted === 3);
    expect(discontinuities).toEqual([{ reason: 'in-doubt', taps: 2 }]);
    reactions.close();
  });

  test('what is posted on leaving stays below what browsers let through', () => {
    const bodies: string[] = [];
    const reactions = Array.from({ length: 32 }, (_, index) => ({ emoji_id: `${'e'.repeat(60)}${index}`, count: 1 }));
    const batches = Array.from({ length: 32 }, (_, index) => ({ type: 'batch' as const, seq: index + 1, reactions, timestamp: 0 }));
    postAndForget(
      { ...(world.platform() as Platform), fetch: (_url, { body }) => Promise.resolve(Response.json(bodies.push(String(body)))) },
      { endpoint: 'https://us.test', region: 'us', streamId: 'derby', viewerId: 'ann', sessionId: 's', token: undefined, batches },
    );
    expect(bodies.length).toBe(1);
    expect(bodies[0]!.length).toBeLessThan(65_536);
    expect((JSON.parse(bodies[0]!) as { seq: number }[]).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
  });

  test('hidden before a reconnect is welcomed: nothing is said over it yet, and what waits is posted', async () => {
    const errors: unknown[] = [];
    const reactions = await start();
    reactions.on('error', (error) => errors.push(error));
    const us = world.region('us');
    us.restart();
    reactions.tap('heart', 2);
    await runtime.runUntil(() => us.sockets.size === 1);
    expect(reactions.state).toBe('connecting');
    page.show('hidden');
    await runtime.runUntil(() => reactions.state === 'connected');
    await runtime.runFor(1_000);
    expect(world.tapsCounted).toBe(2);
    expect(errors).toEqual([]);
    reactions.close();
  });

  test('[SDK-7] closed by who hears that an endpoint is wrong, it has not begun to listen to the page', async () => {
    const reactions = createReactions({ endpoints: ['https://us.test', 'ftp://eu.test'], streamId: 'derby', platform: { ...world.platform(), page } });
    reactions.on('error', () => reactions.close());
    await runtime.runFor(1_000);
    expect(reactions.endpoint).toBeNull();
    page.show('hidden');
    expect(runtime.pendingTimers).toBe(0);
    expect(world.connections).toEqual([]);
  });

  test('once closed it listens to the page no more', async () => {
    const reactions = await start();
    reactions.close();
    page.say('offline');
    page.say('online');
    page.show('hidden');
    await runtime.runFor(20_000);
    expect(world.connections.length).toBe(1);
    expect(runtime.pendingTimers).toBe(0);
  });

  test('a page that is opened in the background connects, and rests when nobody looks for ten seconds', async () => {
    page.document.visibilityState = 'hidden';
    const reactions = await start();
    await runtime.runFor(10_001);
    expect(reactions.state).toBe('disconnected');
    reactions.close();
  });
});
