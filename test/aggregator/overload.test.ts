/** What a shard does with more than it can count: it takes in what it answers in time, and spreads those that it refuses. */

import { expect, it } from 'vitest';
import { Comebacks } from '../../src/aggregator/comebacks.ts';
import type { IngestReply } from '../../src/aggregator/ingest.ts';
import { MemoryJournal } from '../../src/hot-store/memory-store.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { HEART, Life, refused } from './shard-life.ts';

it('[LOAD-7] refuses while what it took in waits too long, but never because of a few; and takes in again after that', async () => {
  const runtime = createSimulatedRuntime(3);
  const life = new Life(runtime, new MemoryJournal(), { lagMsMax: 150, patientBatches: 10 });
  await runtime.settle(life.aggregator.start());
  life.store.hold();
  for (let batch = 1; batch <= 9; batch++) life.submit(batch);
  await runtime.runFor(60_000);
  expect(life.aggregator.lagMs()).toBe(60_000);
  expect(life.aggregator.isLate()).toBe(false);
  life.submit(10);
  expect(life.replies).toEqual([]);
  expect(life.aggregator.isLate()).toBe(true);
  life.submit(11);
  expect(life.replies).toEqual([refused('overloaded')]);
  expect(life.aggregator.stats).toMatchObject({ late: 1, overloaded: 1, inbox: 1 });
  life.store.release();
  await runtime.runFor(100);
  expect(life.aggregator.lagMs()).toBe(0);
  life.submit(11);
  await runtime.runFor(100);
  expect(life.replies.slice(1)).toEqual(Array.from({ length: 11 }, () => expect.objectContaining({ kind: 'counted', accepted: 2 })));
  expect(life.total()).toBe(22);
});

it('[LOAD-8] gives each of those that it leaves unanswered when it ends a turn of its own', async () => {
  const runtime = createSimulatedRuntime(6);
  const journal = new MemoryJournal();
  const life = new Life(runtime, journal);
  await runtime.settle(life.aggregator.start());
  life.store.mode = 'fail';
  for (let batch = 1; batch <= 20; batch++) life.submit(batch);
  await runtime.runFor(1_000);
  const other = new Life(runtime, journal);
  await runtime.settle(other.aggregator.start());
  life.store.mode = 'store';
  await runtime.runFor(2_000);
  expect(life.replies).toEqual(Array.from({ length: 20 }, () => refused('unavailable')));
  expect(new Set(life.replies.map((reply) => reply.kind === 'refused' && reply.retryAfterMs)).size).toBeGreaterThan(10);
});

it('[LOAD-8] gives those that it refuses turns, no more in a second than it counts in one, and none beyond ten seconds', async () => {
  const runtime = createSimulatedRuntime(4);
  const comebacks = new Comebacks(runtime);
  const perSecond = 2_000;
  for (let tick = 0; tick < 100; tick++) {
    await runtime.runFor(10);
    comebacks.counted(perSecond / 100);
  }
  const turns = Array.from({ length: 10_000 }, () => comebacks.nextMs());
  const inSecond = (second: number): number => turns.filter((ms) => Math.floor(ms / 1_000) === second).length;
  expect(Math.min(...turns)).toBeGreaterThanOrEqual(500);
  expect(Math.max(...turns)).toBeLessThanOrEqual(10_000);
  for (let second = 0; second < 8; second++) expect(inSecond(second)).toBeLessThanOrEqual(perSecond);
  // Once those have come and gone, the next one waits no longer than the first did.
  await runtime.runFor(10_000);
  expect(comebacks.nextMs()).toBeLessThan(1_100);
});

/** A store that needs time for each batch, hence a shard that can count so many a second. */
const BATCH_MS = 5;
const COMMIT_MS = 10;
/** Close to that. */
const PER_SECOND = 150;

interface Crowd {
  offered: number;
  acknowledged: number;
  readonly answerMs: number[];
}

/** Viewers who tap on and on whatever is refused, and send that again when they are told to. */
async function play(runtime: SimulatedRuntime, life: Life, perSecond: number, durationMs: number): Promise<Crowd> {
  const crowd: Crowd = { offered: 0, acknowledged: 0, answerMs: [] };
  const until = runtime.clock.now() + durationMs;
  const send = (session: string): void => {
    const sentAt = runtime.clock.now();
    const batch = { stream: 'derby', viewer: session, device: null, address: null, session, sequence: 1, reactions: [[HEART, 1]] };
    life.aggregator.submit(batch as never, (reply: IngestReply) => {
      if (reply.kind === 'refused') return void runtime.timers.after(reply.retryAfterMs!, () => send(session));
      crowd.answerMs.push(runtime.clock.now() - sentAt);
      if (runtime.clock.now() < until) crowd.acknowledged += 1;
    });
  };
  const stop = runtime.timers.every(20, () => {
    for (let batch = 0; batch < perSecond / 50; batch++) send(`s${runtime.clock.now()}-${crowd.offered++}`);
  });
  await runtime.run(until);
  stop();
  return crowd;
}

it('[LOAD-9] at three times what it can count a shard counts as much as ever, answers what it takes in within a second, and loses nothing', async () => {
  const runtime = createSimulatedRuntime(5);
  const life = new Life(runtime, new MemoryJournal(), { patientBatches: 10 });
  const commit = life.store.commit.bind(life.store);
  life.store.commit = async (one) => {
    await new Promise<void>((resolve) => runtime.timers.after(COMMIT_MS + BATCH_MS * one.sessions.length, resolve));
    return commit(one);
  };
  await runtime.settle(life.aggregator.start());
  const peak = await play(runtime, life, PER_SECOND, 5_000);
  expect(peak.acknowledged).toBeGreaterThan(0.95 * peak.offered);
  const over = await play(runtime, life, 3 * PER_SECOND, 10_000);
  expect(over.acknowledged / 10).toBeGreaterThan((0.9 * peak.acknowledged) / 5);
  const sorted = over.answerMs.toSorted((a, b) => a - b);
  expect(sorted[Math.floor(0.99 * sorted.length)]).toBeLessThan(1_000);
  // Nobody taps any more: all that was refused is counted in the end, once.
  await runtime.runUntil(() => over.answerMs.length === over.offered, 120_000);
  expect(life.total()).toBe(peak.offered + over.offered);
  expect(life.aggregator.lagMs()).toBe(0);
}, 20_000);
