import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActorId } from '../../crdt/actor.ts';
import { createMemoryWindowQueue } from '../../src/analytics/memory-window-queue.ts';
import { WindowPublisher, type WindowPublisherOptions } from '../../src/analytics/window-publisher.ts';
import { WindowQueueUnavailable, type WindowQueue } from '../../src/analytics/window-queue.ts';
import { windowStartOf, type WindowRecord } from '../../src/analytics/window-record.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { ACTOR, START_MS, booksOf, commitsOf, expectedWindows, lackingIn, ticks, type Tick } from './commits.ts';
import { keptLog } from './kept-log.ts';

/** A queue that keeps what it took, can be made to refuse, and whose database has at once what it took unless that is made to wait. */
class FickleQueue implements WindowQueue {
  readonly taken: WindowRecord[] = [];
  readonly stored: WindowRecord[] = [];
  refusing = false;
  storing = true;
  onStored: (records: readonly WindowRecord[]) => void = () => {};
  #waiting: WindowRecord[] = [];
  #losses = 0;

  async open(): Promise<void> {
    if (this.refusing) throw new WindowQueueUnavailable('refusing');
  }

  async publish(records: readonly WindowRecord[]): Promise<void> {
    if (this.refusing) throw new WindowQueueUnavailable('refusing');
    this.taken.push(...records);
    this.#waiting.push(...records);
    if (this.storing) this.store();
  }

  store(): void {
    const records = this.#waiting.splice(0);
    this.stored.push(...records);
    this.onStored(records);
  }

  lose(): void {
    this.empty();
    this.#losses += 1;
  }

  /** By somebody else, without a sign. */
  empty(): void {
    this.#waiting = [];
  }

  malformed(): number {
    return 0;
  }

  losses(): number {
    return this.#losses;
  }

  async consume(): Promise<void> {}

  depth(): number {
    return this.#waiting.length;
  }

  async close(): Promise<void> {}
}

const tap = (afterMs: number): Tick => ({ afterMs, taps: [{ stream: 's', emoji: 'e', added: 1, retracted: 0 }] });

function start(options: Partial<WindowPublisherOptions> = {}, seed = 1) {
  const runtime = createSimulatedRuntime(seed, START_MS);
  const queue = new FickleQueue();
  const log = keptLog();
  const publisher = new WindowPublisher({ queue, runtime, log, viewersOf: () => 3, reachedBy: () => runtime.clock.now(), ...options });
  queue.onStored = (records) => publisher.stored(records);
  publisher.start();
  return { runtime, queue, log, publisher };
}

async function live(runtime: SimulatedRuntime, publisher: WindowPublisher, history: readonly Tick[]): Promise<void> {
  for (const commit of commitsOf(history)) {
    await runtime.run(commit.at);
    publisher.add(commit);
  }
}

describe('the window publisher', () => {
  it('[WIN-2] every window reaches the queue soon after its end, and whatever is open at the stop', async () => {
    await fc.assert(
      fc.asyncProperty(ticks, async (history) => {
        const { runtime, queue, publisher } = start();
        await live(runtime, publisher, history);
        const closed = windowStartOf(runtime.clock.now() - 250);
        expect(lackingIn(booksOf(queue.taken), expectedWindows(history, closed))).toEqual([]);
        await runtime.settle(publisher.stop());
        expect(booksOf(queue.taken)).toEqual(expectedWindows(history));
        expect(runtime.pendingTimers).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('[WIN-4] the mark never passes a window that is not stored', async () => {
    await fc.assert(
      fc.asyncProperty(ticks, fc.array(fc.boolean()), fc.nat(), async (history, refusals, seed) => {
        const { runtime, queue, publisher } = start({}, seed);
        for (const [index, commit] of commitsOf(history).entries()) {
          queue.refusing = refusals[index] ?? false;
          await runtime.run(commit.at);
          publisher.add(commit);
          const mark = publisher.storedBefore(ACTOR);
          expect(lackingIn(booksOf(queue.taken), expectedWindows(history, mark))).toEqual([]);
        }
        queue.refusing = false;
        await runtime.runFor(30_000);
        expect(booksOf(queue.taken)).toEqual(expectedWindows(history));
        if (history.length > 0) expect(publisher.storedBefore(ACTOR)).toBeGreaterThan(runtime.clock.now() - 2000);
        await runtime.settle(publisher.stop());
      }),
      { numRuns: 40 },
    );
  });

  it('[WIN-4] a crash at any time loses no window: what is replayed and what was queued are all', async () => {
    await fc.assert(
      fc.asyncProperty(ticks, fc.array(fc.boolean()), async (history, refusals) => {
        const first = start();
        const commits = [];
        for (const [index, bare] of commitsOf(history).entries()) {
          first.queue.refusing = refusals[index] ?? false;
          await first.runtime.run(bare.at);
          const commit = { ...bare, windowsStoredBefore: first.publisher.storedBefore(ACTOR) };
          first.publisher.add(commit);
          commits.push(commit);
        }
        // Here the process dies. The next life has another actor, and the first one's commits.
        const second = start();
        for (const commit of commits) second.publisher.add(commit);
        await second.runtime.runFor(60_000);
        await second.runtime.settle(second.publisher.stop());
        expect(booksOf([...first.queue.taken, ...second.queue.taken])).toEqual(expectedWindows(history));
      }),
      { numRuns: 40 },
    );
  });

  it('[WIN-16] what the queue loses it is given again until the database has it, also after a crash', async () => {
    const events = fc.array(fc.record({ refusing: fc.boolean(), storing: fc.boolean(), lost: fc.boolean() }));
    await fc.assert(
      fc.asyncProperty(ticks, events, fc.boolean(), async (history, weather, crashes) => {
        const first = start();
        const commits = [];
        for (const [index, bare] of commitsOf(history).entries()) {
          const { refusing, storing, lost } = weather[index] ?? { refusing: false, storing: true, lost: false };
          first.queue.refusing = refusing;
          first.queue.storing = storing;
          await first.runtime.run(bare.at);
          if (lost) first.queue.lose();
          const mark = first.publisher.storedBefore(ACTOR);
          expect(lackingIn(booksOf(first.queue.stored), expectedWindows(history, mark))).toEqual([]);
          const commit = { ...bare, windowsStoredBefore: mark };
          first.publisher.add(commit);
          commits.push(commit);
        }
        let { stored } = first.queue;
        if (crashes) {
          // With all that waits in the queue.
          const second = start();
          for (const commit of commits) second.publisher.add(commit);
          await second.runtime.runFor(60_000);
          await second.runtime.settle(second.publisher.stop());
          stored = [...stored, ...second.queue.stored];
        } else {
          first.queue.refusing = false;
          first.queue.storing = true;
          await first.runtime.runFor(60_000);
          first.queue.store();
          expect(first.publisher.stats.unstoredRecords).toBe(0);
          await first.runtime.settle(first.publisher.stop());
        }
        expect(booksOf(stored)).toEqual(expectedWindows(history));
      }),
      { numRuns: 60 },
    );
  });

  it('[WIN-16] what somebody has taken out of the queue is given again once it is empty and minutes have passed, and the mark goes on', async () => {
    const { runtime, queue, publisher } = start();
    queue.storing = false;
    await live(runtime, publisher, [tap(0), tap(1000)]);
    await runtime.runFor(2000);
    queue.empty();
    queue.storing = true;
    await live(runtime, publisher, [tap(10_000)]);
    await runtime.runFor(120_000);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS);
    // As long as anything waits it may be that.
    queue.storing = false;
    await live(runtime, publisher, [tap(140_000)]);
    await runtime.runFor(300_000);
    expect(publisher.stats.requeuedRecords).toBe(0);
    queue.store();
    queue.storing = true;
    await runtime.runFor(1000);
    expect(publisher.stats).toMatchObject({ requeuedRecords: 2, unstoredRecords: 0 });
    expect(publisher.storedBefore(ACTOR)).toBeGreaterThan(runtime.clock.now() - 2000);
    await runtime.settle(publisher.stop());
  });

  it('[WIN-16] keeps no more of what is not stored than it may, and counts what is left to the queue alone', async () => {
    const { runtime, queue, publisher } = start({ unstoredRecordsMax: 2 });
    queue.storing = false;
    await live(runtime, publisher, [tap(0), tap(1000), tap(1000), tap(1000)]);
    await runtime.runFor(2000);
    expect(publisher.stats).toMatchObject({ unstoredRecords: 2, unstoredLetGo: 2 });
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS + 2000);
    queue.lose();
    queue.storing = true;
    await runtime.runFor(2000);
    expect(publisher.stats).toMatchObject({ unstoredRecords: 0, requeuedRecords: 2 });
    expect(Object.keys(booksOf(queue.stored))).toHaveLength(2);
    await runtime.settle(publisher.stop());
  });

  it('[WIN-15] publishes the correction of an old window with its own, without viewers, and without being late', async () => {
    const { runtime, queue, publisher } = start({ viewersOf: () => 9 });
    await live(runtime, publisher, [{ afterMs: 500, taps: [{ stream: 's', emoji: 'e', added: 5, retracted: 2, windowsAgo: 1800 }] }]);
    queue.refusing = true;
    await runtime.runFor(2000);
    expect(publisher.stats.pendingRecords).toBe(2);
    expect(publisher.full()).toBe(false);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS);
    expect(publisher.queuedBefore()).toBe(START_MS);
    queue.refusing = false;
    await runtime.runFor(20_000);
    expect(queue.taken).toEqual([
      { stream: 's', actor: ACTOR, windowStart: START_MS - 1_800_000, viewers: 0, entries: [{ emoji: 'e', increments: 0, decrements: 2 }] },
      { stream: 's', actor: ACTOR, windowStart: START_MS, viewers: 9, entries: [{ emoji: 'e', increments: 5, decrements: 0 }] },
    ]);
    await runtime.settle(publisher.stop());
  });

  it('[WIN-4] a window stays open while a commit of its time is in flight', async () => {
    let inFlight: number | null = START_MS + 900;
    const { runtime, queue, publisher } = start({ reachedBy: () => inFlight ?? runtime.clock.now() });
    const [first, second] = commitsOf([tap(100), tap(800)]);
    publisher.add(first!);
    await runtime.run(START_MS + 5000);
    expect(queue.taken).toEqual([]);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS);
    expect(publisher.queuedBefore()).toBe(START_MS);
    publisher.add(second!);
    inFlight = null;
    await runtime.runFor(300);
    expect(queue.taken.map(({ entries }) => entries[0]!.increments)).toEqual([2]);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS + 5000);
    await runtime.settle(publisher.stop());
  });

  it('[WIN-4] a replayed commit of an earlier window takes the mark back to it', async () => {
    const { runtime, publisher } = start();
    const [early, late] = commitsOf([tap(1100), tap(3000)]);
    await runtime.run(START_MS + 9000);
    publisher.add(late!);
    await runtime.runFor(300);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS + 9000);
    publisher.add(early!);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS + 1000);
    await runtime.settle(publisher.stop());
  });

  it('[WIN-5] says full when too much or too old is waiting, and recovers when the queue does', async () => {
    const { runtime, queue, publisher } = start({ unpublishedRecordsMax: 4 });
    queue.refusing = true;
    await live(runtime, publisher, [tap(0), tap(1000), tap(1000)]);
    expect(publisher.full()).toBe(false);
    await live(runtime, publisher, [tap(3000)]);
    expect(publisher.full()).toBe(true);
    expect(publisher.stats.pendingRecords + publisher.stats.openRecords).toBe(4);
    queue.refusing = false;
    await runtime.runFor(15_000);
    expect(publisher.full()).toBe(false);

    queue.refusing = true;
    publisher.add({ ...commitsOf([tap(runtime.clock.now() - START_MS)])[0]! });
    await runtime.runFor(4 * 60_000);
    expect(publisher.full()).toBe(false);
    await runtime.runFor(2 * 60_000);
    expect(publisher.full()).toBe(true);
    expect(publisher.stats.publishFailures).toBeGreaterThan(10);
    queue.refusing = false;
    await runtime.runFor(15_000);
    expect(publisher.full()).toBe(false);
    await runtime.settle(publisher.stop());
    expect(booksOf(queue.taken)).toMatchObject(expectedWindows([tap(0), tap(1000), tap(1000)]));
  });

  it('[WIN-3] a stop publishes early without a mark, so the same window may grow and be published again', async () => {
    const { runtime, queue, publisher } = start();
    const [first, second] = commitsOf([tap(100), tap(300)]);
    publisher.add(first!);
    await runtime.settle(publisher.stop());
    expect(publisher.storedBefore(ACTOR)).toBe(0);
    const next = start();
    next.publisher.add(first!);
    next.publisher.add(second!);
    await next.runtime.runFor(2000);
    expect(booksOf([...queue.taken, ...next.queue.taken])).toEqual(expectedWindows([tap(100), tap(300)]));
    await next.runtime.settle(next.publisher.stop());
  });

  it('[WIN-5] a stop with a queue that refuses ends, and says what it leaves to recovery', async () => {
    const { runtime, queue, publisher, log } = start();
    publisher.add(commitsOf([tap(0)])[0]!);
    queue.refusing = true;
    await runtime.settle(publisher.stop());
    expect(log.lines.at(-1)).toMatchObject({ level: 'error', fields: { records: 1 } });
    expect(runtime.pendingTimers).toBe(0);
  });

  it('marks are kept apart by actor, and of an unknown one nothing is claimed', async () => {
    const { runtime, publisher } = start();
    publisher.add(commitsOf([tap(0)])[0]!);
    await runtime.runFor(3000);
    expect(publisher.storedBefore(ACTOR)).toBe(START_MS + 3000);
    expect(publisher.storedBefore('eu/0/1' as ActorId)).toBe(0);
    await runtime.settle(publisher.stop());
  });

  it('works with the real memory queue', async () => {
    const memory = createMemoryWindowQueue();
    const { runtime, publisher } = start({ queue: memory });
    await live(runtime, publisher, [tap(0), tap(1500)]);
    await runtime.settle(publisher.stop());
    expect(memory.depth()).toBe(2);
  });
});
