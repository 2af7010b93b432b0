import { beforeEach, describe, expect, test } from 'vitest';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Platform, Reactions, ReactionsOptions } from '../../src/client/client-types.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';

const HOUR_MS = 3_600_000;

let runtime: SimulatedRuntime;
let world: SimulatedWorld;

beforeEach(() => {
  runtime = createSimulatedRuntime(17);
  world = new SimulatedWorld(runtime, 'us', 'eu', 'ap');
});

function start(options: Partial<ReactionsOptions> = {}, platform: Partial<Platform> = {}) {
  const reactions = createReactions({
    endpoints: ['https://us.test', 'https://eu.test'],
    streamId: 'derby',
    platform: { ...world.platform(), ...platform },
    ...options,
  });
  const books = { acknowledged: 0, moves: 0, errors: [] as string[], states: [] as string[] };
  reactions.on('ack', ({ accepted }) => (books.acknowledged += accepted));
  reactions.on('error', ({ code }) => books.errors.push(code));
  reactions.on('state', (state) => books.states.push(state));
  reactions.on('discontinuity', ({ reason }) => (books.moves += Number(reason === 'moved')));
  return { reactions, books };
}

function isAt(reactions: Reactions, name: string): boolean {
  return reactions.state === 'connected' && reactions.endpoint === `https://${name}.test`;
}

/** A client of `us` that lost it, and is at `eu`. */
async function startAway(options: Partial<ReactionsOptions> = {}, platform: Partial<Platform> = {}) {
  const away = start(options, platform);
  await runtime.runUntil(() => isAt(away.reactions, 'us'));
  setDown('us', true);
  await runtime.runUntil(() => isAt(away.reactions, 'eu'));
  return away;
}

function setDown(name: string, isDown: boolean): void {
  world.region(name).isDown = isDown;
  if (isDown) world.region(name).restart();
}

const connectionsTo = (name: string): number[] => world.connections.filter(({ host }) => host === `${name}.test`).map(({ at }) => at);

describe('[SDK-17] a client that had to go to a further region', () => {
  test('goes home when that answers, without a gap; what it left unanswered is asked of the other one', async () => {
    const { reactions, books } = await startAway();
    setDown('us', false);
    const states = books.states.length;
    // Counted, but the answers are lost, so something is always unanswered when it moves.
    world.faults = { ...world.faults, lostAck: 1 };
    let taken = 0;
    while (!isAt(reactions, 'us')) {
      taken += reactions.tap('heart');
      await runtime.runFor(200);
    }
    expect(world.region('eu').totals['heart']).toBeGreaterThan(0);
    world.faults = { ...world.faults, lostAck: 0 };
    taken += reactions.tap('fire', 5);
    await runtime.runUntil(() => books.acknowledged === taken);
    expect(world.tapsCounted).toBe(taken);
    expect(world.region('us').totals['fire']).toBe(5);
    expect(books.moves).toBe(2);
    expect(books.states.length).toBe(states);
    expect(world.region('eu').sockets.size).toBe(0);
    reactions.close();
    await runtime.runFor(60_000);
    expect(runtime.pendingTimers).toBe(0);
  });

  test('is found at the nearest that answers, and goes on from there', async () => {
    const { reactions } = start({ endpoints: ['https://us.test', 'https://eu.test', 'https://ap.test'] });
    for (const name of ['us', 'eu']) setDown(name, true);
    await runtime.runUntil(() => isAt(reactions, 'ap'));
    setDown('eu', false);
    await runtime.runUntil(() => isAt(reactions, 'eu'), HOUR_MS);
    setDown('us', false);
    await runtime.runUntil(() => isAt(reactions, 'us'), HOUR_MS);
    const { length } = world.connections;
    await runtime.runFor(HOUR_MS);
    expect(world.connections.length).toBe(length);
    reactions.close();
  });

  test('looks ever more rarely at a region that stays away, and tells nobody', async () => {
    const { reactions, books } = await startAway();
    const from = connectionsTo('us').length;
    await runtime.runFor(2 * HOUR_MS);
    const looks = connectionsTo('us').slice(from);
    expect(looks.length).toBeGreaterThan(10);
    expect(looks.length).toBeLessThan(30);
    const pauses = looks.slice(1).map((at, index) => at - looks[index]!);
    expect(Math.max(...pauses)).toBeLessThan(15 * 60_000);
    expect(Math.min(...pauses.slice(7))).toBeGreaterThan(4 * 60_000);
    expect(books).toMatchObject({ moves: 1, errors: [] });
    expect(isAt(reactions, 'eu')).toBe(true);
    reactions.close();
  });

  test('bears a region that says nothing', async () => {
    const { reactions, books } = await startAway();
    setDown('us', false);
    world.region('us').isSilent = true;
    await runtime.runFor(120_000);
    expect(isAt(reactions, 'eu')).toBe(true);
    expect(books.errors).toEqual([]);
    world.region('us').isSilent = false;
    await runtime.runUntil(() => isAt(reactions, 'us'), HOUR_MS);
    reactions.close();
  });

  test('does not go to and fro with a home that always fails again', async () => {
    const { reactions, books } = await startAway();
    const end = runtime.clock.now() + 4 * HOUR_MS;
    setDown('us', false);
    while (runtime.clock.now() < end) {
      await runtime.runFor(500);
      if (!isAt(reactions, 'us')) continue;
      await runtime.runFor(20_000);
      setDown('us', true);
      await runtime.runUntil(() => isAt(reactions, 'eu'));
      setDown('us', false);
    }
    // There and back again, some seven times an hour.
    expect(books.moves).toBeLessThan(90);
    expect(books.moves).toBeGreaterThan(20);
    // A home that stood for long is gone to soon again.
    await runtime.runUntil(() => isAt(reactions, 'us'), HOUR_MS);
    await runtime.runFor(HOUR_MS);
    setDown('us', true);
    await runtime.runUntil(() => isAt(reactions, 'eu'));
    setDown('us', false);
    const from = runtime.clock.now();
    await runtime.runUntil(() => isAt(reactions, 'us'));
    expect(runtime.clock.now() - from).toBeLessThan(20_000);
    reactions.close();
  });

  test('looks at nothing while the page is offline', async () => {
    const page = Object.assign(new EventTarget(), { document: Object.assign(new EventTarget(), { visibilityState: 'visible' }) });
    const { reactions } = await startAway({}, { page: page as never });
    page.dispatchEvent(new Event('offline'));
    const { length } = world.connections;
    await runtime.runFor(HOUR_MS);
    expect(world.connections.length).toBe(length);
    setDown('us', false);
    page.dispatchEvent(new Event('online'));
    await runtime.runUntil(() => isAt(reactions, 'us'));
    reactions.close();
  });

  test('shows a new token at home, and stays where it is while there is none', async () => {
    let asked = 0;
    let isSignedIn = true;
    const getToken = (): string => {
      if (!isSignedIn) throw new Error('no session');
      return `token-${(asked += 1)}`;
    };
    const { reactions, books } = await startAway({ getToken });
    const before = asked;
    setDown('us', false);
    isSignedIn = false;
    await runtime.runFor(60_000);
    expect(isAt(reactions, 'eu')).toBe(true);
    isSignedIn = true;
    await runtime.runUntil(() => isAt(reactions, 'us'), HOUR_MS);
    expect(books.errors).toEqual([]);
    expect(world.hellos.at(-1)!.token).toBe(`token-${before + 1}`);
    reactions.close();
  });

  test('a browser that forbids the address is no error of the page', async () => {
    const { WebSocket } = world.platform();
    function Picky(url: string, protocol: string) {
      if (url.includes('us.test')) throw new DOMException('An insecure address', 'SecurityError');
      return new WebSocket!(url, protocol);
    }
    const { reactions } = start({}, { WebSocket: Picky as unknown as Platform['WebSocket'] });
    await runtime.runUntil(() => isAt(reactions, 'eu'));
    await runtime.runFor(HOUR_MS);
    expect(isAt(reactions, 'eu')).toBe(true);
    reactions.close();
    await runtime.runFor(60_000);
    expect(runtime.pendingTimers).toBe(0);
  });

  test('that may use HTTP alone comes home over HTTP', async () => {
    const { reactions, books } = start({ transport: 'http' });
    setDown('us', true);
    await runtime.runUntil(() => isAt(reactions, 'eu'));
    setDown('us', false);
    await runtime.runUntil(() => isAt(reactions, 'us'), HOUR_MS);
    reactions.tap('heart', 3);
    await runtime.runUntil(() => books.acknowledged === 3);
    expect(world.region('us').totals['heart']).toBe(3);
    expect(world.connections).toEqual([]);
    reactions.close();
  });
});

describe('[SDK-17] a crowd', () => {
  const VIEWERS = 300;
  const most = (times: readonly number[], binMs: number): number => {
    const bins = new Map<number, number>();
    for (const at of times) bins.set(Math.floor(at / binMs), (bins.get(Math.floor(at / binMs)) ?? 0) + 1);
    return Math.max(...bins.values());
  };

  test('that lost its region at once comes home spread out', async () => {
    const crowd = Array.from({ length: VIEWERS }, () => start());
    await runtime.runUntil(() => crowd.every(({ reactions }) => isAt(reactions, 'us')));
    setDown('us', true);
    await runtime.runUntil(() => crowd.every(({ reactions }) => isAt(reactions, 'eu')));
    setDown('us', false);
    const before = connectionsTo('us').length;
    await runtime.runUntil(() => crowd.every(({ reactions }) => isAt(reactions, 'us')));
    const came = connectionsTo('us').slice(before);
    expect(came.length).toBeGreaterThan(VIEWERS * 0.9);
    expect(most(came, 1_000)).toBeLessThan(VIEWERS / 5);
    for (const { reactions } of crowd) reactions.close();
  });

  test('that a long outage made try HTTP is back on WebSockets within half a minute', async () => {
    const crowd = Array.from({ length: VIEWERS }, () => start({ endpoints: 'https://us.test' }));
    await runtime.runUntil(() => crowd.every(({ reactions }) => isAt(reactions, 'us')));
    setDown('us', true);
    await runtime.runFor(10_000);
    setDown('us', false);
    await runtime.runUntil(() => crowd.every(({ reactions }) => isAt(reactions, 'us')));
    // Some came back over HTTP, because that was their turn.
    expect(world.region('us').sockets.size).toBeLessThan(VIEWERS);
    await runtime.runFor(30_000);
    expect(world.region('us').sockets.size).toBe(VIEWERS);
    for (const { reactions } of crowd) reactions.close();
  });
});
