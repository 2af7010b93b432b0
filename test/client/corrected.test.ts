/** What regions take back, as a player sees it: at once, once, and told apart from a region that only knows less. */

import { beforeEach, expect, test } from 'vitest';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Discontinuity, Reactions, ReactionsOptions } from '../../src/client/client-types.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';

let runtime: SimulatedRuntime;
let world: SimulatedWorld;

beforeEach(() => {
  runtime = createSimulatedRuntime(23);
  world = new SimulatedWorld(runtime, 'us', 'eu');
  for (const { totals } of world.regions.values()) totals['heart'] = 500;
});

function start(options: Partial<ReactionsOptions> = {}) {
  const reactions = createReactions({ endpoints: ['https://us.test', 'https://eu.test'], streamId: 'derby', platform: world.platform(), ...options });
  const told: Discontinuity[] = [];
  /** All that was shown of hearts, and how much lower than the one before each was. */
  const falls: number[] = [];
  let shown = 0;
  reactions.on('discontinuity', (event) => told.push(event));
  reactions.on('totals', (totals) => {
    const now = totals['heart']!;
    if (now < shown) falls.push(shown - now);
    shown = now;
  });
  return { reactions, told, falls };
}

const shows = (reactions: Reactions, hearts: number) => runtime.runUntil(() => reactions.totals['heart'] === hearts, 3_000);

test.each(['websocket', 'http'] as const)('[SDK-19] what is taken back leaves the totals with the next frame, and is told once (%s)', async (transport) => {
  const { reactions, told, falls } = start({ transport });
  await runtime.runUntil(() => reactions.frame !== null);
  expect(reactions.tap('heart', 4)).toBe(4);
  await shows(reactions, 504);
  await runtime.runFor(5_000);
  world.region('us').takeBack('heart', 120);
  world.region('us').takeBack('heart', 30);
  const { frame } = reactions;
  await runtime.runUntil(() => reactions.frame !== frame);
  expect(reactions.totals['heart']).toBe(354);
  await runtime.runFor(20_000);
  expect(reactions.totals['heart']).toBe(354);
  expect(falls).toEqual([150]);
  expect(told).toEqual([{ reason: 'corrected', taps: 150 }]);
  reactions.close();
});

test('[SDK-19] what was taken back before the first frame is nothing new', async () => {
  world.region('us').takeBack('heart', 99);
  const { reactions, told, falls } = start();
  await shows(reactions, 401);
  await runtime.runFor(5_000);
  expect([told, falls]).toEqual([[], []]);
  reactions.close();
});

test('[SDK-19] what was taken back while nothing was heard is told with the first frame after it', async () => {
  const { reactions, told, falls } = start({ endpoints: 'https://us.test' });
  await shows(reactions, 500);
  await runtime.runUntil(() => reactions.frame !== null);
  world.region('us').restart();
  world.region('us').takeBack('heart', 60);
  await runtime.runUntil(() => reactions.totals['heart'] === 440, 30_000);
  expect(falls).toEqual([60]);
  expect(told.map(({ reason, taps }) => [reason, taps])).toEqual([['reconnected', 0], ['corrected', 60]]);
  reactions.close();
});

test('[SDK-19] [SDK-8] a region that has not heard of it yet moves nothing down, and it is not told again when it hears', async () => {
  const { reactions, told, falls } = start();
  await runtime.runUntil(() => reactions.frame !== null);
  world.region('us').takeBack('heart', 200);
  await shows(reactions, 300);
  const eu = world.region('eu');
  // It lacks both: what was taken back, and some of what was counted.
  eu.totals['heart'] = 480;
  world.region('us').isDown = true;
  world.region('us').restart();
  await shows(reactions, 480);
  eu.totals['heart'] = 470;
  await runtime.runFor(1_500);
  expect(reactions.totals['heart']).toBe(480);
  eu.takeBack('heart', 200);
  eu.totals['heart'] = 320;
  await runtime.runUntil(() => reactions.totals['heart'] === 320, 10_000);
  expect(told.filter(({ reason }) => reason === 'corrected')).toEqual([{ reason: 'corrected', taps: 200 }]);
  // Not at once, but in the steps of what may only be unknown.
  expect(falls[0]).toBe(200);
  expect(falls.length).toBeGreaterThan(2);
  reactions.close();
});
