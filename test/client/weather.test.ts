import { beforeEach, describe, expect, test } from 'vitest';
import type { Platform, Reactions, ReactionsOptions } from '../../src/client/client-types.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';
import { watchReactions, type WatchedReactions } from './watched-reactions.ts';

let runtime: SimulatedRuntime;
let world: SimulatedWorld;

beforeEach(() => {
  runtime = createSimulatedRuntime(11);
  world = new SimulatedWorld(runtime, 'us', 'eu');
});

const start = (options: Partial<ReactionsOptions> = {}, platform: Partial<Platform> = {}): WatchedReactions => watchReactions(world, options, platform);
const connected = (reactions: Reactions) => runtime.runUntil(() => reactions.state === 'connected');

describe('[SDK-10] where WebSocket is blocked', () => {
  test('taps are posted and count once, frames are made of totals, and a socket takes over when one gets through', async () => {
    world.webSocketsBlocked = true;
    const { reactions } = start();
    const frames: number[] = [];
    reactions.on('frame', ({ totals }) => frames.push(totals['heart']!));
    await connected(reactions);
    expect(reactions.palette).toHaveProperty('heart');
    world.faults = { ...world.faults, lostAck: 0.3 };
    let taken = 0;
    for (let tap = 0; tap < 50; tap++) {
      taken += reactions.tap('heart');
      await runtime.runFor(200);
    }
    const posts = world.requests.filter(({ method }) => method === 'POST').length;
    expect(posts).toBeLessThan(15);
    world.faults = { ...world.faults, lostAck: 0 };
    await runtime.runUntil(() => frames.at(-1) === taken && reactions.totals['heart'] === taken);
    expect(world.tapsCounted).toBe(taken);
    world.webSocketsBlocked = false;
    await runtime.runUntil(() => world.region('us').sockets.size === 1, 700_000);
    expect(reactions.state).toBe('connected');
    await runtime.runFor(1_000);
    const requests = world.requests.length;
    taken += reactions.tap('heart');
    await runtime.runUntil(() => world.tapsCounted === taken);
    expect(world.requests.length).toBe(requests);
    reactions.close();
  });

  test('without any WebSocket, and with `http` alone, it goes the same way', async () => {
    for (const { reactions } of [start({ transport: 'http' }), start({}, { WebSocket: undefined })]) {
      await connected(reactions);
      reactions.tap('fire');
    }
    await runtime.runUntil(() => world.tapsCounted === 2);
    expect(world.connections).toEqual([]);
  });
});

describe('[SDK-20] what passes over HTTP ends nothing', () => {
  /** Answers instead of the region, as proxies and portals do. */
  const between = (status: number, body = '<html>not now</html>') => () => Promise.resolve(new Response(body, { status }));

  test.each([
    ['404', between(404)],
    ['404 as JSON', between(404, '{"message": "no such route"}')],
    ['403', between(403)],
    ['408', between(408)],
    ['413', between(413)],
    ['429', between(429)],
    ['HTML', between(200)],
    ['other JSON', between(200, '{}')],
  ])('%s for ten seconds: taps wait, and count once', async (_name, answer) => {
    let instead: typeof answer | null = null;
    const fetch: Platform['fetch'] = (url, init) => instead?.() ?? world.platform().fetch!(url, init);
    const { reactions, errors } = start({ transport: 'http' }, { fetch });
    await connected(reactions);
    instead = answer;
    reactions.tap('heart', 3);
    await runtime.runFor(10_000);
    expect(reactions.tap('heart', 2)).toBe(2);
    instead = null;
    await runtime.runUntil(() => reactions.state === 'connected' && world.tapsCounted === 5);
    expect(errors.filter(({ temporary }) => !temporary)).toEqual([]);
    reactions.close();
  });

  test.each([408, 425, 429])('%i as the first answer of all is waited for, too', async (status) => {
    let asked = 0;
    const fetch: Platform['fetch'] = (url, init) => ((asked += 1) < 3 ? between(status)() : world.platform().fetch!(url, init));
    const { reactions, errors } = start({ transport: 'http' }, { fetch });
    await connected(reactions);
    expect(errors.filter(({ temporary }) => !temporary)).toEqual([]);
    reactions.close();
  });

  test('but what never was a region is one error, and the end', async () => {
    const { reactions, errors } = start({ transport: 'http' }, { fetch: between(404) });
    await runtime.runFor(60_000);
    expect(errors).toMatchObject([{ code: 'not-found', temporary: false }]);
    expect(reactions.state).toBe('disconnected');
  });
});

describe('[SDK-20] a stream that drains', () => {
  test('keeps who was there through a lost connection, whether they have tapped or not, and lets nobody new in', async () => {
    const { reactions, errors } = start();
    await connected(reactions);
    const us = world.region('us');
    us.isDraining = true;
    us.restart();
    reactions.tap('heart', 2);
    await runtime.runUntil(() => world.tapsCounted === 2);
    await runtime.runFor(1_000);
    us.restart();
    await runtime.runFor(10_000);
    expect(reactions.state).toBe('connected');
    expect(reactions.tap('heart')).toBe(1);
    await runtime.runUntil(() => world.tapsCounted === 3);
    expect(errors).toEqual([]);
    const late = start();
    await runtime.runFor(10_000);
    expect(late.errors).toMatchObject([{ code: 'stream-draining', temporary: false }]);
    expect(late.reactions.state).toBe('disconnected');
    reactions.close();
  });

  test('is shown on to who only watches, over HTTP', async () => {
    const { reactions, errors } = start({ watchOnly: true });
    await connected(reactions);
    world.region('us').isDraining = true;
    world.region('us').restart();
    await runtime.runUntil(() => world.requests.length > 0);
    await connected(reactions);
    const { frame } = reactions;
    await runtime.runUntil(() => reactions.frame !== frame);
    expect(errors).toEqual([]);
    reactions.close();
  });
});

describe('[SDK-14] a region that goes away in order', () => {
  test('answers what it has, gets nothing new, and is met again when it asked to be', async () => {
    const { reactions, states } = start();
    await connected(reactions);
    await runtime.runFor(6_000);
    reactions.tap('heart');
    for (const socket of world.region('us').sockets) socket.deliver({ type: 'goaway', retry_after_ms: 3_000 });
    await runtime.runFor(500);
    reactions.tap('fire', 2);
    await runtime.runFor(500);
    expect(world.tapsCounted).toBe(1);
    world.region('us').restart(1012);
    const closedAt = runtime.clock.now();
    await runtime.runUntil(() => world.connections.length === 2);
    expect(runtime.clock.now() - closedAt).toBe(3_000);
    await runtime.runUntil(() => world.tapsCounted === 3);
    expect(states).toEqual(['connecting', 'connected', 'connecting', 'connected']);
    reactions.close();
  });
});

test('[SDK-14] a crowd returns over the time that it was asked to, also when the region drained for longer than that', async () => {
  const crowd = Array.from({ length: 200 }, () => start().reactions);
  await runtime.runUntil(() => crowd.every(({ state }) => state === 'connected'));
  await runtime.runFor(6_000);
  const from = world.connections.length;
  for (const socket of world.region('us').sockets) {
    socket.deliver({ type: 'goaway', retry_after_ms: Math.floor(runtime.random.next() * 5_000) });
  }
  await runtime.runFor(5_000);
  world.region('us').restart(1012);
  const closedAt = runtime.clock.now();
  await runtime.runUntil(() => crowd.every(({ state }) => state === 'connected'));
  const seconds = [0, 0, 0, 0, 0, 0];
  for (const { at } of world.connections.slice(from)) seconds[Math.floor((at - closedAt) / 1_000)]! += 1;
  expect(Math.max(...seconds)).toBeLessThan(80);
  expect(Math.min(...seconds.slice(0, 5))).toBeGreaterThan(20);
  for (const reactions of crowd) reactions.close();
});

describe('[SDK-12] tokens', () => {
  const token = `x.${btoa(JSON.stringify({ sub: 'ann' }))}.x`;

  test('are asked for anew for each connection, and name the viewer', async () => {
    let asked = 0;
    const { reactions } = start({ getToken: () => Promise.resolve(`${token}${(asked += 1)}`) });
    await connected(reactions);
    world.region('us').restart();
    await runtime.runUntil(() => world.hellos.length === 2);
    expect(world.hellos.map((hello) => [hello.viewer_id, hello.token])).toEqual([['ann', `${token}1`], ['ann', `${token}2`]]);
    reactions.close();
  });

  test('that cannot be had are one temporary error, and are asked for again, ever more rarely', async () => {
    let asked = 0;
    const getToken = (): string => {
      asked += 1;
      if (asked < 6) throw new Error('no session');
      return token;
    };
    const { reactions, errors } = start({ getToken });
    await runtime.runUntil(() => reactions.state === 'connected');
    expect(errors).toEqual([{ code: 'token', message: 'no session', temporary: true }]);
    expect(asked).toBe(6);
    reactions.close();
  });

  test('that never come are given up after ten seconds', async () => {
    const { reactions, errors } = start({ getToken: () => new Promise<string>(() => {}) });
    await runtime.runFor(10_100);
    expect(errors.map(({ code }) => code)).toEqual(['token']);
    reactions.close();
  });

  test('that are refused end it with one error', async () => {
    let asked = 0;
    const { reactions, errors } = start({ getToken: () => `${token}${(asked += 1)}` });
    for (let round = 0; round < 4; round++) {
      await runtime.runFor(3_000);
      for (const socket of Array.from(world.region('us').sockets)) socket.cut(4401, 'The token has expired');
    }
    expect(errors).toEqual([{ code: 'unauthenticated', message: 'The token has expired', temporary: false }]);
    expect(asked).toBe(2);
    expect(reactions.state).toBe('disconnected');
    expect(reactions.tap('heart')).toBe(0);
    expect(runtime.pendingTimers).toBe(0);
  });

  test.each(['two words', 'x'.repeat(129)])('name no viewer whom no region would take', async (sub) => {
    const { reactions } = start({ getToken: () => `x.${btoa(JSON.stringify({ sub }))}.x` });
    await connected(reactions);
    expect(world.hellos[0]!.viewer_id).toMatch(/^[0-9a-f]{32}$/);
    reactions.close();
  });

  test('are not shown by who only watches', async () => {
    const { reactions } = start({ watchOnly: true, getToken: () => token });
    await connected(reactions);
    expect(reactions.tap('heart')).toBe(0);
    await runtime.runFor(5_000);
    expect(world.hellos).toEqual([]);
    reactions.close();
  });
});
