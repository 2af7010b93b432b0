/** Who keeps the pace, how much is expected of who waits, and that nobody is forgotten. */

import type { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { Hearing } from '../../src/edge/hearing.ts';
import { BATCHES_PER_TURN, HearingTurns } from '../../src/edge/hearing-turns.ts';
import { emptyStats, type SocketContext } from '../../src/edge/socket-context.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';

/** Of a batch. */
const BYTES = 50;

function setUp() {
  const runtime = createSimulatedRuntime(1);
  const turns = new HearingTurns(runtime.timers);
  const stats = emptyStats();
  const context = { turns, stats, timers: runtime.timers, now: () => runtime.clock.now(), random: () => runtime.random.next() } as unknown as SocketContext;
  const socket = () => {
    let isRead = true;
    const webSocket = { OPEN: 1, readyState: 1, pause: () => (isRead = false), resume: () => (isRead = true) };
    const raw = { cork: () => {}, uncork: () => {}, readableLength: 0 };
    return { hearing: new Hearing(context, webSocket as unknown as WebSocket, raw as unknown as Duplex), webSocket, raw, isRead: () => isRead };
  };
  /** Makes a turn hear enough, so that whoever brings another batch in it waits. */
  const fill = (): void => {
    while (!turns.hear());
  };
  return { runtime, turns, stats, socket, fill, now: () => runtime.clock.now() };
}

it('[LOAD-15] who brings a batch when a turn has heard enough is not read until it is called; others are read on', async () => {
  const { runtime, stats, socket, fill, now } = setUp();
  const [ann, bob] = [socket(), socket()];
  ann.hearing.batch('exact', now(), BYTES);
  fill();
  bob.hearing.batch('exact', now(), BYTES);
  await runtime.runFor(0);
  expect([ann.isRead(), bob.isRead(), stats.held, stats.holds]).toEqual([true, false, 1, 1]);
  await runtime.runFor(5);
  expect([bob.isRead(), stats.held]).toEqual([true, 0]);
});

it('[LOAD-15] who sends once in a pace keeps it on every rung, also when what it sent waited; who sends thrice does not', async () => {
  for (const [level, paceMs] of [['exact', 250], ['relaxed', 750], ['hearts', 1_000], ['static', 2_000]] as const) {
    const { runtime, socket, now } = setUp();
    const [ann, eve] = [socket().hearing, socket().hearing];
    for (let tap = 0; tap < 5; tap++) {
      await runtime.runFor(0.9 * paceMs);
      ann.batch(level, now(), BYTES);
      expect(ann.keepsPace).toBe(true);
    }
    ann.letGo();
    // Seven paces in which nothing of it came through.
    await runtime.runFor(7 * paceMs);
    for (let batch = 0; batch < 8; batch++) ann.batch(level, now(), BYTES);
    expect(ann.keepsPace).toBe(true);
    for (let tap = 0; tap < 3; tap++) {
      await runtime.runFor(paceMs / 3);
      eve.letGo();
      eve.batch(level, now(), BYTES);
    }
    expect(eve.keepsPace).toBe(false);
  }
});

it('[LOAD-15] what waits on a socket is counted in batches as long as the last one, and no more than may be unanswered', () => {
  const { socket, now } = setUp();
  const { hearing, raw } = socket();
  raw.readableLength = 3 * BYTES;
  // Nothing is known of it.
  expect([hearing.waitingBatches, hearing.keepsPace]).toEqual([0, true]);
  hearing.batch('exact', now(), BYTES);
  expect(hearing.waitingBatches).toBe(3);
  raw.readableLength = 100 * BYTES;
  expect(hearing.waitingBatches).toBe(32);
});

it('[LOAD-15] who has kept the pace so far does not keep it with more on its socket than the time since allows', async () => {
  const { runtime, socket, now } = setUp();
  const { hearing, raw } = socket();
  await runtime.runFor(10_000);
  hearing.batch('exact', now(), BYTES);
  raw.readableLength = BYTES;
  expect(hearing.keepsPace).toBe(true);
  raw.readableLength = 3 * BYTES;
  expect(hearing.keepsPace).toBe(false);
  await runtime.runFor(250);
  expect(hearing.keepsPace).toBe(true);
  raw.readableLength = 4 * BYTES;
  expect(hearing.keepsPace).toBe(false);
});

it('[LOAD-15] when a crowd begins to send, who heeds the pace does not wait for all of it', async () => {
  const { runtime, socket, fill, now } = setUp();
  const [ann, ...deaf] = Array.from({ length: 6 * BATCHES_PER_TURN }, socket);
  await runtime.runFor(10_000);
  fill();
  for (const { hearing } of [...deaf, ann!]) hearing.batch('exact', now(), BYTES);
  ann!.raw.readableLength = BYTES;
  for (const { raw } of deaf) raw.readableLength = 5 * BYTES;
  await runtime.runUntil(() => ann!.isRead(), 2);
  await runtime.runUntil(() => deaf.every(({ isRead }) => isRead()), 1_000);
});

it('[LOAD-15] of a crowd that does not heed the pace each is heard in the end, and who heeds it is heard at once', async () => {
  const { runtime, turns, stats, socket, fill, now } = setUp();
  const deaf = Array.from({ length: 6 * BATCHES_PER_TURN }, socket);
  for (let round = 0; round < 2; round++) {
    await runtime.runFor(40);
    fill();
    for (const { hearing } of deaf) hearing.batch('exact', now(), BYTES);
  }
  await runtime.runFor(1);
  const ann = socket();
  fill();
  ann.hearing.batch('exact', now(), BYTES);
  await runtime.runUntil(() => ann.isRead(), 5);
  expect(stats.held).toBeGreaterThan(3 * BATCHES_PER_TURN);
  await runtime.runUntil(() => stats.held === 0, 1_000);
  expect(deaf.every(({ isRead }) => isRead())).toBe(true);
  expect([turns.waiting, runtime.pendingTimers]).toEqual([0, 0]);
});

it('[LOAD-10] who is let go while it rests, or while it waits for its turn, is read and called no more', async () => {
  const { runtime, turns, stats, socket, fill, now } = setUp();
  const [ann, bob, gone] = [socket(), socket(), socket()];
  ann.hearing.refused(800);
  fill();
  bob.hearing.batch('exact', now(), BYTES);
  await runtime.runFor(0);
  expect([ann.isRead(), bob.isRead(), turns.waiting]).toEqual([false, false, 1]);
  ann.hearing.letGo();
  bob.hearing.letGo();
  expect([ann.isRead(), bob.isRead(), turns.waiting, stats.held]).toEqual([true, true, 0, 0]);
  // What is closed is not held: nobody would let it go.
  gone.webSocket.readyState = 3;
  gone.hearing.refused(800);
  expect([stats.held, stats.holds]).toEqual([0, 2]);
  await runtime.runFor(2_000);
  expect(runtime.pendingTimers).toBe(0);
});
