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
/** Frames come less often by then, so that the last kernels' buffers take long to fill. */
const LAST_CUT_MS_MAX = 180_000;
/** A hitch is in the frames of all: of the hundred or so of one phase it alone is the p99. */
const ROUNDS = 4;
/** Asking costs memory, too, so it is done as often in every phase. */
const POLL_MS = 500;
/** Of those who stopped; of the last it is not waited for. */
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

interface Round {
  readonly before: Latencies;
  readonly during: Latencies;
  readonly healthyBytes: number;
  /** From when some were slow until the last of them was cut. */
  readonly slowBytes: number;
  readonly fullMs: number;
  readonly cutFirstMs: number;
  readonly cutLastMs: number;
  readonly climbMs: number;
}

/** Nobody is slow, then some are; at the end these have left. */
async function measureRound(region: RegionCommand, askLatencies: () => Promise<Latencies>): Promise<Round> {
  const crowd = await startSlowViewers(region.url, 'derby', SLOW);
  try {
    await pause(SETTLE_MS);
    await askLatencies();
    const healthy = await watch(region, PHASE_MS, () => false);
    const before = await askLatencies();

    crowd.slow(STUCK, CRAWLING);
    const slowedAt = performance.now();
    const filling = await watch(region, FULL_MS_MAX, (gauge) => gauge('edge_behind') >= FULL_SHARE * STUCK);
    await askLatencies();
    const full = await watch(region, CUT_MS_MAX, () => crowd.cutAt.length > 0);
    const during = await askLatencies();
    const going = await watch(region, LAST_CUT_MS_MAX, () => crowd.cutAt.length >= STUCK);
    const climbing = await watch(region, CUT_MS_MAX, (gauge) => gauge('ladder_level') === 0);
    return {
      before,
      during,
      healthyBytes: healthy.residentBytes,
      slowBytes: Math.max(filling.residentBytes, full.residentBytes, going.residentBytes),
      fullMs: filling.ms,
      cutFirstMs: (crowd.cutAt[0] ?? Infinity) - slowedAt,
      cutLastMs: (crowd.cutAt[STUCK - 1] ?? Infinity) - slowedAt,
      climbMs: climbing.ms,
    };
  } finally {
    await crowd.leave();
  }
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
  const askLatencies = async (): Promise<Latencies> => {
    clients.send('latencies');
    return ((await once(clients, 'message')) as [Latencies])[0];
  };

  const rounds: Round[] = [];
  while (rounds.length < ROUNDS) rounds.push(await measureRound(region, askLatencies));
  return resultOf(rounds, (await gaugesOf(region))('edge_stuck_sockets_total') - ROUNDS * STUCK);
}

function resultOf(rounds: readonly Round[], crawlingCut: number): Result {
  const greatest = (of: (round: Round) => number): number => Math.max(...rounds.map(of));
  const growth = greatest(({ healthyBytes, slowBytes }) => slowBytes - healthyBytes) / STUCK;
  const { frameBytes, level } = rounds[0]!.before;
  const bound = BUFFER_BYTES + frameBytes;
  const ackBefore = p99(rounds.flatMap(({ before }) => before.ackMs));
  const ackDuring = p99(rounds.flatMap(({ during }) => during.ackMs));
  const frameBefore = p99(rounds.flatMap(({ before }) => before.frameMs));
  const frameDuring = p99(rounds.flatMap(({ during }) => during.frameMs));
  const residentHealthy = greatest(({ healthyBytes }) => healthyBytes);
  const residentSlow = greatest(({ slowBytes }) => slowBytes);
  const [fullMs, cutLastMs, climbMs] = [greatest((round) => round.fullMs), greatest((round) => round.cutLastMs), greatest((round) => round.climbMs)];
  const cutFirstMs = Math.min(...rounds.map((round) => round.cutFirstMs));
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  return {
    measured: [
      `${(growth / 1_000).toFixed(1)} kB of resident memory a stuck viewer, frames of ${(frameBytes / 1_000).toFixed(1)} kB; behind after ${seconds(fullMs)}, cut ${seconds(cutFirstMs)} to ${seconds(cutLastMs)} after they stopped,`,
      `and ${crawlingCut} of those who crawl; of ${GOOD} with good links, acknowledgements p99 ${ackDuring.toFixed(0)} ms and frames p99 ${frameDuring.toFixed(0)} ms, at ${rounds[0]!.during.level}; back at exact ${seconds(climbMs)} after the last was cut`,
    ].join('\n             '),
    baseline: `the same viewers before any was slow, in ${rounds.length} rounds: ${mb(residentHealthy)} (at most ${mb(residentSlow)} since), acknowledgements p99 ${ackBefore.toFixed(0)} ms, frames p99 ${frameBefore.toFixed(0)} ms, at ${level}`,
    ratio: `${(growth / bound).toFixed(2)} × the promised ${(bound / 1_000).toFixed(1)} kB; p99 ${(ackDuring / ackBefore).toFixed(2)} × and ${(frameDuring / frameBefore).toFixed(2)} ×`,
    reached: growth <= bound && Number.isFinite(cutLastMs) && ackDuring <= P99_GROWTH_MAX * ackBefore && frameDuring <= P99_GROWTH_MAX * frameBefore,
    figures: { growth, bound, frameBytes, residentHealthy, residentSlow, fullMs, cutFirstMs, cutLastMs, crawlingCut, climbMs, ackBefore, ackDuring, frameBefore, frameDuring },
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
