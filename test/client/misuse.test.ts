import { beforeEach, describe, expect, test } from 'vitest';
import { createReactions } from '../../src/client/create-reactions.ts';
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
