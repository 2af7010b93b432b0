import { describe, expect, test } from 'vitest';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Discontinuity, Reactions, ReactionsError } from '../../src/client/client-types.ts';
import { Session, WaitingTaps } from '../../src/client/session.ts';
import { RESEND_MS_MAX } from '../../src/protocol/messages.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';

const EMOJI = ['heart', 'fire', 'clap'];

function watch(reactions: Reactions) {
  const books = { acknowledged: 0, inDoubt: 0, dropped: 0, moved: 0, errors: [] as ReactionsError[] };
  reactions.on('ack', ({ accepted }) => (books.acknowledged += accepted));
  reactions.on('error', (error) => books.errors.push(error));
  reactions.on('discontinuity', ({ reason, taps }: Discontinuity) => {
    if (reason === 'in-doubt') books.inDoubt += taps;
    if (reason === 'dropped') books.dropped += taps;
    if (reason === 'moved') books.moved += 1;
  });
  return books;
}

describe('[SDK-4] every tap that was taken counts once, through bad weather', () => {
  test.each(Array.from({ length: 30 }, (_, index) => index + 1))('seed %i', async (seed) => {
    const runtime = createSimulatedRuntime(seed);
    const world = new SimulatedWorld(runtime, 'us', 'eu', 'ap');
    const names = ['us', 'eu', 'ap'];
    const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(runtime.random.next() * values.length)]!;
    world.faults = { latencyMsMax: 150, lostAck: 0.3, lostBatch: 0.05, doubledAck: 0.1, unavailable: 0.1 };
    const reactions = createReactions({
      endpoints: names.map((name) => `https://${name}.test`),
      streamId: 'derby',
      platform: world.platform(),
    });
    const books = watch(reactions);
    let taken = 0;
    for (let turn = 0; turn < 150; turn++) {
      taken += reactions.tap(pick(EMOJI), 1 + Math.floor(runtime.random.next() * 4));
      const region = world.region(pick(names));
      if (world.chance(0.06)) region.restart(pick([1006, 1012, 4503]));
      if (world.chance(0.04)) region.isSilent = !region.isSilent;
      if (world.chance(0.04)) region.isDown = !region.isDown;
      if (world.chance(0.02)) world.webSocketsBlocked = !world.webSocketsBlocked;
      // A name that is looked up anew may lead to another region.
      if (world.chance(0.03)) world.routes.set(`${pick(names)}.test`, pick(names));
      await runtime.runFor(runtime.random.next() * 1_000);
    }
    world.webSocketsBlocked = false;
    world.faults = { ...world.faults, lostAck: 0, lostBatch: 0, unavailable: 0 };
    for (const name of names) {
      Object.assign(world.region(name), { isDown: false, isSilent: false });
      world.routes.set(`${name}.test`, name);
    }
    await runtime.runUntil(() => books.acknowledged + books.inDoubt + books.dropped === taken, 2 * RESEND_MS_MAX);
    // All this took less than five minutes, so nothing may be left in doubt.
    expect(books).toMatchObject({ acknowledged: taken, inDoubt: 0, dropped: 0 });
    expect(world.tapsCounted).toBe(taken);
    expect(taken).toBeGreaterThan(50);
    reactions.close();
    await runtime.runFor(RESEND_MS_MAX);
    expect(runtime.pendingTimers).toBe(0);
  });
});

test('[SDK-3] what one region has not answered goes with the viewer to another one, and says where it was', async () => {
  const runtime = createSimulatedRuntime(1);
  const world = new SimulatedWorld(runtime, 'us', 'eu');
  const reactions = createReactions({ endpoints: ['https://us.test', 'https://eu.test'], streamId: 'derby', platform: world.platform() });
  const books = watch(reactions);
  await runtime.runUntil(() => reactions.state === 'connected');
  // Counted, and the acknowledgement is lost with the region.
  world.faults = { ...world.faults, lostAck: 1 };
  reactions.tap('heart', 3);
  await runtime.runUntil(() => world.region('us').totals['heart'] === 3);
  world.faults = { ...world.faults, lostAck: 0 };
  world.region('us').isDown = true;
  world.region('us').restart();
  await runtime.runUntil(() => reactions.endpoint === 'https://eu.test' && reactions.state === 'connected');
  expect(books.moved).toBe(1);
  reactions.tap('fire', 2);
  await runtime.runUntil(() => books.acknowledged === 5);
  const [hearts, fire] = [1, 2].map((seq) => world.sent.filter(({ region, batch }) => region === 'eu' && batch.seq === seq));
  expect(hearts).not.toEqual([]);
  for (const { batch } of hearts!) expect(batch.via).toEqual(['us']);
  for (const { batch } of fire!) expect(batch).not.toHaveProperty('via');
  expect(world.tapsCounted).toBe(5);
  // What moved keeps its session to itself: new taps are in another one, however long the first region stays away.
  const sessions = world.hellos.map(({ session_id }) => session_id);
  expect(sessions).toEqual([sessions[0], sessions[0], sessions[2]]);
  expect(sessions[2]).not.toBe(sessions[0]);
  reactions.close();
});

test('[SDK-3] who moves with nothing unanswered begins another session', async () => {
  const runtime = createSimulatedRuntime(2);
  const world = new SimulatedWorld(runtime, 'us', 'eu');
  world.routes.set('any.test', 'us');
  const reactions = createReactions({ endpoints: 'https://any.test', streamId: 'derby', platform: world.platform() });
  const books = watch(reactions);
  await runtime.runUntil(() => reactions.state === 'connected');
  const moveTo = async (to: string): Promise<void> => {
    const from = world.routes.get('any.test')!;
    const { length } = world.hellos;
    world.routes.set('any.test', to);
    world.region(from).restart();
    await runtime.runUntil(() => world.hellos.length > length);
  };
  world.faults = { ...world.faults, lostAck: 1 };
  reactions.tap('heart', 3);
  await runtime.runUntil(() => world.tapsCounted === 3);
  await moveTo('eu');
  await runtime.runFor(1_000);
  await moveTo('us');
  world.faults = { ...world.faults, lostAck: 0 };
  await runtime.runUntil(() => books.acknowledged === 3);
  // Back where it was, which knows it again.
  expect(world.sent.at(-1)!.batch.via).toEqual(['us', 'eu']);
  await moveTo('eu');
  const sessions = world.hellos.map(({ session_id }) => session_id);
  expect(sessions.slice(0, 3)).toEqual(Array(3).fill(sessions[0]));
  expect(new Set(sessions).size).toBe(3);
  reactions.tap('heart');
  await runtime.runUntil(() => books.acknowledged === 4);
  expect(world.sent.at(-1)!.batch).toMatchObject({ seq: 2 });
  expect(world.sent.at(-1)!.batch).not.toHaveProperty('via');
  expect(world.tapsCounted).toBe(4);
  reactions.close();
});

test('[SDK-5] a batch that came by eight regions, none of which answered, goes to no other and is in doubt', () => {
  const session = new Session('s');
  const waiting = new WaitingTaps();
  waiting.add('heart', 3, 0);
  session.visit('r0');
  session.nextBatch(waiting, 0);
  for (let move = 1; move <= 8; move++) {
    session.visit(`r${move % 2}`);
    expect(session.expire(move)).toEqual([]);
    expect(session.resends(move, true)[0]!.via).toHaveLength(move);
    expect(session.resends(move, true)[0]!.via).toHaveLength(move);
  }
  session.visit('r1');
  expect(session.expire(9)).toMatchObject([{ message: { seq: 1 } }]);
  expect(session.resends(9, true)).toEqual([]);
});

test('[SDK-5] what may go to no further region is told after the hello there, and taps that answer it count once', async () => {
  const runtime = createSimulatedRuntime(8);
  const names = Array.from({ length: 10 }, (_, index) => `r${index}`);
  const world = new SimulatedWorld(runtime, ...names);
  world.routes.set('any.test', 'r0');
  const reactions = createReactions({ endpoints: 'https://any.test', streamId: 'derby', platform: world.platform() });
  const errors: string[] = [];
  reactions.on('error', ({ code, temporary }) => temporary || errors.push(code));
  let taken = 2;
  reactions.on('discontinuity', ({ reason }) => reason === 'in-doubt' && (taken += reactions.tap('fire', 3)));
  await runtime.runUntil(() => reactions.state === 'connected');
  world.faults = { ...world.faults, lostAck: 1 };
  reactions.tap('heart', 2);
  await runtime.runUntil(() => world.tapsCounted === 2);
  for (const [index, name] of names.slice(1).entries()) {
    await runtime.runFor(6_000);
    world.routes.set('any.test', name);
    world.region(names[index]!).restart();
    await runtime.runUntil(() => world.region(name).sockets.size === 1 && reactions.state === 'connected');
  }
  await runtime.runUntil(() => world.tapsCounted === 5);
  expect(world.hellos.at(-1)!.session_id).toBe(world.sent.at(-1)!.session);
  // Counted and not acknowledged: the next connection sends it again, and it must be known there.
  reactions.tap('clap');
  await runtime.runUntil(() => world.tapsCounted === 6);
  world.faults = { ...world.faults, lostAck: 0 };
  let acknowledged = 0;
  reactions.on('ack', ({ accepted }) => (acknowledged += accepted));
  world.region('r9').restart();
  await runtime.runUntil(() => acknowledged === 4);
  expect([world.tapsCounted, taken, errors]).toEqual([6, 5, []]);
  reactions.close();
});

test('[SDK-5] what stayed unanswered for five minutes is never sent again, and told to be in doubt', async () => {
  const runtime = createSimulatedRuntime(3);
  const world = new SimulatedWorld(runtime, 'us');
  const reactions = createReactions({ endpoints: 'https://us.test', streamId: 'derby', platform: world.platform() });
  const books = watch(reactions);
  await runtime.runUntil(() => reactions.state === 'connected');
  world.region('us').isSilent = true;
  reactions.tap('heart', 3);
  const sentAt = runtime.clock.now();
  await runtime.runFor(10_000);
  reactions.tap('fire', 2);
  expect(reactions.totals).toMatchObject({ heart: 3, fire: 2 });
  await runtime.run(sentAt + RESEND_MS_MAX - 1);
  expect(books).toMatchObject({ inDoubt: 0, dropped: 0 });
  await runtime.run(sentAt + RESEND_MS_MAX + 1);
  expect(books).toMatchObject({ inDoubt: 3, dropped: 0 });
  await runtime.run(sentAt + RESEND_MS_MAX + 10_001);
  // Never sent, so it is known not to count.
  expect(books).toMatchObject({ inDoubt: 3, dropped: 2 });
  world.region('us').isSilent = false;
  await runtime.runFor(60_000);
  expect(reactions.state).toBe('connected');
  expect(world.tapsCounted).toBe(0);
  expect(reactions.totals).toMatchObject({ heart: 0, fire: 0 });
  reactions.close();
});

test('[SDK-1] the first tap after a pause goes at once, what follows together, as often as the region says', async () => {
  const runtime = createSimulatedRuntime(4);
  const world = new SimulatedWorld(runtime, 'us');
  world.faults = { ...world.faults, latencyMsMax: 0 };
  const reactions = createReactions({ endpoints: 'https://us.test', streamId: 'derby', platform: world.platform() });
  await runtime.runUntil(() => reactions.state === 'connected');
  const tapFor = async (ms: number): Promise<number[]> => {
    const from = world.sent.length;
    const start = runtime.clock.now();
    while (runtime.clock.now() < start + ms) {
      reactions.tap('heart');
      await runtime.runFor(60);
    }
    return world.sent.slice(from).map(({ at }) => at - start);
  };
  const atFirst = await tapFor(2_000);
  expect(atFirst[0]).toBeLessThan(5);
  expect(atFirst.length).toBeGreaterThanOrEqual(7);
  expect(atFirst.length).toBeLessThanOrEqual(9);
  const gaps = atFirst.slice(1).map((at, index) => Math.round(at - atFirst[index]!));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(224);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(276);
  expect(new Set(gaps).size).toBeGreaterThan(3);
  const paces: unknown[] = [];
  reactions.on('pace', (pace) => paces.push(pace));
  for (const socket of world.region('us').sockets) socket.deliver({ type: 'pace', batch_ms: 1_000, level: 'relaxed' });
  expect(paces).toEqual([{ batchMs: 1_000, level: 'relaxed' }]);
  await runtime.runFor(2_000);
  expect((await tapFor(4_000)).length).toBeLessThanOrEqual(5);
  expect(world.sent.map(({ batch }) => batch.seq)).toEqual(world.sent.map((_, index) => index + 1));
  reactions.close();
});

test('[SDK-18] a palette that a moderator changes is the one from then on', async () => {
  const runtime = createSimulatedRuntime(5);
  const world = new SimulatedWorld(runtime, 'us');
  const reactions = createReactions({ endpoints: 'https://us.test', streamId: 'derby', platform: world.platform() });
  await runtime.runUntil(() => reactions.state === 'connected');
  const errors: string[] = [];
  reactions.on('error', ({ code }) => errors.push(code));
  for (const socket of world.region('us').sockets) socket.deliver({ type: 'pace', batch_ms: 250, level: 'exact', palette: { star: '⭐' } });
  expect(reactions.palette).toEqual({ star: '⭐' });
  reactions.tap('heart');
  reactions.tap('star');
  expect(errors).toEqual(['unknown-emoji']);
  await runtime.runFor(1_000);
  expect(world.sent.map(({ batch }) => batch.reactions)).toEqual([[{ emoji_id: 'star', count: 1 }]]);
  reactions.close();
});

test('[SDK-2] at most 32 batches are out; a region that counts nothing gets no more', async () => {
  const runtime = createSimulatedRuntime(5);
  const world = new SimulatedWorld(runtime, 'us');
  const reactions = createReactions({ endpoints: 'https://us.test', streamId: 'derby', platform: world.platform() });
  await runtime.runUntil(() => reactions.state === 'connected');
  world.region('us').refusal = { code: 'overloaded', temporary: true };
  for (let tap = 0; tap < 200; tap++) {
    reactions.tap('heart');
    await runtime.runFor(100);
  }
  expect(Math.max(...world.sent.map(({ batch }) => batch.seq))).toBe(32);
  reactions.close();
});

test('[SDK-2] after a reconnect what is unanswered goes first, at once, in its order', async () => {
  const runtime = createSimulatedRuntime(6);
  const world = new SimulatedWorld(runtime, 'us');
  world.faults = { ...world.faults, latencyMsMax: 0, lostAck: 1 };
  const reactions = createReactions({ endpoints: 'https://us.test', streamId: 'derby', platform: world.platform() });
  await runtime.runUntil(() => reactions.state === 'connected');
  for (let batch = 0; batch < 3; batch++) {
    reactions.tap('heart');
    await runtime.runFor(300);
  }
  world.region('us').restart();
  reactions.tap('fire');
  await runtime.runUntil(() => reactions.state === 'connected');
  const from = world.sent.length;
  await runtime.runFor(10);
  expect(world.sent.slice(from).map(({ batch }) => batch.seq)).toEqual([1, 2, 3, 4]);
  expect(world.hellos[1]).toMatchObject({ session_id: world.hellos[0]!.session_id, unacked_from: 1 });
  reactions.close();
});
