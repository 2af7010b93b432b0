import { beforeEach, describe, expect, it } from 'vitest';
import { actorId } from '../../crdt/actor.ts';
import { parseEmojiId, parseStreamId, type StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { createBroadcaster, type Broadcaster, type BroadcasterOptions } from '../../src/broadcaster/broadcaster.ts';
import type { Frame, Level } from '../../src/broadcaster/frame-feed.ts';
import { DEFAULT_POLICY, type Policy } from '../../src/moderation/policy.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';

const DERBY = parseStreamId('derby');
const GALA = parseStreamId('gala');

let runtime: SimulatedRuntime;
let ledger: Ledger;
let staleness: Record<string, number | null>;
let peerViewers: number;
let level: Level;
let policy: Policy;
let broadcaster: Broadcaster;
let sequence: number;

beforeEach(() => {
  runtime = createSimulatedRuntime(7);
  ledger = new Ledger();
  staleness = { eu: 100 };
  peerViewers = 0;
  level = 'exact';
  policy = DEFAULT_POLICY;
  sequence = 0;
  broadcaster = build();
  broadcaster.start();
});

function build(options: Partial<BroadcasterOptions> = {}): Broadcaster {
  return createBroadcaster({
    region: 'us',
    ledger,
    runtime,
    policyOf: (stream) => (stream === DERBY ? policy : DEFAULT_POLICY),
    staleness: () => ({ ...staleness }),
    peerViewers: () => peerViewers,
    currentActors: () => ['us/0/1'],
    acknowledged: () => 42,
    claimsInDoubt: () => 3,
    level: () => level,
    options,
  });
}

function count(stream: StreamId, emoji: string, increments: number, region = 'us', decrements = 0): void {
  sequence += 1;
  const actor = actorId({ region, shard: 0, epoch: 1 });
  ledger.join({ stream, actor, sequence, entries: [{ emoji: parseEmojiId(emoji), increments, decrements }] });
}

function connect(): { edge: ReturnType<Broadcaster['connectEdge']>; frames: Frame[] } {
  const edge = broadcaster.connectEdge();
  const frames: Frame[] = [];
  edge.onFrame((frame) => frames.push(frame));
  return { edge, frames };
}

describe('broadcaster', () => {
  it('[FRAME-6] makes at most one frame per watched stream and tick, however often the counts change', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 3);
    for (let step = 1; step <= 1_000; step++) {
      count(DERBY, 'heart', step);
      await runtime.runFor(1);
    }
    expect(frames).toHaveLength(5);
    expect(frames.at(-1)).toMatchObject({ stream: 'derby', region: 'us', totals: { heart: 1_000 }, viewers: 3, level: 'exact' });
    expect(frames.reduce((sum, frame) => sum + (frame.hints['heart'] ?? 0), 0)).toBeLessThanOrEqual(1_000);
  });

  it('[FRAME-11] a level that a moderator insists on is told in the next tick, on that stream alone, and taken back so', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    edge.watch(GALA, 1);
    await runtime.runFor(1_000);
    const told = async (): Promise<unknown[]> => {
      frames.length = 0;
      await runtime.runFor(200);
      return frames.map(({ stream, level: shown }) => [stream, shown]);
    };
    policy = { ...DEFAULT_POLICY, level: 'hearts' };
    expect(await told()).toEqual([['derby', 'hearts']]);
    expect(await told()).toEqual([]);
    expect((await edge.read(DERBY)).level).toBe('hearts');
    policy = { ...DEFAULT_POLICY };
    expect(await told()).toEqual([['derby', 'exact']]);
  });

  it.each([
    ['exact', 25],
    ['relaxed', 13],
    ['hearts', 9],
    ['static', 3],
  ] as const)('[LOAD-4] at %s frames of a busy stream come as seldom as the rung says, %i in five seconds', async (rung, frameCount) => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    level = rung;
    for (let step = 1; step <= 5_000; step += 10) {
      count(DERBY, 'heart', step);
      await runtime.runFor(10);
    }
    expect(frames).toHaveLength(frameCount);
    expect(frames.every((frame) => frame.level === rung)).toBe(true);
    // As many reactions a second as ever, over a longer time.
    expect(Object.values(frames.at(-1)!.rates)[0]).toBeGreaterThan(900);
    expect(frames.at(-1)!.totals['heart']).toBeGreaterThan(rung === 'static' ? 3_000 : 4_000);
  });

  it('[LOAD-4] a change of the level is told in the next tick, to all streams', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    edge.watch(GALA, 1);
    await runtime.runFor(200);
    for (const next of ['relaxed', 'hearts', 'static', 'hearts', 'exact'] as const) {
      frames.length = 0;
      level = next;
      await runtime.runFor(200);
      expect(frames.map(({ stream, level: shown }) => [stream, shown])).toEqual([['derby', next], ['gala', next]]);
    }
  });

  it('[LOAD-5] from hearts on what moves is folded into one number, and totals are told whole', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    await runtime.runFor(200);
    level = 'hearts';
    count(DERBY, 'heart', 10);
    count(DERBY, 'fire', 30);
    await runtime.runFor(200);
    const { totals, hints, rates } = frames.at(-1)!;
    expect(totals).toEqual({ heart: 10, fire: 30 });
    expect(hints).toEqual({ heart: 40 });
    expect(rates).toEqual({ heart: expect.closeTo(36.3, 0) });
    level = 'exact';
    await runtime.runFor(200);
    expect(Object.keys(frames.at(-1)!.rates)).toEqual(['heart', 'fire']);
  });

  it('[LOAD-6] a moderator goes further down the ladder than the region, and never holds it up', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    const shown = async (region: Level, moderator: Level): Promise<Level> => {
      level = region;
      policy = { ...DEFAULT_POLICY, level: moderator };
      await runtime.runFor(2_000);
      return frames.at(-1)!.level;
    };
    expect(await shown('exact', 'hearts')).toBe('hearts');
    expect(await shown('hearts', 'exact')).toBe('hearts');
    expect(await shown('static', 'relaxed')).toBe('static');
  });

  it('[FRAME-7] says nothing new on an idle stream but a keep-alive every 2 s', async () => {
    count(DERBY, 'heart', 5);
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    await runtime.runFor(200);
    expect(frames).toHaveLength(1);
    await runtime.runFor(10_000);
    expect(frames).toHaveLength(6);
    expect(broadcaster.stats.keepAliveFrames).toBe(5);
    for (const frame of frames) expect(frame).toMatchObject({ totals: { heart: 5 }, rates: {}, hints: {} });
  });

  it('[FRAME-7] goes on while a rate is falling, and then falls silent', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    await runtime.runFor(200);
    count(DERBY, 'fire', 40);
    await runtime.runFor(200);
    expect(frames.at(-1)).toMatchObject({ hints: { fire: 40 }, rates: { fire: expect.closeTo(36.3, 1) } });
    await runtime.runFor(8_000);
    const before = frames.length;
    expect(frames.at(-1)!.rates).toEqual({});
    await runtime.runFor(2_000);
    expect(frames.length - before).toBe(1);
    expect(frames.slice(2).every((frame) => frame.hints['fire'] === undefined)).toBe(true);
  });

  it('[FRAME-8] sends frames of a stream to the edges that watch it, and adds up their viewers', async () => {
    const one = connect();
    const two = connect();
    one.edge.watch(DERBY, 2);
    two.edge.watch(DERBY, 5);
    two.edge.watch(GALA, 1);
    peerViewers = 10;
    await runtime.runFor(200);
    expect(one.frames.map((frame) => [frame.stream, frame.viewers])).toEqual([['derby', 17]]);
    expect(two.frames.map((frame) => [frame.stream, frame.viewers])).toEqual([['derby', 17], ['gala', 11]]);
    expect([...broadcaster.ownViewers()]).toEqual([['derby', 7], ['gala', 1]]);

    one.edge.watch(DERBY, 0);
    await runtime.runFor(200);
    expect(one.frames).toHaveLength(1);
    expect(two.frames.at(-1)).toMatchObject({ stream: 'derby', viewers: 15 });
  });

  it('[FRAME-8] keeps nothing of a stream that nobody watches any more', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 2);
    edge.watch(GALA, 1);
    await runtime.runFor(200);
    edge.watch(GALA, 0);
    expect(broadcaster.stats).toMatchObject({ watchedStreams: 1, viewers: 2, edges: 1 });
    edge.close();
    expect(broadcaster.stats).toMatchObject({ watchedStreams: 0, viewers: 0, edges: 0 });
    edge.watch(DERBY, 4);
    count(DERBY, 'heart', 1);
    const before = frames.length;
    await runtime.runFor(5_000);
    expect(frames).toHaveLength(before);
    expect([...broadcaster.ownViewers()]).toEqual([]);
  });

  it('[FRAME-7] tells a change of viewers, level or class of staleness in the next tick', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    await runtime.runFor(200);
    const changes: [() => void, object][] = [
      [() => edge.watch(DERBY, 2), { viewers: 2 }],
      [() => (peerViewers = 3), { viewers: 5 }],
      [() => (level = 'relaxed'), { level: 'relaxed' }],
      [() => (staleness = { eu: 3_500 }), { staleness: { eu: 3_500 } }],
      [() => (staleness = { eu: 12_300 }), { staleness: { eu: 12_300 } }],
      [() => (staleness = { eu: null }), { staleness: { eu: null } }],
    ];
    for (const [change, shown] of changes) {
      const before = frames.length;
      change();
      await runtime.runFor(200);
      expect(frames.length).toBe(before + 1);
      expect(frames.at(-1)).toMatchObject(shown);
      await runtime.runFor(400);
      expect(frames.length).toBe(before + 1);
    }
  });

  it('[FRAME-5] what a region brings after a cut is no applause of now, also over several ticks', async () => {
    count(DERBY, 'heart', 10, 'eu');
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    staleness = { eu: 60_000 };
    await runtime.runFor(1_000);
    staleness = { eu: 0 };
    for (let part = 1; part <= 5; part++) {
      count(DERBY, 'heart', part * 200_000, 'eu');
      await runtime.runFor(200);
    }
    expect(frames.at(-1)!.totals).toEqual({ heart: 1_000_000 });
    for (const frame of frames) {
      expect(frame.hints['heart'] ?? 0).toBeLessThan(500);
      expect(frame.rates['heart'] ?? 0).toBeLessThan(1_000);
    }
    await runtime.runFor(2_000);
    count(DERBY, 'heart', 1_020_000, 'eu');
    await runtime.runFor(200);
    expect(frames.at(-1)!.rates['heart']).toBeGreaterThan(10_000);
  });

  it('[FRAME-9] a read answers the counts of this moment, watched or not, and disturbs no frame', async () => {
    const { edge, frames } = connect();
    expect(await edge.read(DERBY)).toEqual({
      stream: 'derby', region: 'us', at: runtime.clock.now(), level: 'exact',
      totals: {}, rates: {}, hints: {}, viewers: 0, staleness: { eu: 100 },
    });
    edge.watch(DERBY, 1);
    await runtime.runFor(200);
    count(DERBY, 'heart', 30);
    await runtime.runFor(100);
    expect(await edge.read(DERBY)).toMatchObject({ totals: { heart: 30 }, viewers: 1, hints: {} });
    await runtime.runFor(100);
    expect(frames.at(-1)).toMatchObject({ hints: { heart: 30 } });
  });

  it('[FRAME-9] rates between reads of unwatched streams are kept for a bounded number of them', async () => {
    broadcaster = build({ readStreamsMax: 1 });
    const { edge } = connect();
    count(DERBY, 'heart', 1);
    count(GALA, 'heart', 1);
    await edge.read(DERBY);
    count(DERBY, 'heart', 11);
    await runtime.runFor(1_000);
    expect((await edge.read(DERBY)).rates['heart']).toBeCloseTo(6.3, 1);
    await edge.read(GALA);
    await runtime.runFor(100);
    expect((await edge.read(DERBY)).rates).toEqual({});
  });

  it('[FRAME-12] the list of streams has the liveliest first: those watched and those that changed last, or those asked for', async () => {
    const { edge } = connect();
    edge.watch(GALA, 2);
    count(DERBY, 'heart', 5);
    expect(await edge.streams(10, null)).toMatchObject([{ stream: 'gala', viewers: 2, total: 0 }]);
    await runtime.runFor(200);
    await edge.streams(10, null);
    count(DERBY, 'heart', 25, 'us', 5);
    count(DERBY, 'fire', 1, 'eu');
    await runtime.runFor(200);
    expect(await edge.streams(10, null)).toEqual([
      { stream: 'derby', level: 'exact', total: 21, rate: expect.closeTo(14.5, 0) as unknown, viewers: 0 },
      { stream: 'gala', level: 'exact', total: 0, rate: 0, viewers: 2 },
    ]);
    expect(await edge.streams(1, null)).toHaveLength(1);
    expect((await edge.streams(10, [GALA, parseStreamId('none')])).map(({ stream }) => stream)).toEqual(['gala', 'none']);
  });

  it('[FRAME-12] of streams that nobody watches so many are listed, those that changed last', async () => {
    broadcaster.stop();
    broadcaster = build({ readStreamsMax: 2 });
    broadcaster.start();
    const { edge } = connect();
    for (const stream of ['one', 'two', 'three']) count(parseStreamId(stream), 'heart', 1);
    await runtime.runFor(200);
    count(parseStreamId('two'), 'heart', 9);
    await runtime.runFor(200);
    expect((await edge.streams(10, null)).map(({ stream }) => stream)).toEqual(['two', 'three']);
    count(parseStreamId('four'), 'heart', 1);
    await runtime.runFor(200);
    // The one that was quiet for longest had to go.
    expect((await edge.streams(10, null)).map(({ stream }) => stream).sort()).toEqual(['four', 'two']);
    ledger.forget([parseStreamId('two')]);
    expect((await edge.streams(10, null)).map(({ stream }) => stream)).toEqual(['four']);
  });

  it('[FRAME-13] a frame says how many taps of its stream were taken back since it began, so that it tells more than any skipped before it', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    edge.watch(GALA, 1);
    const last = (stream: StreamId): Frame => frames.findLast((frame) => frame.stream === stream)!;
    count(DERBY, 'heart', 90);
    count(DERBY, 'fire', 10, 'eu');
    count(GALA, 'heart', 3);
    await runtime.runFor(1_000);
    expect(last(DERBY)).not.toHaveProperty('corrected');
    count(DERBY, 'heart', 90, 'us', 40);
    await runtime.runFor(200);
    expect(last(DERBY)).toMatchObject({ totals: { heart: 50, fire: 10 }, hints: {}, corrected: 40 });
    // A region that gave back while others went on tapping: the totals rise, and the mark says so all the same.
    count(DERBY, 'fire', 30, 'eu', 7);
    await runtime.runFor(200);
    expect(last(DERBY)).toMatchObject({ totals: { heart: 50, fire: 23 }, hints: { fire: 13 }, corrected: 47 });
    await runtime.runFor(10_000);
    expect(last(DERBY).corrected).toBe(47);
    expect((await edge.read(DERBY)).corrected).toBe(47);
    expect(last(GALA)).not.toHaveProperty('corrected');
    expect(await edge.read(parseStreamId('unknown'))).not.toHaveProperty('corrected');
  });

  it('[FRAME-10] the books list every entry in one order, with the digest of the ledger', async () => {
    count(DERBY, 'heart', 4, 'us', 1);
    count(DERBY, 'fire', 2, 'us');
    count(DERBY, 'fire', 9, 'eu');
    const { edge } = connect();
    expect(await edge.books(DERBY)).toEqual({
      stream: 'derby', region: 'us', actor: 'us/0/1', acknowledged: 42, claimsInDoubt: 3,
      digest: ledger.streamDigest(DERBY),
      entries: [
        { actor: 'eu/0/1', emoji: 'fire', increments: 9, decrements: 0 },
        { actor: 'us/0/1', emoji: 'fire', increments: 2, decrements: 0 },
        { actor: 'us/0/1', emoji: 'heart', increments: 4, decrements: 1 },
      ],
    });
  });

  it('[FRAME-6] streams that nobody watches cost no frame, and stopping leaves no timer', async () => {
    const { edge, frames } = connect();
    edge.watch(DERBY, 1);
    await runtime.runFor(200);
    for (let index = 0; index < 500; index++) count(parseStreamId(`other-${index}`), 'heart', 1);
    await runtime.runFor(200);
    expect(broadcaster.stats.frames).toBe(frames.length);
    expect(frames.every((frame) => frame.stream === 'derby')).toBe(true);
    broadcaster.stop();
    expect(runtime.pendingTimers).toBe(0);
  });
});
