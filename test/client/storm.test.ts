import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Crowd, KillableRegion } from './storm-crowd.ts';

const VIEWERS = 500;

let region: KillableRegion;
let crowd: Crowd;
let countedBefore: number;

beforeAll(async () => {
  region = new KillableRegion();
  await region.load(3);
  await region.start();
});
afterAll(() => region.close());

beforeEach(async () => {
  countedBefore = region.counted;
  crowd = new Crowd(region.url, VIEWERS);
  await eventually(() => crowd.connected).toBe(VIEWERS);
  crowd.tap(1);
  await eventually(() => crowd.acknowledged).toBe(VIEWERS);
  crowd.attempts = [];
});
afterEach(() => crowd.close());

const eventually = (figure: () => number) => expect.poll(figure);

/** How many there were in each stretch of time. */
function histogram(times: readonly number[], sinceMs: number, binMs: number): number[] {
  const bins: number[] = [];
  for (const at of times) {
    const bin = Math.floor((at - sinceMs) / binMs);
    if (bin >= 0) bins[bin] = (bins[bin] ?? 0) + 1;
  }
  return Array.from(bins, (count = 0) => count);
}

async function everybodyReturns(): Promise<void> {
  await eventually(() => crowd.connected).toBe(VIEWERS);
  await eventually(() => crowd.acknowledged).toBe(crowd.taken);
  expect(crowd.taken).toBe(VIEWERS * 6);
  expect(region.counted - countedBefore).toBe(crowd.taken);
}

test('[SDK-16] an edge is killed and comes back: its crowd returns spread out, and every tap counts once', { timeout: 180_000 }, async () => {
  // Counted, and the acknowledgement dies with the edge.
  region.mute = true;
  crowd.tap(2);
  await eventually(() => region.counted - countedBefore).toBe(crowd.taken);
  await region.end('SIGKILL');
  region.mute = false;
  crowd.tap(3);
  const haveTried = () => new Set(crowd.attempts.map(({ viewer }) => viewer)).size;
  await eventually(haveTried).toBe(VIEWERS);
  await region.start();
  const backAt = Date.now();
  await everybodyReturns();
  const attempts = histogram(crowd.attempts.map(({ at }) => at), backAt, 100);
  expect(Math.max(...attempts)).toBeLessThan(VIEWERS / 5);
  // What arrives is bunched by whatever else keeps the machine busy; a crowd in step would be one bunch.
  expect(Math.max(...histogram(region.accepted, backAt, 100))).toBeLessThan(VIEWERS / 2);
});

test('[SDK-16] an edge drains: its crowd returns over the five seconds that it asks for, and every tap counts once', { timeout: 180_000 }, async () => {
  const askedAt = Date.now();
  const ended = region.end('SIGTERM');
  crowd.tap(2);
  await ended;
  crowd.tap(3);
  await region.start();
  await everybodyReturns();
  // The first of each. Not when they came: that also tells when the machine had time for them.
  const waits = [...new Map(crowd.attempts.toReversed().map(({ viewer, waitMs }) => [viewer, waitMs])).values()];
  expect(Math.max(...histogram(waits, 0, 100))).toBeLessThan(VIEWERS / 10);
  for (const second of histogram(waits, 0, 1_000).slice(0, 5)) expect(second).toBeGreaterThan(VIEWERS / 10);
  expect(Math.max(...histogram(region.accepted, askedAt, 100))).toBeLessThan(VIEWERS / 2);
});

test('[EDGE-73] an edge that is busy for a while keeps a crowd that connects waiting, and turns nobody away', { timeout: 180_000 }, async () => {
  const { port } = new URL(region.url);
  await region.stopFor(async () => {
    const sockets = Array.from({ length: 1_000 }, () => connect(Number(port), '127.0.0.1'));
    // Without a place to wait they would be connected once the edge goes on, and not before.
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.destroy();
  });
});
