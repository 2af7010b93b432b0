import { beforeEach, describe, expect, test } from 'vitest';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Platform, Reactions, ReactionsError, ReactionsOptions, ReactionsState } from '../../src/client/client-types.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';

let runtime: SimulatedRuntime;
let world: SimulatedWorld;

beforeEach(() => {
  runtime = createSimulatedRuntime(11);
  world = new SimulatedWorld(runtime, 'us', 'eu');
});

function start(options: Partial<ReactionsOptions> = {}, platform: Partial<Platform> = {}) {
  const errors: ReactionsError[] = [];
  const states: ReactionsState[] = [];
  const reactions = createReactions({
    endpoints: 'https://us.test',
    streamId: 'derby',
    platform: { ...world.platform(), ...platform },
    ...options,
  });
  reactions.on('error', (error) => errors.push(error));
  reactions.on('state', (state) => states.push(state));
  return { reactions, errors, states };
}

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

describe('[SDK-13] bad input is one error event, no loop and no crash', () => {
  test.each([
    [{ endpoints: 'not a url' }, 'invalid-options'],
    [{ endpoints: 'ftp://us.test' }, 'invalid-options'],
    [{ endpoints: [] }, 'invalid-options'],
    [{ endpoints: 7 as never }, 'invalid-options'],
    [{ streamId: 'no.such' }, 'invalid-options'],
    [{ viewerId: 'two words' }, 'invalid-options'],
  ] as const)('%o', async (options, code) => {
    const { reactions, errors } = start(options);
    await runtime.runFor(60_000);
    expect(errors).toMatchObject([{ code, temporary: false }]);
    expect(reactions.state).toBe('disconnected');
    expect(reactions.tap('heart')).toBe(0);
    expect(world.connections).toEqual([]);
    expect(runtime.pendingTimers).toBe(0);
  });

  test('no options at all', async () => {
    const reactions = createReactions(undefined as never);
    expect(reactions.tap('heart')).toBe(0);
    reactions.close();
  });

  test('an endpoint where nobody is: told once, tried again ever more rarely', async () => {
    const { reactions, errors } = start({ endpoints: 'https://nowhere.test' });
    await runtime.runFor(600_000);
    expect(errors).toMatchObject([{ code: 'unreachable', temporary: true }]);
    expect(world.connections.length + world.requests.length).toBeLessThan(90);
    reactions.close();
  });

  test.each([
    ['text', 'hello'],
    ['nothing', new ArrayBuffer(0)],
    ['other bytes', new Uint8Array([0x93, 1, 2, 3]).buffer],
    ['a hostile length', new Uint8Array([0xdd, 255, 255, 255, 255]).buffer],
  ])('a server that speaks %s instead of a welcome', async (_name, data) => {
    const { reactions, errors } = start(
      {},
      {
        WebSocket: class {
          binaryType = '';
          readyState = 1;
          onmessage: ((event: never) => void) | null = null;
          onclose = null;
          onerror = null;
          constructor() {
            world.connections.push({ host: '', at: 0 });
            runtime.timers.after(10, () => this.onmessage?.({ data } as never));
          }
          send(): void {}
          close(): void {}
        },
      },
    );
    await runtime.runFor(60_000);
    expect(errors).toMatchObject([{ code: 'not-found', temporary: false }]);
    expect(world.connections.length).toBe(1);
    expect(reactions.state).toBe('disconnected');
    expect(runtime.pendingTimers).toBe(0);
  });

  test('a message that cannot be read after the welcome is passed over; a stream of them ends it', async () => {
    const { reactions, errors } = start();
    await connected(reactions);
    const [socket] = world.region('us').sockets;
    for (let message = 0; message < 8; message++) socket!.raw(new Uint8Array([0x91, 99]).buffer);
    expect(errors).toMatchObject([{ code: 'malformed', temporary: true }]);
    expect(reactions.state).toBe('connected');
    socket!.raw(new Uint8Array([0x91, 99]).buffer);
    expect(errors[1]).toMatchObject({ code: 'not-found', temporary: false });
    expect(reactions.state).toBe('disconnected');
  });

  test('an ended stream: one error, no more taps, and the crowd still shows', async () => {
    const { reactions, errors } = start();
    await connected(reactions);
    world.region('us').refusal = { code: 'stream-ended', temporary: false };
    reactions.tap('heart', 2);
    await runtime.runFor(500);
    expect(errors).toMatchObject([{ code: 'stream-ended', temporary: false }]);
    expect(reactions.tap('heart')).toBe(0);
    await runtime.runFor(20_000);
    expect(errors.length).toBe(1);
    expect(world.sent.length).toBe(1);
    expect(reactions.totals['heart']).toBe(0);
    expect(reactions.state).toBe('connected');
    reactions.close();
  });

  test('a region at its limit: one error however often it says so, until all went well for a while', async () => {
    const { reactions, errors } = start();
    await connected(reactions);
    const struggle = async (): Promise<void> => {
      for (let turn = 0; turn < 10; turn++) {
        world.region('us').refusal = turn % 2 === 0 ? { code: 'overloaded', temporary: true } : null;
        reactions.tap('heart');
        await runtime.runFor(2_000);
      }
    };
    await struggle();
    expect(errors).toMatchObject([{ code: 'overloaded', temporary: true }]);
    await runtime.runFor(31_000);
    reactions.tap('heart');
    await runtime.runFor(1_000);
    await struggle();
    expect(errors.map(({ code }) => code)).toEqual(['overloaded', 'overloaded']);
    await runtime.runFor(5_000);
    expect(world.tapsCounted).toBe(21);
    reactions.close();
  });

  test('an unknown emoji: one error, and nothing is sent; also when it was tapped before the palette was known', async () => {
    const { reactions, errors } = start();
    expect(reactions.tap('pizza', 3)).toBe(3);
    expect(reactions.tap('heart')).toBe(1);
    await connected(reactions);
    await runtime.runFor(500);
    expect(errors).toMatchObject([{ code: 'unknown-emoji', temporary: false }]);
    expect(reactions.tap('pizza')).toBe(0);
    expect(reactions.tap('constructor')).toBe(0);
    expect(reactions.tap('__proto__')).toBe(0);
    expect(world.sent.map(({ batch }) => batch.reactions)).toEqual([[{ emoji_id: 'heart', count: 1 }]]);
    for (const count of [0, -1, 1.5, NaN, Infinity, '2' as never]) expect(reactions.tap('heart', count)).toBe(0);
    reactions.close();
  });

  test('numbers that a region does not accept: what is out is in doubt, and a new session begins', async () => {
    const { reactions, errors } = start();
    const doubts: number[] = [];
    reactions.on('discontinuity', ({ reason, taps }) => reason === 'in-doubt' && doubts.push(taps));
    await connected(reactions);
    world.region('us').refusal = { code: 'stale-sequence', temporary: false };
    reactions.tap('heart', 2);
    await runtime.runUntil(() => doubts.length > 0);
    world.region('us').refusal = null;
    reactions.tap('heart', 3);
    await runtime.runUntil(() => world.tapsCounted === 3);
    expect(doubts).toEqual([2]);
    expect(errors).toMatchObject([{ code: 'stale-sequence' }]);
    expect(new Set(world.hellos.map((hello) => hello.session_id)).size).toBe(2);
    reactions.close();
  });
});

describe('[SDK-7] nothing is thrown into the page', () => {
  test('a listener that throws is reported once, and stops neither the others nor the taps', async () => {
    const reported: unknown[] = [];
    const { reactions } = start({}, { reportError: (error) => reported.push(error) });
    const seen: number[] = [];
    reactions.on('frame', () => {
      throw new Error('of the app');
    });
    const stop = reactions.on('frame', ({ viewers }) => seen.push(viewers));
    await connected(reactions);
    await runtime.runFor(3_000);
    expect(reported).toEqual([new Error('of the app')]);
    expect(seen.length).toBeGreaterThan(3);
    stop();
    stop();
    const before = seen.length;
    await runtime.runFor(3_000);
    expect(seen.length).toBe(before);
    reactions.close();
  });

  test('closed by who hears that its session is of no use, it does not connect anew', async () => {
    const { reactions } = start();
    reactions.on('error', () => reactions.close());
    await connected(reactions);
    world.region('us').refusal = { code: 'stale-sequence', temporary: false };
    reactions.tap('heart');
    await runtime.runFor(60_000);
    expect([reactions.state, world.connections.length, runtime.pendingTimers]).toEqual(['disconnected', 1, 0]);
  });

  test('it may be closed from inside any event, twice, and is silent from then on', async () => {
    for (const name of ['state', 'totals', 'frame', 'ack'] as const) {
      const { reactions } = start();
      let events = 0;
      reactions.on(name, () => {
        events += 1;
        reactions.close();
        reactions.close();
      });
      reactions.tap('heart');
      await runtime.runFor(10_000);
      expect([name, events, reactions.state, reactions.endpoint]).toEqual([name, 1, 'disconnected', null]);
      await runtime.runFor(10_000);
      expect(runtime.pendingTimers).toBe(0);
    }
  });
});
