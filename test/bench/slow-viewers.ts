/**
 * slow-viewers: half of a region's viewers stop reading, others read 1,000 bytes a second, while frames are as large as a palette allows
 * and come until the kernel takes no more of them. What that costs in memory, and the viewers whose links are good.
 * The region is a process of the build on a real nats-server; viewers are processes of their own.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EDGE_LIMITS } from '../../src/edge/options.ts';
import { PALETTE_MAX } from '../../src/moderation/policy.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { startRegionCommand, type RegionCommand } from '../support/region-command.ts';
import { compilerAvailable, startSlowViewers } from '../support/slow-viewers.ts';
import { NotMeasurable, type Benchmark, type Result } from './measure.ts';
import type { Latencies } from './slow-viewers-clients.ts';

const GOOD = 100;
const SLOW = 1_900;
const STUCK = 1_000;
const CRAWLING = 200;
const SETTLE_MS = 8_000;
const PHASE_MS = 20_000;
/** All are behind by then, and cut so long after that they have taken in nothing. */
const FULL_MS_MAX = 30_000;
const CUT_MS_MAX = EDGE_LIMITS.stuckMs + 10_000;
/** Asking costs memory, too, so it is done as often in every phase. */
const POLL_MS = 500;
/** Of those who stopped; the last kernels' buffers take long, because frames come less often by then. */
const FULL_SHARE = 0.95;
/** In MB, a part of the young generation: as it is, it grows by more than what is measured. */
const SEMI_SPACE_MB = 2;
/** What the fan-out promises: a socket's buffer, and the frame that filled it. */
const BUFFER_BYTES = 16 * 1024;
const P99_GROWTH_MAX = 1.5;

type Cleanup = () => unknown;

type Gauges = (name: string) => number;

async function gaugesOf({ adminUrl }: RegionCommand): Promise<Gauges> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  return (name) => Number(new RegExp(`^reactions_${name}\\{[^}]*\\} (.*)$`, 'm').exec(text)?.[1]);
}

/** Until the condition holds. @returns the most memory that was seen meanwhile, and how long it took */
async function watch(region: RegionCommand, msMax: number, isOver: (gauges: Gauges) => boolean): Promise<{ readonly residentBytes: number; readonly ms: number }> {
  const startedAt = performance.now();
  let residentBytes = 0;
  for (;;) {
    residentBytes = Math.max(residentBytes, region.residentBytes());
    const over = isOver(await gaugesOf(region));
    const ms = performance.now() - startedAt;
    if (over || ms >= msMax) return { residentBytes, ms: over ? ms : Infinity };
    await pause(POLL_MS);
  }
}

function p99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Infinity;
}

async function measure(cleanups: Cleanup[]): Promise<Result> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-slow-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const emoji = Array.from({ length: PALETTE_MAX }, (_, index) => `emoji-${index}-`.padEnd(64, 'x'));
  const policyFile = path.join(folder, 'policy.json');
  writeFileSync(policyFile, JSON.stringify({ palette: Object.fromEntries(emoji.map((id) => [id, '❤️'])) }));
  const nats = await startNats();
  cleanups.push(() => nats.stop());
  const region = await startRegionCommand({ region: 'us', servers: new Map([['us', nats]]), environment: { OVATION_POLICY_FILE: policyFile }, nodeOptions: [`--max-semi-space-size=${SEMI_SPACE_MB}`] });
  cleanups.push(() => region.child.kill('SIGKILL'));

  const program = path.join(import.meta.dirname, `slow-viewers-clients${path.extname(import.meta.filename)}`);
  const clients = fork(program, [new URL(region.url).port, String(GOOD), ...emoji]);
  cleanups.push(() => clients.kill('SIGKILL'));
  await once(clients, 'message');
  const latencies = async (): Promise<Latencies> => {
    clients.send('latencies');
    return ((await once(clients, 'message')) as [Latencies])[0];
  };
  const crowd = await startSlowViewers(region.url, 'derby', SLOW);
  cleanups.push(() => crowd.leave());

  await pause(SETTLE_MS);
  await latencies();
  const healthy = await watch(region, PHASE_MS, () => false);
  const before = await latencies();

  crowd.slow(STUCK, CRAWLING);
  const slowedAt = performance.now();
  const filling = await watch(region, FULL_MS_MAX, (gauge) => gauge('edge_behind') >= FULL_SHARE * STUCK);
  await latencies();
  const full = await watch(region, CUT_MS_MAX, () => crowd.cutAt.length > 0);
  const during = await latencies();
  const going = await watch(region, CUT_MS_MAX, () => crowd.cutAt.length >= STUCK);
  const [cutFirstMs, cutLastMs] = [0, STUCK - 1].map((index) => (crowd.cutAt[index] ?? Infinity) - slowedAt) as [number, number];
  const climbing = await watch(region, CUT_MS_MAX, (gauge) => gauge('ladder_level') === 0);
  const stuckSockets = (await gaugesOf(region))('edge_stuck_sockets_total');

  const bound = BUFFER_BYTES + before.frameBytes;
  const residentBytes = Math.max(filling.residentBytes, full.residentBytes, going.residentBytes);
  const growth = (residentBytes - healthy.residentBytes) / STUCK;
  const [ackBefore, ackDuring, frameBefore, frameDuring] = [before.ackMs, during.ackMs, before.frameMs, during.frameMs].map(p99) as [number, number, number, number];
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  return {
    measured: [
      `${(growth / 1_000).toFixed(1)} kB of resident memory a stuck viewer, frames of ${(before.frameBytes / 1_000).toFixed(1)} kB; behind after ${seconds(filling.ms)}, cut ${seconds(cutFirstMs)} to ${seconds(cutLastMs)} after they stopped,`,
      `and ${stuckSockets - STUCK} of those who crawl; of ${GOOD} with good links, acknowledgements p99 ${ackDuring.toFixed(0)} ms and frames p99 ${frameDuring.toFixed(0)} ms, at ${during.level}; back at exact ${seconds(climbing.ms)} after the last was cut`,
    ].join('\n             '),
    baseline: `the same viewers before any was slow: ${mb(healthy.residentBytes)} (at most ${mb(residentBytes)} since), acknowledgements p99 ${ackBefore.toFixed(0)} ms, frames p99 ${frameBefore.toFixed(0)} ms, at ${before.level}`,
    ratio: `${(growth / bound).toFixed(2)} × the promised ${(bound / 1_000).toFixed(1)} kB; p99 ${(ackDuring / ackBefore).toFixed(2)} × and ${(frameDuring / frameBefore).toFixed(2)} ×`,
    reached: growth <= bound && Number.isFinite(cutLastMs) && ackDuring <= P99_GROWTH_MAX * ackBefore && frameDuring <= P99_GROWTH_MAX * frameBefore,
    figures: {
      growth, bound, frameBytes: before.frameBytes, residentHealthy: healthy.residentBytes, residentFull: residentBytes, fullMs: filling.ms,
      cutFirstMs, cutLastMs, stuckSockets, climbMs: climbing.ms, ackBefore, ackDuring, frameBefore, frameDuring,
    },
  };
}

export const slowViewers: Benchmark = {
  name: 'slow-viewers',
  description: `of ${GOOD + SLOW} viewers ${STUCK} stop reading and ${CRAWLING} read 1 kB/s, while frames are as large as they come`,
  target: `memory of a stuck viewer ≤ 16 KiB and a frame, all of them cut, p99 of those with good links ≤ ${P99_GROWTH_MAX} × before`,
  async run() {
    if (!natsAvailable) throw new NotMeasurable('no nats-server binary');
    if (!compilerAvailable) throw new NotMeasurable('no C compiler for viewers with small links');
    const cleanups: Cleanup[] = [];
    try {
      return await measure(cleanups);
    } finally {
      for (const cleanup of cleanups.toReversed()) await cleanup();
    }
  },
};
