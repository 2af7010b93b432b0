import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Runtime } from '../../regions/runtime.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { DevCrowd, UNWATCHED_MS_MAX } from '../../src/cli/dev/dev-crowd.ts';
import { moodAt, viewersFor } from '../../src/cli/dev/random-crowd.ts';
import { FINAL, recordingOf } from '../../src/cli/dev/recordings.ts';
import type { TraceEvent } from '../../src/cli/load/trace.ts';
import { startCountingRegions, type CountingRegion } from './counting-region.ts';

const WAIT = { timeout: 60_000, interval: 20 };
const HEADER = 't_ms,viewer,emoji,count';

async function listOf(events: AsyncIterable<TraceEvent>): Promise<TraceEvent[]> {
  const list: TraceEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

describe('what a dev plays', () => {
  test('a rate is shared by viewers that tap no faster than a thumb, some in each region', () => {
    expect(viewersFor(0, 3)).toBe(0);
    expect(viewersFor(1, 3)).toBe(12);
    expect(viewersFor(5000, 3)).toBe(625);
  });

  test('the mood of the crowd drifts, and its shares add up to one', () => {
    for (const timeMs of [0, 12_345, 1_790_000_000_000]) {
      const shares = moodAt(timeMs, 6);
      expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1);
      expect(Math.min(...shares)).toBeGreaterThan(0);
    }
    expect(moodAt(20_000, 6)[0]).not.toBeCloseTo(moodAt(0, 6)[0]!, 2);
  });

  test('the built-in recording is the same each time, in order, and stays within what one viewer may tap', async () => {
    const play = (): Promise<TraceEvent[]> => listOf(FINAL.events());
    const events = await play();
    expect(await play()).toEqual(events);
    expect(events.length).toBeGreaterThan(5_000);
    expect(new Set(events.map(({ emoji }) => emoji)).size).toBe(6);
    const bySecond = new Map<string, number>();
    for (const [index, { atMs, viewer }] of events.entries()) {
      expect(atMs).toBeGreaterThanOrEqual(events[index - 1]?.atMs ?? 0);
      expect(atMs).toBeLessThan(FINAL.lengthMs);
      const second = `${viewer} ${Math.floor(atMs / 1000)}`;
      bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
    }
    expect(Math.max(...bySecond.values())).toBeLessThanOrEqual(20);
  });

  test('a recording that is sent is read through first', async () => {
    const breathe = vi.fn(async () => {});
    const lines = Array.from({ length: 5000 }, (_, index) => `${index * 10},v${index % 7},heart,1`).join('\n');
    const recording = await recordingOf('mine.csv', `${HEADER}\n${lines}`, breathe);
    expect(recording).toMatchObject({ name: 'mine.csv', lengthMs: 49_990 });
    expect(breathe).toHaveBeenCalledTimes(2);
    expect(await listOf(recording.events())).toHaveLength(5000);
    await expect(recordingOf('mine.csv', `${HEADER}\n0,ann,heart,none`, breathe)).rejects.toThrow('mine.csv, line 2: count "none"');
    const many = Array.from({ length: 20_001 }, (_, index) => `0,v${index},heart,1`).join('\n');
    await expect(recordingOf('many.csv', `${HEADER}\n${many}`, breathe)).rejects.toThrow('more than 20000 viewers');
  });
});

describe('the crowd of a dev', () => {
  let regions: CountingRegion[] = [];
  let crowd: DevCrowd;
  let unwatchedMs = UNWATCHED_MS_MAX;
  let ticks = 0;
  /** Real, but for how long the crowd stays unwatched; counts the turns of whatever goes on and on. */
  const runtime: Runtime = {
    ...realRuntime,
    timers: {
      after: (ms, call) => realRuntime.timers.after(ms === UNWATCHED_MS_MAX ? unwatchedMs : ms, call),
      every: (ms, call) =>
        realRuntime.timers.every(ms, () => {
          call();
          ticks += 1;
        }),
    },
  };

  beforeEach(async () => {
    unwatchedMs = UNWATCHED_MS_MAX;
    regions = await startCountingRegions('us', 'eu', 'ap');
    crowd = new DevCrowd(() => regions.map(({ url }) => url), runtime);
  });
  afterEach(async () => {
    crowd.stop();
    await Promise.all(regions.map((region) => region.stop()));
  });

  const countedBy = (region: CountingRegion, stream = 'demo'): number => [...region.totalsOf(stream).values()].reduce((sum, count) => sum + count, 0);
  const counted = (stream?: string): number => regions.reduce((sum, region) => sum + countedBy(region, stream), 0);

  test('[CLI-30] taps at the rate asked for in all regions, changes it while it runs, and ends with every tap answered', async () => {
    // At this rate the first tap is minutes away; the change must not wait for it.
    await crowd.change({ taps_per_second: 0.01 });
    const planned = ticks + 3;
    await vi.waitFor(() => expect(ticks).toBeGreaterThan(planned), WAIT);
    await crowd.change({ taps_per_second: 60 });
    expect(crowd.status().viewers).toBe(12);
    await vi.waitFor(() => expect(counted()).toBeGreaterThan(10), WAIT);

    const before = counted();
    await crowd.change({ taps_per_second: 300 });
    expect(crowd.status()).toMatchObject({ mode: 'random', taps_per_second: 300, viewers: 38, stream: 'demo' });
    const startMs = Date.now();
    await vi.waitFor(() => expect(counted() - before).toBeGreaterThan(300), WAIT);
    const perSecond = ((counted() - before) * 1000) / (Date.now() - startMs);
    expect(perSecond).toBeGreaterThan(60);
    expect(perSecond).toBeLessThan(450);
    for (const region of regions) expect(countedBy(region)).toBeGreaterThan(50);

    await crowd.change({ taps_per_second: 30 });
    expect(crowd.status()).toMatchObject({ mode: 'random', viewers: 12 });
    const { tapped } = crowd.status();
    expect(tapped).toBeGreaterThan(300);

    await crowd.change({ taps_per_second: 0 });
    expect(crowd.status()).toMatchObject({ mode: 'off', viewers: 0, taps_per_second: 0 });
    await vi.waitFor(() => expect(counted()).toBeGreaterThanOrEqual(tapped), WAIT);
  });

  test('[CLI-31] it goes home when nobody watches any more', async () => {
    unwatchedMs = 150;
    await crowd.change({ taps_per_second: 50 });
    const watching = setInterval(() => crowd.watched(), 30);
    await vi.waitFor(() => expect(counted()).toBeGreaterThan(20), WAIT);
    expect(crowd.status().mode).toBe('random');
    clearInterval(watching);
    await vi.waitFor(() => expect(crowd.status().mode).toBe('off'), WAIT);
  });

  test('[CLI-32] plays a recording tap by tap, tells how far it is, and ends by itself', async () => {
    const lines = Array.from({ length: 400 }, (_, index) => `${index * 20},v${index % 40},${['heart', 'fire'][index % 2]},1`).join('\n');
    await crowd.change({ replay: { csv: `${HEADER}\n${lines}`, name: 'mine.csv', speed: 10 }, stream: 'derby' });
    expect(crowd.status()).toMatchObject({ mode: 'replay', stream: 'derby', replay: { name: 'mine.csv', speed: 10, length_ms: 7980 } });
    await vi.waitFor(() => expect(crowd.status().replay!.at_ms).toBeGreaterThan(1000), WAIT);
    await vi.waitFor(() => expect(crowd.status().mode).toBe('off'), WAIT);
    await vi.waitFor(() => expect(counted('derby')).toBe(400), WAIT);
    expect(crowd.status().problem).toBeNull();
  });

  test('[CLI-32] a malformed recording changes nothing; what comes later takes the place of what plays', async () => {
    await crowd.change({ taps_per_second: 40 });
    await expect(crowd.change({ replay: { csv: 'nonsense' } })).rejects.toMatchObject({ reason: 'usage' });
    expect(crowd.status()).toMatchObject({ mode: 'random', taps_per_second: 40 });
    await crowd.change({ replay: {} });
    expect(crowd.status()).toMatchObject({ mode: 'replay', taps_per_second: 0, replay: { name: 'a final', speed: 1 } });
    await crowd.change({ taps_per_second: 20 });
    expect(crowd.status()).toMatchObject({ mode: 'random', replay: null });
  });

  test('a stream that turns viewers away ends the crowd, and the status says why', async () => {
    const closed = new DevCrowd(() => [`${regions[0]!.url}/nowhere`], runtime);
    await closed.change({ taps_per_second: 20 });
    await vi.waitFor(() => expect(closed.status()).toMatchObject({ mode: 'off', problem: expect.stringContaining('4404') }), WAIT);
    closed.stop();
  });
});
