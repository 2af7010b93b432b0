/**
 * overload: three times as much as a region can count, and what becomes of it.
 *
 * One real region on a real nats-server, in processes of their own. The region shares one core with a program that does
 * nothing but spin, so that viewers and NATS, on the other one, can offer three times what it can do. First
 * the offer grows until the region counts no more of it: its peak. Then, from a calm region each time, it is offered three times that at
 * once, by viewers who do not heed the pace (who do, send so much less that it is hardly an overload), and by viewers who do.
 */

import { fork, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { childEnvironment } from '../../src/config.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { NotMeasurable, readable, type Benchmark } from './measure.ts';
import type { Account, Offer, Order, Outcome } from './overload-clients.ts';

const SOCKETS = 2_000;
/** Programs that share the region's core. */
const SPINNERS = 1;
const PROBES = 40;
const STEP_MS = 4_000;
/** Taps a second that are offered first, and at most. */
const FIRST_PER_SECOND = 2_000;
const LAST_PER_SECOND = 40_000;
/** Who acknowledges less of the offer is at the peak, or beyond it. */
const ENOUGH = 0.85;
const OVERLOAD_MS = 20_000;
const CALM_MS = 15_000;
const CALM_SOCKETS = 200;
const SETTLE_MS_MAX = 60_000;
/** Growth of the offer from one step to the next. */
const GROWTH = 1.5;
const GOODPUT_MIN = 0.9;
const FRAME_MS_MAX = 1_000;
const CLIMB_DOWN_MS_MAX = 10_000;
const EXTENSION = path.extname(import.meta.filename);

type Cleanup = () => unknown;

interface Phase extends Outcome {
  readonly offer: Offer;
  /** Taps acknowledged a second. */
  readonly perSecond: number;
  /** Of the region. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

/** A process with its environment, once it has said the first word. */
async function start(program: string, args: readonly string[], cleanups: Cleanup[], environment: Readonly<Record<string, string>> = {}): Promise<[ChildProcess, unknown]> {
  const child = fork(path.resolve(import.meta.dirname, program), args, { env: childEnvironment(environment) as NodeJS.ProcessEnv });
  cleanups.push(() => child.kill('SIGKILL'));
  const [word] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown];
  if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
  return [child, word];
}

function pin(pid: number, core: number): void {
  const { status } = spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)]);
  if (status !== 0) throw new NotMeasurable('taskset cannot pin a process to a core here');
}

function ask<Answer>(clients: ChildProcess, order: Order): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('the viewers’ process ended'));
    clients.once('exit', ended);
    clients.once('message', (answer) => {
      clients.off('exit', ended);
      resolve(answer as Answer);
    });
    clients.send(order);
  });
}

/** CPU of the process and its threads, from the kernel, so that measuring costs it nothing. */
function usageOf(pid: number): Pick<Phase, 'cpuSeconds' | 'rssBytes'> {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const ticksPerSecond = 100;
  const pageBytes = 4_096;
  return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, rssBytes: Number(fields[21]) * pageBytes };
}

/** The time from one tap of a viewer to the next, in whole ticks of theirs. */
function intervalOf(tapsPerSecond: number): number {
  return Math.max(20, 10 * Math.round((100 * SOCKETS) / tapsPerSecond));
}

async function run() {
  if (!natsAvailable) throw new NotMeasurable('no nats-server binary');
  if (os.cpus().length < 2) throw new NotMeasurable('region and viewers need a core each');
  const cleanups: Cleanup[] = [];
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-overload-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  try {
    const nats = await startNats();
    cleanups.push(() => nats.stop());
    const topology = path.join(folder, 'topology.json');
    writeFileSync(topology, JSON.stringify({ regions: { us: { nats: nats.address, peer: nats.peerAddress } } }));
    const [region, ready] = await start(`../support/region-process${EXTENSION}`, [], cleanups, {
      OVATION_REGION: 'us', OVATION_TOPOLOGY: topology, OVATION_PORT: '0', OVATION_ADMIN_PORT: '0', OVATION_LOG_LEVEL: 'error',
    });
    const { port } = ready as { readonly port: number };
    const [clients] = await start(`overload-clients${EXTENSION}`, [String(port)], cleanups);
    await ask(clients, { connect: SOCKETS, probes: PROBES });
    pin(region.pid!, 0);
    pin(clients.pid!, 1);
    pin(nats.pid!, 1);
    for (let spinner = 0; spinner < SPINNERS; spinner++) {
      const program = spawn('taskset', ['-c', '0', process.execPath, '-e', 'for (;;);']);
      cleanups.push(() => program.kill('SIGKILL'));
    }

    const play = async (offer: Offer): Promise<Phase> => {
      const before = usageOf(region.pid!);
      const outcome = await ask<Outcome>(clients, { offer });
      const { cpuSeconds, rssBytes } = usageOf(region.pid!);
      const perSecond = outcome.acknowledgedTaps / (offer.durationMs / 1_000);
      return { ...outcome, offer, perSecond, cpuSeconds: cpuSeconds - before.cpuSeconds, rssBytes };
    };
    let peak: Phase | null = null;
    for (let perSecond = FIRST_PER_SECOND; perSecond <= LAST_PER_SECOND; perSecond *= GROWTH) {
      const phase = await play({ sockets: SOCKETS, intervalMs: intervalOf(perSecond), durationMs: STEP_MS, isDeaf: true });
      if (peak === null || phase.perSecond > peak.perSecond) peak = phase;
      if (phase.acknowledgedTaps < ENOUGH * phase.offeredTaps) break;
    }
    const intervalMs = intervalOf(3 * peak!.perSecond);
    // A level holds for a while, and what was offered in vain is still to be counted.
    const rest = (): Promise<Phase> => play({ sockets: CALM_SOCKETS, intervalMs: 1_000, durationMs: CALM_MS, isDeaf: false });
    await rest();
    const over = await play({ sockets: SOCKETS, intervalMs, durationMs: OVERLOAD_MS, isDeaf: true });
    const calm = await rest();
    const heeding = await play({ sockets: SOCKETS, intervalMs, durationMs: OVERLOAD_MS, isDeaf: false });
    const climbDownMs = calm.levels.at(-1)?.[1] === 'exact' ? calm.levels.at(-1)![0] : Infinity;

    const { accepted, unanswered } = await ask<Account>(clients, { settle: SETTLE_MS_MAX });
    let counted = 0;
    let acknowledged = 0;
    for (const [stream, taps] of Object.entries(accepted)) {
      const { totals } = (await (await fetch(`http://127.0.0.1:${port}/streams/${stream}/reactions`)).json()) as { readonly totals: Record<string, number> };
      counted += Object.values(totals).reduce((sum, each) => sum + each, 0);
      acknowledged += taps;
    }
    const goodput = over.perSecond / peak!.perSecond;
    const frameMs = over.tapToFrame?.p99Ms ?? Infinity;
    return {
      measured: [
        `offered ${rate(over.offeredTaps, over)} taps/s by viewers who do not heed the pace: ${readable(over.perSecond)} acknowledged, ${rate(over.refused, over)} batches refused,`,
        `tap → frame p50 ${over.tapToFrame?.p50Ms} ms, p99 ${frameMs} ms, levels ${levelsOf(over)}, ${megabytes(over.rssBytes)};`,
        `by viewers who do: ${readable(heeding.perSecond)} acknowledged, ${rate(heeding.refused, heeding)} batches refused, p99 ${heeding.tapToFrame?.p99Ms} ms, levels ${levelsOf(heeding)};`,
        `acknowledged ${acknowledged}, counted ${counted}, unanswered ${unanswered}; back at exact after ${(climbDownMs / 1_000).toFixed(1)} s`,
      ].join('\n             '),
      baseline: `peak: ${readable(peak!.perSecond)} taps/s acknowledged of ${rate(peak!.offeredTaps, peak!)} offered, with ${(peak!.cpuSeconds / (STEP_MS / 1_000)).toFixed(2)} of a core, ${megabytes(peak!.rssBytes)}`,
      ratio: `${goodput.toFixed(2)} × the peak, ${(over.acknowledgedTaps / over.cpuSeconds / (peak!.acknowledgedTaps / peak!.cpuSeconds)).toFixed(2)} × for the same CPU; the viewers’ own delay p99 ${over.ownDelayMs.toFixed(0)} ms`,
      reached: goodput >= GOODPUT_MIN && frameMs < FRAME_MS_MAX && climbDownMs <= CLIMB_DOWN_MS_MAX && acknowledged === counted && unanswered === 0,
      figures: {
        peakPerSecond: peak!.perSecond,
        overPerSecond: over.perSecond,
        heedingPerSecond: heeding.perSecond,
        tapToFrameP99Ms: frameMs,
        climbDownMs,
        acknowledged,
        counted,
        rssPeakBytes: peak!.rssBytes,
        rssOverBytes: over.rssBytes,
      },
    };
  } finally {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  }
}

function rate(count: number, { offer }: Phase): string {
  return readable(count / (offer.durationMs / 1_000));
}

function levelsOf({ levels }: Phase): string {
  return levels.map(([atMs, level]) => `${level} from ${(atMs / 1_000).toFixed(1)} s`).join(', ');
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

export const overload: Benchmark = {
  name: 'overload',
  description: 'a region with a part of one core, offered three times what it can count by 2,000 viewers',
  target: `goodput ≥ ${GOODPUT_MIN} × the peak, tap → frame p99 < ${FRAME_MS_MAX / 1_000} s, nothing acknowledged is lost, back at exact within ${CLIMB_DOWN_MS_MAX / 1_000} s`,
  run,
};
