import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { realRuntime } from '../../src/base/runtime.ts';
import { runLoad, type LoadPlan, type LoadProgress, type LoadResult } from '../../src/cli/load/run-load.ts';
import { createTokenMint } from '../../src/cli/load/tokens.ts';
import { CountingRegion, startCountingRegions } from './counting-region.ts';

let regions: CountingRegion[] = [];
let folder: string;

beforeEach(async () => {
  regions = await startCountingRegions('us', 'eu');
  folder = mkdtempSync(path.join(tmpdir(), 'ovation-load-'));
});
afterEach(async () => {
  await Promise.all(regions.map((region) => region.stop()));
  rmSync(folder, { recursive: true });
});

function load(
  changes: Partial<LoadPlan> = {},
  { signal = new AbortController().signal, onProgress = () => {} }: { signal?: AbortSignal; onProgress?: (progress: LoadProgress) => void } = {},
): Promise<LoadResult> {
  const plan: LoadPlan = {
    endpoints: regions.map(({ url }) => url),
    stream: 'derby',
    source: { kind: 'random', viewers: 30, tapsPerSecond: 5, durationMs: 700 },
    connectionsMax: 200,
    settleMs: 8000,
    encoding: 'msgpack',
    mintToken: null,
    compareStored: true,
    ...changes,
  };
  return runLoad(plan, realRuntime, signal, onProgress);
}

function writeTrace(viewers: number, events: number, overMs: number): string {
  const file = path.join(folder, 'crowd.csv');
  const emoji = ['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'];
  const lines = Array.from({ length: events }, (_, index) =>
    [Math.floor((index * overMs) / events), `v${(index * 7919) % viewers}`, emoji[index % 6], 1 + (index % 2)].join(','),
  );
  writeFileSync(file, `t_ms,viewer,emoji,count\n${lines.join('\n')}\n`);
  return file;
}

test.each(['json', 'msgpack'] as const)('a crowd over %s taps, the books balance, and every latency is measured', async (encoding) => {
  const result = await load({ encoding });
  expect(result.verdict.problems).toEqual([]);
  expect(result.truth.tapped).toBeGreaterThan(50);
  expect(result.truth.acknowledged).toBe(result.truth.tapped);
  expect(result.verdict.counts.map(({ who }) => who)).toEqual(['us', 'stored, asked by us', 'eu', 'stored, asked by eu']);
  for (const percentiles of [result.tapToAck, result.tapToFrame, result.tapToFrameAbroad]) {
    expect(percentiles!.count).toBeGreaterThan(0);
    expect(percentiles!.p99Ms).toBeLessThan(5000);
  }
});

test.each([-1, 1])('[CLI-5] a service that counts %i taps too many in each batch does not balance', async (miscount) => {
  regions[0]!.miscount = miscount;
  const { verdict } = await load({ settleMs: 500 });
  expect(verdict.balanced).toBe(false);
  expect(verdict.counts.every(({ lost, double }) => (miscount < 0 ? lost > 0 && double === 0 : lost === 0 && double > 0))).toBe(true);
});

test('[CLI-3] a region that stops answering and comes back gets every batch again, and counts it once', async () => {
  const us = regions[0]!;
  us.mute = true;
  const running = load({ source: { kind: 'random', viewers: 20, tapsPerSecond: 10, durationMs: 1500 } });
  // Counted and never acknowledged: only a resend of the same number can settle these.
  await vi.waitFor(() => expect(us.submissions).toBeGreaterThan(20), { timeout: 60_000 });
  us.mute = false;
  await us.stop();
  await us.start();
  const { truth, verdict, reconnects } = await running;
  expect(verdict.problems).toEqual([]);
  expect(truth.duplicates).toBeGreaterThan(10);
  expect(reconnects).toBeGreaterThan(5);
  expect(truth.acknowledged).toBe(truth.tapped);
});

test('what a region clamps is reported as clamped, and the rest balances', async () => {
  for (const region of regions) region.tapsMax = 2;
  const file = writeTrace(5, 300, 500);
  const { truth, verdict } = await load({ source: { kind: 'trace', path: file, speed: 1 } });
  expect(verdict.problems).toEqual([]);
  expect(truth.clamped).toBeGreaterThan(0);
  expect(truth.acknowledged + truth.clamped).toBe(450);
});

test('[CLI-6] more viewers than connections take turns, each in one session and one region', async () => {
  const most = { open: 0 };
  const file = writeTrace(120, 600, 800);
  const { truth, verdict, viewers } = await load(
    { source: { kind: 'trace', path: file, speed: 1 }, connectionsMax: 16 },
    { onProgress: ({ open }) => (most.open = Math.max(most.open, open)) },
  );
  expect(verdict.problems).toEqual([]);
  expect(viewers).toBe(120);
  expect(truth.acknowledged).toBe(900);
  // The probe's own six come on top.
  expect(most.open).toBeLessThanOrEqual(16 + 6);
});

test('a stream may be used again: what was there before is subtracted', async () => {
  await load();
  const again = await load();
  expect(again.verdict.problems).toEqual([]);
  expect(again.verdict.counts[0]!.counted).toBe(again.truth.acknowledged);
});

test('an interrupted run stops tapping, and still audits what it did', async () => {
  const interrupt = new AbortController();
  const { truth, verdict } = await load(
    { source: { kind: 'random', viewers: 20, tapsPerSecond: 10, durationMs: 60_000 } },
    { signal: interrupt.signal, onProgress: (progress) => progress.truth.acknowledged > 20 && interrupt.abort() },
  );
  expect(verdict.problems).toEqual([]);
  expect(truth.acknowledged).toBe(truth.tapped);
});

test('a trace with an emoji that the stream does not have: refused, counted as such, and the rest balances', async () => {
  const file = path.join(folder, 'odd.csv');
  writeFileSync(file, 't_ms,viewer,emoji,count\n0,ann,heart,2\n0,bob,pizza,3\n');
  const { truth, verdict } = await load({ source: { kind: 'trace', path: file, speed: 1 } });
  expect(truth).toMatchObject({ tapped: 5, acknowledged: 2, refused: 3 });
  expect(truth.refusals()).toEqual({ 'unknown-emoji': 1 });
  expect(verdict.problems).toEqual([]);
});

test('[CLI-7] a region that cannot be reached, or turns viewers away for good, ends the run and says so', async () => {
  await regions[1]!.stop();
  await expect(load()).rejects.toMatchObject({ reason: 'unreachable', message: expect.stringContaining(regions[1]!.url) });
  await expect(load({ endpoints: [regions[0]!.url], stream: 'no.such.stream' })).rejects.toMatchObject({ reason: 'usage' });
});

test('[CLI-13] where a region asks for tokens, each viewer shows its own, and the books open to a moderator', async () => {
  const secret = 'a secret of thirty-two characters';
  const closed = new CountingRegion('ap', regions, { jwt: { secret } });
  // Stopped with the others, whatever happens here.
  regions.push(closed);
  await closed.start();
  const endpoints = [closed.url];
  const source = { kind: 'random', viewers: 5, tapsPerSecond: 10, durationMs: 500 } as const;
  const { truth, verdict } = await load({ endpoints, source, mintToken: createTokenMint(secret) });
  expect(verdict.problems).toEqual([]);
  expect(truth.acknowledged).toBeGreaterThan(5);
  expect(truth.acknowledged).toBe(truth.tapped);
  await expect(load({ endpoints, source })).rejects.toMatchObject({ reason: 'usage', message: expect.stringContaining('401') });
  const forOthers = createTokenMint(secret);
  await expect(
    load({ endpoints, source, mintToken: (claims) => forOthers({ ...claims, viewer: 'somebody' }) }),
  ).rejects.toMatchObject({ reason: 'usage', message: expect.stringContaining('4403') });
});
