/** Shards that let go of streams that are over. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { Verdict } from '../../regions/claims.ts';
import type { StreamId } from '../../crdt/ids.ts';
import type { AggregatorOptions } from '../../src/aggregator/options.ts';
import { MemoryJournal } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY, type Mute } from '../../src/moderation/policy.ts';
import { muting } from '../support/muting.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { DERBY, Life, counted } from './shard-life.ts';

const MINUTE = 60_000;
const ENDED = { ...DEFAULT_POLICY, state: 'ended', endedAt: 0 } as const;
const STREAMS = 500;

describe('a shard whose streams are over', () => {
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

  it('[AGG-48] keeps nothing of 500 that lived and ended, and refuses taps on them', async () => {
    const life = await begin({ contributionsKeptMs: 10 * MINUTE });
    const streams = Array.from({ length: STREAMS }, (_, index) => `s${index}` as StreamId);
    for (const stream of streams) {
      for (const viewer of ['ann', 'bob']) {
        life.submit(1, { stream, viewer, session: `${viewer}-${stream}`, device: `phone-${viewer}`, address: '10.0.0' });
      }
    }
    await runtime.runFor(1_000);
    expect(life.aggregator.stats).toMatchObject({ streams: STREAMS, sessions: 2 * STREAMS, buckets: 2 * STREAMS });
    expect(life.aggregator.acknowledged(streams[0]!)).toBe(4);
    life.policy = ENDED;
    for (const stream of streams) life.over.add(stream);
    await runtime.runFor(21_000);
    expect(life.aggregator.stats).toMatchObject({ streams: 0, sessions: 0, flagged: 0 });
    expect(life.aggregator.acknowledged(streams[0]!)).toBe(0);
    await runtime.runFor(11 * MINUTE);
    expect(life.aggregator.stats).toMatchObject({ buckets: 0, devices: 0, addresses: 0, contributions: 0, contributors: 0 });
    life.submit(2, { stream: streams[0]!, session: `ann-${streams[0]!}` });
    await runtime.runFor(1_000);
    expect(life.replies.at(-1)).toEqual({ kind: 'refused', reason: 'stream-ended' });
    expect(life.aggregator.stats).toMatchObject({ streams: 0, sessions: 0 });
  });

  it('[AGG-48] makes room for others within its bound of streams', async () => {
    const life = await begin({ streamsMax: 2 });
    life.submit(1, { stream: 'a' as StreamId });
    life.submit(1, { stream: 'b' as StreamId });
    await runtime.runFor(100);
    life.submit(1, { stream: 'c' as StreamId });
    await runtime.runFor(100);
    expect(life.replies.at(-1)).toMatchObject({ kind: 'refused', reason: 'overloaded' });
    life.over.add('a' as StreamId);
    await runtime.runFor(11_000);
    life.submit(1, { stream: 'c' as StreamId });
    await runtime.runFor(100);
    expect(life.replies.at(-1)).toEqual(counted(2));
  });

  it('[AGG-48] keeps what it knows of the streams that go on', async () => {
    const life = await begin();
    life.submit(1);
    life.submit(1, { stream: 'a' as StreamId });
    await runtime.runFor(100);
    life.over.add('a' as StreamId);
    await runtime.runFor(11_000);
    life.submit(1);
    await runtime.runFor(100);
    expect(life.replies.at(-1)).toEqual(counted(2, 0, true));
    expect(life.aggregator.stats).toMatchObject({ streams: 1, sessions: 1 });
  });

  it('[AGG-48] commits its whole state anew without them when the journal is lost', async () => {
    const life = await begin();
    life.submit(1);
    life.submit(1, { stream: 'a' as StreamId, viewer: 'ann' });
    await runtime.runFor(100);
    life.over.add('a' as StreamId);
    await runtime.runFor(11_000);
    journal.wipe();
    life.submit(2);
    await runtime.runFor(5_000);
    expect(life.replies.at(-1)).toEqual(counted(2));
    const after = life.store.tried.slice(2);
    expect(after.flatMap(({ contributions }) => contributions).map(({ stream }) => stream)).toContain(DERBY);
    for (const { rows, sessions, contributions } of after) {
      for (const { stream } of [...rows, ...sessions, ...contributions]) expect(stream).toBe(DERBY);
    }
  });

  it('[AGG-48] answers claims of what it has forgotten with unknown, and remembers nothing of them', async () => {
    const life = await begin();
    life.submit(1);
    await runtime.runFor(100);
    life.over.add(DERBY);
    await runtime.runFor(11_000);
    const verdicts: Verdict[] = [];
    const claim = { stream: DERBY, session: 's', sequence: 1, attempt: 1, clamped: 0, rivals: ['us'] };
    expect(life.aggregator.hear({ kind: 'claim', claim, at: runtime.clock.now(), done: (verdict) => verdict !== null && verdicts.push(verdict) })).toBe(true);
    await runtime.runFor(1_000);
    expect(verdicts).toEqual([{ stream: DERBY, session: 's', sequence: 1, verdict: 'unknown', clamped: 0 }]);
    expect(life.aggregator.stats).toMatchObject({ streams: 0, sessions: 0 });
  });

  it('[AGG-48] first takes back what is still to be taken back', async () => {
    const life = await begin();
    life.submit(1, { viewer: 'bot' });
    await runtime.runFor(100);
    life.store.hold();
    life.submit(2);
    await runtime.runFor(100);
    const mute: Mute = { until: null, by: 'ada', reason: '', retractFrom: 0, at: 1, liftedAt: null };
    life.policy = muting({ bot: mute }, {}, ENDED);
    life.aggregator.policyChanged();
    life.over.add(DERBY);
    await runtime.runFor(30_000);
    expect(life.aggregator.stats).toMatchObject({ streams: 1 });
    life.store.release();
    await runtime.runFor(11_000);
    expect(life.total()).toBe(2);
    expect(life.aggregator.stats).toMatchObject({ streams: 0 });
  });
});
