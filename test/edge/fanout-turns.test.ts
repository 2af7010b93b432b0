/** Who is written a frame in which turn of the event loop. */

import { expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { VISITS_PER_TURN } from '../../src/edge/fanout-turns.ts';
import type { FrameMessage } from '../../src/protocol/messages.ts';
import { FakeSocket, derby, frame, messagesOf, setUp } from './fanout-crowd.ts';

it('[EDGE-64] a frame is written to some sockets in each turn, and to each of them once', () => {
  const { turns, fanout, crowd } = setUp();
  const sockets = crowd(2.5 * VISITS_PER_TURN);
  const written = (): number => sockets.reduce((sum, socket) => sum + socket.written.length, 0);
  fanout.publish(derby, frame(1));
  expect(written()).toBe(0);
  const each: number[] = [];
  while (turns.waiting > 0) {
    turns.turn();
    each.push(written());
  }
  expect(each).toEqual([1, 2, 2.5].map((times) => times * VISITS_PER_TURN));
  expect(sockets.every((socket) => socket.written.length === 1 && socket.written[0] === sockets[0]!.written[0])).toBe(true);
  expect(fanout.stats).toMatchObject({ framesWritten: sockets.length, framesSkipped: 0 });
});

it('[EDGE-64] a turn writes the more, the longer the rest has taken', () => {
  const { turns, fanout, crowd } = setUp();
  const sockets = crowd(40 * VISITS_PER_TURN);
  const written = (): number => sockets.reduce((sum, socket) => sum + socket.written.length, 0);
  fanout.publish(derby, frame(1));
  const each = [2, 100, 0, 10, 1_000].map((restMs) => {
    const before = written();
    turns.now += restMs;
    turns.turn();
    return written() - before;
  });
  expect(each).toEqual([VISITS_PER_TURN, 3_200, VISITS_PER_TURN, 320, 40 * VISITS_PER_TURN - 3_200 - 320 - 2 * VISITS_PER_TURN]);
});

it('[EDGE-64] who has not got a frame when the next one comes gets that instead, and nobody is passed over twice', () => {
  const { turns, fanout, crowd } = setUp();
  const sockets = crowd(2 * VISITS_PER_TURN);
  const newest = (socket: FakeSocket): number => (messagesOf(socket, 'json').at(-1) as FrameMessage | undefined)?.at ?? 0;
  // Frames come twice as fast as they are written.
  for (let n = 1; n <= 8; n++) {
    fanout.publish(derby, frame(n));
    turns.turn();
    expect(turns.waiting).toBe(1);
    expect(sockets.filter((socket) => newest(socket) < n - 1)).toHaveLength(0);
  }
  turns.run();
  expect(sockets.map(newest)).toEqual(sockets.map(() => 8));
  expect(sockets.filter((socket) => new Set(socket.written).size !== socket.written.length)).toHaveLength(0);
  expect(fanout.stats.framesWritten + fanout.stats.framesSkipped).toBe(8 * sockets.length);
});

it('[EDGE-64] who comes or leaves while a frame is being written keeps nobody from it', () => {
  const { turns, fanout } = setUp();
  const join = () => {
    const socket = new FakeSocket();
    return { socket, member: fanout.join(derby, socket, 'json') };
  };
  const before = Array.from({ length: 4 * VISITS_PER_TURN }, join);
  fanout.publish(derby, frame(1));
  turns.run();
  fanout.publish(derby, frame(2));
  turns.turn();
  fanout.publish(derby, frame(3));
  turns.turn();
  const late = Array.from({ length: 3 * VISITS_PER_TURN }, join);
  const gone = before.filter((_each, index) => index % 3 === 0);
  for (const { member } of gone) fanout.leave(member);
  turns.run();
  const stayed = before.filter((_each, index) => index % 3 !== 0);
  expect(stayed.filter(({ socket }) => (messagesOf(socket, 'json').at(-1) as FrameMessage).at !== 3)).toHaveLength(0);
  expect(late.filter(({ socket }) => socket.written.length > 0)).toHaveLength(0);
  for (const { member } of [...stayed, ...late]) fanout.leave(member);
  expect([turns.waiting, fanout.stats.members]).toEqual([0, 0]);
});

it('[EDGE-65] how many streams wait for turns, and how many visits are left, can be read at any time', () => {
  const { turns, fanout, crowd } = setUp();
  const gala = 'gala' as StreamId;
  const waiting = (): number[] => [fanout.stats.roomsWaiting, fanout.stats.visitsWaiting];
  const members = Array.from({ length: 2 * VISITS_PER_TURN }, () => fanout.join(derby, new FakeSocket(), 'json'));
  crowd(3 * VISITS_PER_TURN, gala);
  expect(waiting()).toEqual([0, 0]);
  fanout.publish(derby, frame(1));
  fanout.publish(gala, frame(1));
  expect(waiting()).toEqual([2, 5 * VISITS_PER_TURN]);
  turns.turn();
  turns.turn();
  expect(waiting()).toEqual([2, 3 * VISITS_PER_TURN]);
  // A newer frame starts anew; who comes stands in the way; who leaves is visited no more only when nobody stays.
  fanout.publish(derby, frame(2));
  fanout.join(gala, new FakeSocket(), 'json');
  expect(waiting()).toEqual([2, 4 * VISITS_PER_TURN + 1]);
  for (const member of members) fanout.leave(member);
  expect(waiting()).toEqual([1, 2 * VISITS_PER_TURN + 1]);
  turns.run();
  expect(waiting()).toEqual([0, 0]);
});

it('[EDGE-64] a crowd that leaves as a whole ends what was being written to it', () => {
  const { turns, fanout } = setUp();
  const members = Array.from({ length: 2 * VISITS_PER_TURN }, () => fanout.join(derby, new FakeSocket(), 'json'));
  fanout.publish(derby, frame(1));
  turns.turn();
  for (const member of members) fanout.leave(member);
  expect(turns.run()).toBe(1);
  expect(fanout.stats.framesWritten).toBe(VISITS_PER_TURN);
});

it('[EDGE-64] a small stream does not wait for a crowd, though frames to that never end', () => {
  const { turns, fanout, crowd } = setUp();
  crowd(8 * VISITS_PER_TURN);
  const few = crowd(3, 'regatta' as StreamId);
  for (let n = 1; n <= 5; n++) {
    fanout.publish(derby, frame(n));
    fanout.publish('regatta' as StreamId, frame(n));
    turns.turn();
    expect(few.map((socket) => socket.written.length)).toEqual([n, n, n]);
  }
});

it('[EDGE-64] who is about to be closed gets the newest frame first, and not again', () => {
  const { turns, fanout } = setUp();
  const socket = new FakeSocket();
  const member = fanout.join(derby, socket, 'json');
  fanout.catchUp(member);
  expect(socket.written).toHaveLength(0);
  fanout.publish(derby, frame(1));
  fanout.catchUp(member);
  fanout.catchUp(member);
  expect(messagesOf(socket, 'json')).toEqual([frame(1)]);
  turns.run();
  expect(socket.written).toHaveLength(1);
  fanout.publish(derby, frame(2));
  fanout.leave(member);
  fanout.catchUp(member);
  turns.run();
  expect(socket.written).toHaveLength(1);
});

it('[EDGE-64] a change of level goes before the frame, also to who missed the one that brought it', () => {
  const { turns, fanout, crowd } = setUp();
  const sockets = crowd(2 * VISITS_PER_TURN);
  fanout.publish(derby, frame(1, { level: 'relaxed' }));
  turns.turn();
  fanout.publish(derby, frame(2, { level: 'relaxed' }));
  turns.run();
  const told = (socket: FakeSocket): string => messagesOf(socket, 'json').map(({ type }) => type).join(' ');
  expect(new Set(sockets.slice(0, VISITS_PER_TURN).map(told))).toEqual(new Set(['pace frame frame']));
  expect(new Set(sockets.slice(VISITS_PER_TURN).map(told))).toEqual(new Set(['pace frame']));
});
