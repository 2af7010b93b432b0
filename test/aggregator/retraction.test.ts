import { beforeEach, describe, expect, it } from 'vitest';
import type { EmojiId } from '../../crdt/ids.ts';
import type { AggregatorOptions } from '../../src/aggregator/options.ts';
import { ordersBetween } from '../../src/aggregator/checks.ts';
import { windowStartOf } from '../../src/base/window.ts';
import { encodeCommit } from '../../src/hot-store/commit-codec.ts';
import type { Commit } from '../../src/hot-store/hot-store.ts';
import { MemoryJournal } from '../../src/hot-store/memory-store.ts';
import type { Mute, Policy } from '../../src/moderation/policy.ts';
import { muting } from '../support/muting.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { DERBY, HEART, Life, counted } from './shard-life.ts';

const FIRE = 'fire' as EmojiId;

const mute = (fields: Partial<Mute> = {}): Mute => ({ until: null, by: 'm', reason: 'bot', retractFrom: 0, at: 0, liftedAt: null, ...fields });

describe('retraction', () => {
  let runtime: SimulatedRuntime;
  let journal: MemoryJournal;

  beforeEach(() => {
    runtime = createSimulatedRuntime(7);
    journal = new MemoryJournal();
  });

  const begin = async (options?: Partial<AggregatorOptions>, policy?: Policy): Promise<Life> => {
    const life = new Life(runtime, journal, options, policy);
    await runtime.settle(life.aggregator.start());
    return life;
  };

  const order = (life: Life, policy: Policy): void => {
    life.policy = policy;
    life.aggregator.policyChanged();
  };

  /** A cheater taps 2 hearts in each of some seconds, beside an honest viewer's 2 in all. */
  const cheat = async (life: Life, seconds = 3): Promise<void> => {
    life.submit(1, { viewer: 'honest', session: 'honest' });
    for (let second = 1; second <= seconds; second++) {
      life.submit(second, { viewer: 'cheater', device: 'phone', session: 'c' });
      await runtime.runFor(1000);
    }
  };

  it('[AGG-33] takes back at once what a mute takes back, in the windows in which it was counted, and once', async () => {
    const life = await begin();
    await cheat(life);
    expect(life.total()).toBe(8);
    const seconds = life.commits.map(({ at }) => windowStartOf(at));
    order(life, muting({ cheater: mute() }));
    await runtime.runFor(20);
    expect(life.total()).toBe(2);
    const { rows, contributions, corrections } = life.commits.at(-1)!;
    expect(rows).toEqual([{ stream: DERBY, entries: [{ emoji: HEART, increments: 8, decrements: 6, windowIncrements: 0 }] }]);
    expect(contributions.map(({ viewer, counted: taps, retracted }) => [viewer, taps, retracted])).toEqual([1, 2, 3].map(() => ['cheater', 2, 2]));
    expect(corrections.map(({ windowStart, decrements }) => [windowStart, decrements]).sort()).toEqual(seconds.map((start) => [start, 2]));
    // Heard again, as another object, and with others.
    const commits = life.commits.length;
    order(life, muting({ cheater: mute(), other: mute() }, { tablet: mute() }));
    await runtime.runFor(60_000);
    expect(life.commits).toHaveLength(commits);
    order(life, muting({ cheater: mute({ liftedAt: runtime.clock.now() }) }));
    await runtime.runFor(60_000);
    expect(life.commits).toHaveLength(commits);
    expect(life.aggregator.stats).toMatchObject({ tapsTakenBack: 6, tapsAccepted: 8 });
    expect(life.aggregator.acknowledged(DERBY)).toBe(8);
  });

  it('[AGG-33] finds a change that nobody told it of: at the next batch, or within ten seconds', async () => {
    const life = await begin();
    await cheat(life);
    life.policy = muting({ cheater: mute() });
    await runtime.runFor(10_100);
    expect(life.total()).toBe(2);
    life.policy = muting({ honest: mute({ liftedAt: runtime.clock.now() }) });
    life.submit(2, { viewer: 'somebody', session: 'somebody' });
    await runtime.runFor(30);
    expect(life.total()).toBe(2);
  });

  it('[AGG-33] takes back what was counted while nobody knew of a mute that is lifted already', async () => {
    const life = await begin();
    await cheat(life);
    const until = runtime.clock.now() - 1500;
    order(life, muting({ cheater: mute({ liftedAt: until }) }));
    await runtime.runFor(20);
    // Of the three seconds the last was counted after the end.
    expect(life.total()).toBe(4);
    life.submit(9, { viewer: 'cheater', session: 'c' });
    await runtime.runFor(60_000);
    expect(life.total()).toBe(6);
  });

  it('[AGG-33] [MOD-23] takes back what each of several decisions says, also those that do not last longest', async () => {
    const life = await begin();
    const startedAt = windowStartOf(runtime.clock.now()) + 1000;
    await runtime.runFor(startedAt - runtime.clock.now());
    await cheat(life, 5);
    const second = (from: number, to: number): Partial<Mute> => ({ retractFrom: startedAt + 1000 * from, until: startedAt + 1000 * to });
    order(life, muting({ cheater: [mute(second(0, 1)), mute(second(3, 4)), mute({ retractFrom: null })] }, { phone: mute(second(4, 5)) }));
    await runtime.runFor(20);
    expect(life.total()).toBe(12 - 6);
    const next = await begin({}, muting({ cheater: [mute(second(0, 1)), mute(second(1, 2))] }));
    await runtime.runFor(20);
    expect(next.total()).toBe(12 - 8);
  });

  it('[AGG-33] keeps viewers, devices and emoji apart', async () => {
    const life = await begin();
    life.submit(1, { viewer: 'a', session: 'a', device: 'phone', reactions: [[HEART, 2], [FIRE, 1]] });
    life.submit(1, { viewer: 'b', session: 'b', device: 'phone' });
    life.submit(1, { viewer: 'phone', session: 'p', device: 'a' });
    await runtime.runFor(20);
    order(life, muting({}, { phone: mute() }));
    await runtime.runFor(20);
    expect(life.total()).toBe(2);
    expect(life.ledger.tally(DERBY)?.counter(FIRE)?.value).toBe(0);
    order(life, muting({ a: mute() }, { phone: mute() }));
    await runtime.runFor(20);
    expect(life.total()).toBe(2);
  });

  it.each([
    ['before the commit was stored', 'fail' as const],
    ['after the commit was stored', 'store-and-fail' as const],
  ])('[AGG-33] [AGG-34] takes back once when the process dies %s', async (_, mode) => {
    const life = await begin();
    await cheat(life);
    life.store.mode = mode;
    order(life, muting({ cheater: mute() }));
    await runtime.runFor(15);
    expect(life.total()).toBe(8);
    for (const again of [1, 2, 3]) {
      const next = await begin({}, muting({ cheater: mute() }));
      await runtime.runFor(20);
      expect(next.total(), `life ${again}`).toBe(2);
    }
    expect(totalTakenBack()).toBe(6);
  });

  it('[AGG-34] takes back in commits below the bound, each whole in itself, while others go on tapping', async () => {
    const options = { commitBytesMax: 1500 };
    const life = await begin(options);
    for (let second = 1; second <= 60; second++) {
      life.submit(second, { viewer: 'cheater', session: 'c' });
      await runtime.runFor(1000);
    }
    const before = life.commits.length;
    order(life, muting({ cheater: mute() }));
    for (let batch = 1; batch <= 20; batch++) life.submit(batch, { viewer: `h${batch}`, session: `h${batch}` });
    await runtime.runFor(1000);
    expect(life.total()).toBe(40);
    const commits = life.commits.slice(before);
    expect(commits.length).toBeGreaterThan(5);
    for (const commit of commits) {
      expect(encodeCommit(commit).length).toBeLessThan(1800);
      expect(decrementsOf(commit)).toBe(retractedUntil(commits, commit));
    }
  });

  it('[AGG-34] goes on where a life before ended in the middle', async () => {
    const options = { commitBytesMax: 1500 };
    const life = await begin(options);
    for (let second = 1; second <= 60; second++) {
      life.submit(second, { viewer: 'cheater', session: 'c' });
      await runtime.runFor(1000);
    }
    const before = life.commits.length;
    order(life, muting({ cheater: mute() }));
    while (life.commits.length < before + 2) await runtime.runFor(1);
    expect(life.total()).toBeGreaterThan(0);
    const next = await begin(options, muting({ cheater: mute() }));
    await runtime.runFor(500);
    expect(next.total()).toBe(0);
    expect(totalTakenBack()).toBe(120);
  });

  it('[AGG-35] answers what is muted as not counted, a resend likewise, and counts again after the end', async () => {
    const life = await begin();
    const until = runtime.clock.now() + 5000;
    order(life, muting({ v: mute({ until, retractFrom: null }) }, { phone: mute({ retractFrom: null }) }));
    life.submit(1);
    life.submit(1, { viewer: 'w', session: 'w', device: 'phone' });
    life.submit(0, { session: null });
    await runtime.runFor(20);
    expect(life.replies).toEqual([counted(0, 2), counted(0, 2), counted(0, 2)]);
    expect(life.aggregator.stats['tapsClamped']).toBe(6);
    await runtime.runFor(5000);
    life.submit(1);
    life.submit(2);
    await runtime.runFor(20);
    expect(life.replies.slice(3)).toEqual([counted(0, 2, true), counted(2)]);
    const next = await begin();
    next.submit(1);
    await runtime.runFor(20);
    expect(next.replies).toEqual([counted(0, 2, true)]);
    expect(next.total()).toBe(2);
  });

  it('[AGG-8] [AGG-33] knows after a lost journal what can be taken back, and what was', async () => {
    const life = await begin({ commitBytesMax: 2000 });
    await cheat(life);
    life.submit(1, { viewer: 'second', session: 'second' });
    await runtime.runFor(20);
    journal.wipe();
    order(life, muting({ cheater: mute() }));
    await runtime.runFor(1000);
    expect(life.total()).toBe(4);
    expect(life.aggregator.stats['journalsLost']).toBe(1);
    const next = await begin({}, muting({ cheater: mute(), second: mute() }));
    await runtime.runFor(20);
    expect(next.total()).toBe(2);
  });

  it('[AGG-36] takes nothing back twice when the journal has lost the commit that took it back', async () => {
    const life = await begin();
    await cheat(life);
    const older = new MemoryJournal();
    for (const commit of journal.commits()) older.append(commit);
    order(life, muting({ cheater: mute() }));
    await runtime.runFor(20);
    expect(life.total()).toBe(2);
    // The disk comes back as it was, and the own log remembers what it had been told.
    const next = new Life(runtime, older, {}, muting({ cheater: mute() }));
    for (const { actor, sequence, rows } of life.commits) for (const { stream, entries } of rows) next.ledger.join({ stream, actor, sequence, entries });
    await runtime.settle(next.aggregator.start());
    await runtime.runFor(30_000);
    expect(next.total()).toBe(2);
  });

  it('[AGG-33] takes nothing back of what lies longer ago than journals are kept, because the journals may differ in that', async () => {
    const life = await begin();
    await cheat(life);
    await runtime.runFor(598_000);
    const next = await begin({}, muting({ cheater: mute() }));
    await runtime.runFor(20);
    // Only the last of the three seconds is young enough.
    expect(next.total()).toBe(6);
    expect(next.aggregator.stats['retractableSeconds']).toBeLessThanOrEqual(600);
  });

  /** What all lives took back, by the books of their actors. */
  function totalTakenBack(): number {
    const byActor = new Map<string, number>();
    for (const commit of journal.commits()) byActor.set(commit.actor, Math.max(byActor.get(commit.actor) ?? 0, decrementsOf(commit)));
    return [...byActor.values()].reduce((sum, taps) => sum + taps, 0);
  }
});

function decrementsOf({ rows }: Commit): number {
  return rows.flatMap(({ entries }) => entries).reduce((sum, { decrements }) => sum + decrements, 0);
}

/** What the contributions of the commits up to one say is taken back. */
function retractedUntil(commits: readonly Commit[], last: Commit): number {
  const said = commits.slice(0, commits.indexOf(last) + 1).flatMap(({ contributions }) => contributions);
  return said.reduce((sum, { retracted }) => sum + retracted, 0);
}

describe('orders', () => {
  it('[AGG-33] are what a policy takes back and the one before did not', () => {
    const before = muting({ same: mute(), longer: mute({ until: 50 }), kept: mute({ retractFrom: null }), both: mute({ until: 9 }) });
    const after = muting(
      { same: mute({ reason: 'other words' }), longer: mute({ until: 90 }), kept: mute({ retractFrom: null }), fresh: mute({ retractFrom: 7, liftedAt: 9 }), both: [mute({ retractFrom: 3, until: 5 }), mute({ until: 9 }), mute({ retractFrom: null })] },
      { empty: mute({ retractFrom: 9, until: 9 }), phone: mute() },
    );
    expect(ordersBetween(before, after)).toEqual([
      { kind: 'viewer', id: 'longer', from: 0, to: 90 },
      { kind: 'viewer', id: 'fresh', from: 7, to: 9 },
      { kind: 'viewer', id: 'both', from: 3, to: 5 },
      { kind: 'device', id: 'phone', from: 0, to: Infinity },
    ]);
    expect(ordersBetween(after, after)).toEqual([]);
    expect(ordersBetween(null, after)).toHaveLength(6);
    expect(ordersBetween(muting({}), after)).toHaveLength(6);
    expect(ordersBetween(after, muting({}))).toEqual([]);
  });
});
