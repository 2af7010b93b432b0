import { beforeEach, describe, expect, it } from 'vitest';
import { parseActorId } from '../../crdt/actor.ts';
import type { AggregatorOptions } from '../../src/aggregator/options.ts';
import { COMMIT_RETENTION_MS, type Commit } from '../../src/hot-store/hot-store.ts';
import { encodeCommit } from '../../src/hot-store/commit-codec.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { DERBY, HEART, Life, counted, refused } from './shard-life.ts';

describe('aggregator', () => {
  let runtime: SimulatedRuntime;
  let journal: MemoryJournal;

  beforeEach(() => {
    runtime = createSimulatedRuntime(7);
    journal = new MemoryJournal();
  });

  const begin = async (options?: Partial<AggregatorOptions>): Promise<Life> => {
    const life = new Life(runtime, journal, options);
    await runtime.settle(life.aggregator.start());
    return life;
  };

  it('[AGG-1] replies after the commit is durable, joined and handed on, and not before', async () => {
    const life = await begin();
    life.store.hold();
    life.submit(1);
    life.submit(2);
    await runtime.runFor(1000);
    expect(life.store.tried).toHaveLength(1);
    expect(life.events).toEqual([]);
    expect(life.total()).toBe(0);
    expect(life.aggregator.acknowledged(DERBY)).toBe(0);
    life.store.release();
    await runtime.runFor(0);
    expect(life.events).toEqual(['commit 1 total 4', 'reply 1', 'reply 2']);
    expect(life.replies).toEqual([counted(2), counted(2)]);
    expect(life.aggregator.acknowledged(DERBY)).toBe(4);
    expect(life.aggregator.sequence).toBe(1);
  });

  it('[AGG-1] commits what came within a tick together, with the time of the commit', async () => {
    const life = await begin({ tickMs: 20 });
    const at = runtime.clock.now();
    life.submit(1);
    await runtime.runFor(19);
    life.submit(2);
    expect(life.commits).toEqual([]);
    await runtime.runFor(1);
    expect(life.commits).toHaveLength(1);
    expect(life.commits[0]).toMatchObject({ sequence: 1, at: at + 20, actor: life.aggregator.actor });
    expect(life.commits[0]!.sessions).toEqual([{ stream: DERBY, session: 's', highest: 2, low: 3, high: 0, clamped: [] }]);
    // Nothing ticks while nothing waits; only what is old is forgotten now and then.
    expect(runtime.pendingTimers).toBe(1);
  });

  it('[AGG-2] answers a duplicate of a batch in flight with its commit, and one of a durable batch without', async () => {
    const life = await begin();
    life.store.hold();
    life.submit(1);
    life.submit(1);
    await runtime.runFor(100);
    life.submit(1);
    await runtime.runFor(100);
    expect(life.replies).toEqual([]);
    expect(life.aggregator.inFlightSince()).toBe(life.store.tried[0]!.at);
    life.store.release();
    await runtime.runFor(100);
    expect(life.replies).toEqual([counted(2), counted(2, 0, true), counted(2, 0, true)]);
    expect(life.store.tried).toHaveLength(1);
    expect(life.aggregator.inFlightSince()).toBeNull();
    expect(life.aggregator.acknowledged(DERBY)).toBe(2);
  });

  it.each([
    ['after the commit was stored', 'store-and-fail' as const],
    ['before the commit was stored', 'fail' as const],
  ])('[AGG-3] counts once, with the same answer, what is resent after a crash %s', async (_, mode) => {
    const life = await begin();
    life.store.mode = mode;
    life.submit(1, { reactions: [[HEART, 210]] });
    await runtime.runFor(15);
    expect(life.replies).toEqual([]);

    const next = await begin();
    next.submit(1, { reactions: [[HEART, 210]] });
    await runtime.runFor(10);
    expect(next.replies).toEqual([counted(200, 10, mode === 'store-and-fail')]);
    expect(next.total()).toBe(200);
    expect(next.recovered).toHaveLength(mode === 'store-and-fail' ? 1 : 0);
    expect(next.aggregator.acknowledged(DERBY)).toBe(mode === 'store-and-fail' ? 0 : 200);
  });

  it('[AGG-5] writes as a fresh actor in each life, also when the clock was set back', async () => {
    const lives = [await begin()];
    lives[0]!.submit(1);
    await runtime.runFor(10);
    const past = createSimulatedRuntime(7, runtime.clock.now() - 3_600_000);
    const later = new Life(past, journal);
    await past.settle(later.aggregator.start());
    later.submit(2);
    await past.runFor(10);
    const [first, second] = [lives[0]!.aggregator.actor!, later.aggregator.actor!];
    expect(parseActorId(second).epoch).toBe(parseActorId(first).epoch + 1);
    expect(later.total()).toBe(4);
    expect([...later.ledger.actors()]).toEqual([first, second]);
  });

  it('[AGG-5] knows the epochs of its region and shard that only the ledger remembers', async () => {
    const life = new Life(runtime, journal);
    const epoch = runtime.clock.now() + 5000;
    for (const [actor, increments] of [[`us/0/${epoch}`, 1], [`us/1/${epoch + 7}`, 2], [`eu/0/${epoch + 9}`, 3]] as const) {
      life.ledger.join({ stream: DERBY, actor: actor as Commit['actor'], sequence: 1, entries: [{ emoji: HEART, increments, decrements: 0 }] });
    }
    await runtime.settle(life.aggregator.start());
    expect(life.aggregator.actor).toBe(`us/0/${epoch + 1}`);
  });

  it('[AGG-5] knows the epochs of lives that counted nothing', async () => {
    const store = createMemoryStore(journal);
    const epoch = runtime.clock.now() + 5000;
    await store.recover(() => {});
    await store.begin(`us/0/${epoch}` as Commit['actor']);
    await store.commit({ actor: `us/0/${epoch}` as Commit['actor'], sequence: 1, at: 0, rows: [], sessions: [], contributions: [], corrections: [], windowsStoredBefore: 0 });
    expect((await begin()).aggregator.actor).toBe(`us/0/${epoch + 1}`);
  });

  it('[AGG-6] tries the very same commit until the store takes it, and acknowledges nothing meanwhile', async () => {
    const life = await begin();
    life.store.mode = 'fail';
    life.submit(1);
    await runtime.runFor(500);
    life.store.mode = 'store-and-fail';
    life.submit(2);
    await runtime.runFor(5000);
    expect(life.replies).toEqual([]);
    expect(life.total()).toBe(0);
    life.store.mode = 'store';
    await runtime.runFor(2000);
    expect(life.replies).toEqual([counted(2), counted(2)]);
    const [first, ...again] = life.store.tried.filter(({ sequence }) => sequence === 1);
    expect(again.length).toBeGreaterThan(5);
    expect(again.length).toBeLessThan(40);
    for (const commit of again) expect(commit).toBe(first);
    expect(await recoveredTotal()).toBe(4);
  });

  it('[AGG-7] acknowledges nothing more once another process has become the writer', async () => {
    const life = await begin();
    life.submit(1);
    await runtime.runFor(10);
    const other = await begin();
    life.submit(2);
    await runtime.runFor(10);
    life.submit(3);
    expect(life.replies).toEqual([counted(2), refused('unavailable'), refused('unavailable')]);
    expect(life.fenced).toBe(1);
    expect(life.total()).toBe(2);
    // It forgets nothing of a journal that is another's: what ticks is the other's.
    expect(runtime.pendingTimers).toBe(1);
    other.submit(2);
    await runtime.runFor(10);
    expect(other.replies).toEqual([counted(2)]);
    expect(other.total()).toBe(4);
    await runtime.settle(life.aggregator.stop());
  });

  it('[AGG-8] commits its whole state anew when the journal was lost, so that a later life knows every session', async () => {
    const life = await begin({ commitBytesMax: 4000 });
    for (let viewer = 0; viewer < 100; viewer++) life.submit(1, { session: `s${viewer}`, viewer: `v${viewer}` });
    await runtime.runFor(500);
    expect(life.total()).toBe(200);
    const before = life.commits.length;
    journal.wipe();
    life.submit(2, { session: 's0' });
    await runtime.runFor(10);
    expect(life.replies.at(-1)).toEqual(counted(2));
    expect(life.aggregator.stats['journalsLost']).toBe(1);
    // What repeats the state is let go as soon as it is durable, but for what others derive from it.
    const [, ...again] = life.commits.slice(before);
    expect(again.length).toBeGreaterThan(5);
    for (const { sessions, contributions } of again) expect([...sessions, ...contributions]).toEqual([]);
    expect(again.flatMap(({ rows }) => rows)).toHaveLength(1);

    const next = await begin();
    expect(next.total()).toBe(202);
    for (let viewer = 0; viewer < 100; viewer++) next.submit(1, { session: `s${viewer}`, viewer: `v${viewer}` });
    await runtime.runFor(500);
    expect(next.replies).toEqual(Array.from({ length: 100 }, () => counted(2, 0, true)));
    expect(next.total()).toBe(202);
  });

  it('[AGG-8] commits anew all that can still be taken back, also when what is older goes meanwhile', async () => {
    const life = await begin({ commitBytesMax: 2000, contributionsKeptMs: 15_000 });
    const tap = (kind: string): void => {
      for (let viewer = 0; viewer < 100; viewer++) life.submit(1, { session: `${kind}${viewer}`, viewer: `${kind}${viewer}` });
    };
    tap('old');
    await runtime.runFor(15_000);
    tap('new');
    await runtime.runFor(1_000);
    journal.wipe();
    const commit = life.store.commit.bind(life.store);
    life.store.commit = async (one) => {
      await new Promise<void>((resolve) => runtime.timers.after(1_000, resolve));
      return commit(one);
    };
    life.submit(2, { session: 'new0', viewer: 'new0' });
    await runtime.runFor(120_000);
    expect(life.replies.at(-1)).toEqual(counted(2));
    const noted = new Set([...journal.commits()].flatMap(({ contributions }) => contributions.map(({ viewer }) => viewer)));
    expect([...noted].filter((viewer) => viewer.startsWith('new'))).toHaveLength(100);
    // Those that were old are gone, or the test would say nothing.
    expect(life.aggregator.stats['contributions']).toBeLessThan(200);
  });

  it('[AGG-9] refuses what finds no room in the inbox, and what the region has no room for', async () => {
    const life = await begin({ inboxMax: 3 });
    life.store.hold();
    life.submit(1);
    await runtime.runFor(10);
    for (const sequence of [2, 3, 4, 5, 6]) life.submit(sequence);
    expect(life.replies).toEqual([refused('overloaded'), refused('overloaded')]);
    life.store.release();
    await runtime.runFor(20);
    life.overloaded = true;
    life.submit(7);
    expect(life.replies.slice(2)).toEqual([...Array.from({ length: 4 }, () => counted(2)), refused('overloaded')]);
    expect(life.total()).toBe(8);
    expect(life.aggregator.stats).toMatchObject({ batches: 7, overloaded: 3, tapsAccepted: 8, inbox: 0 });
  });

  it('[AGG-11] splits what does not fit one commit, by batches and by bytes', async () => {
    const life = await begin({ batchesPerCommitMax: 50, commitBytesMax: 3000 });
    for (let viewer = 0; viewer < 300; viewer++) life.submit(1, { session: `session-${viewer}`, viewer: `v${viewer}` });
    await runtime.runFor(1000);
    expect(life.replies).toHaveLength(300);
    expect(life.commits.length).toBeGreaterThan(300 / 50);
    for (const commit of life.commits) {
      expect(commit.sessions.length).toBeLessThanOrEqual(50);
      expect(encodeCommit(commit).length).toBeLessThan(3200);
    }
    expect(life.total()).toBe(600);
  });

  it('[AGG-14] keeps a commit until resends cannot come and all that derives from it is safe', async () => {
    const life = await begin();
    const kept = (): number => [...journal.commits()].length;
    const committedAt = runtime.clock.now();
    life.derivedBefore = committedAt;
    life.submit(1);
    await runtime.runFor(COMMIT_RETENTION_MS + 60_000);
    expect(kept()).toBe(1);
    life.derivedBefore = Infinity;
    life.submit(2);
    await runtime.runFor(60_000);
    expect([...journal.commits()].map(({ sequence }) => sequence)).toEqual([2]);
    await runtime.runFor(COMMIT_RETENTION_MS - 60_000);
    expect(kept()).toBe(1);
    await runtime.runFor(20_000);
    expect(kept()).toBe(0);
  });

  it('[AGG-14] keeps commits for as long as one took to be handed on only until that one is safe', async () => {
    const life = await begin();
    life.store.hold();
    life.submit(1);
    await runtime.runFor(100_000);
    life.store.release();
    await runtime.runFor(1_000);
    life.submit(2);
    await runtime.runFor(1_000);
    const [, second] = [...journal.commits()];
    // All is safe that was handed on until just after the second one.
    life.derivedBefore = second!.at + 100;
    await runtime.runFor(COMMIT_RETENTION_MS - 60_000);
    expect([...journal.commits()].map(({ sequence }) => sequence)).toEqual([2]);
    await runtime.runFor(90_000);
    expect([...journal.commits()]).toEqual([]);
  });

  it('[AGG-13] flushes what it took in when stopped, and refuses what comes later', async () => {
    const life = await begin();
    for (let viewer = 0; viewer < 10; viewer++) life.submit(1, { session: `s${viewer}` });
    const stopped = life.aggregator.stop();
    life.submit(2);
    await runtime.settle(stopped);
    expect(life.replies).toEqual([refused('unavailable'), ...Array.from({ length: 10 }, () => counted(2))]);
    expect(runtime.pendingTimers).toBe(0);
    expect(await recoveredTotal()).toBe(20);
  });

  it('[AGG-13] stops within its time when the store is gone, and then acknowledges nothing', async () => {
    const life = await begin({ stopMsMax: 2000 });
    life.store.mode = 'fail';
    life.submit(1);
    await runtime.runFor(500);
    life.submit(2);
    await runtime.settle(life.aggregator.stop(), 3100);
    expect(life.replies).toEqual([refused('unavailable'), refused('unavailable')]);
    expect(life.fenced).toBe(0);
    expect(runtime.pendingTimers).toBe(0);
  });

  it('[AGG-13] refuses while it starts, and gives up starting when stopped', async () => {
    const life = new Life(runtime, journal);
    life.store.recover = () => Promise.reject(new Error('no store yet'));
    const started = life.aggregator.start();
    const outcome = expect(started).rejects.toThrow('given up');
    await runtime.runFor(5000);
    life.submit(1);
    expect(life.replies).toEqual([refused('unavailable')]);
    await runtime.settle(life.aggregator.stop());
    await outcome;
    expect(runtime.pendingTimers).toBe(0);
  });

  async function recoveredTotal(): Promise<number> {
    return (await begin()).total();
  }
});
