/**
 * reconnect-storm: a region is killed, and its 10,000 viewers come to another one, each with a batch to send again, while those
 * who are there go on tapping. Regions are processes of the build on real nats-servers; viewers are processes of their own.
 */

import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { natsAvailable, startNats } from '../support/nats.ts';
import { startRegionCommand } from '../support/region-command.ts';
import { NotMeasurable, type Benchmark, type Result } from './measure.ts';
import type { FromClients, ToClients } from './reconnect-storm-clients.ts';

const SOCKETS = 10_000;
const PROCESSES = 2;
const CONTROL_SOCKETS = 100;
const QUIET_MS = 10_000;
const SETTLE_MS_MAX = 180_000;
const BACK_MS_MAX = 30_000;
/** What a tap may take until everybody sees it. */
const ACK_MS_MAX = 500;
const FILES_MIN = SOCKETS + CONTROL_SOCKETS + 500;

type Cleanup = () => unknown;

function openFilesMax(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Infinity : Number(limit);
}

function startClients(kind: 'crowd' | 'control', count: number, ports: readonly string[], cleanups: Cleanup[]): ChildProcess {
  const program = path.join(import.meta.dirname, `reconnect-storm-clients${path.extname(import.meta.filename)}`);
  const child = fork(program, [kind, String(count), ...ports]);
  cleanups.push(() => child.kill('SIGKILL'));
  return child;
}

/** The next word of this kind. @throws when there is none in time */
async function nextOf<Kind extends FromClients['kind']>(child: ChildProcess, kind: Kind): Promise<Extract<FromClients, { readonly kind: Kind }>> {
  const signal = AbortSignal.timeout(SETTLE_MS_MAX);
  for (;;) {
    const [message] = (await once(child, 'message', { signal })) as [FromClients];
    if (message.kind === kind) return message as Extract<FromClients, { readonly kind: Kind }>;
  }
}

async function latenciesOf(control: ChildProcess): Promise<{ readonly p50: number; readonly p99: number; readonly max: number }> {
  const answer = nextOf(control, 'latencies');
  control.send('latencies' satisfies ToClients);
  const ms = [...(await answer).ms].sort((a, b) => a - b);
  const quantile = (share: number): number => ms[Math.min(ms.length - 1, Math.floor(ms.length * share))] ?? Infinity;
  return { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) };
}

async function measure(cleanups: Cleanup[]): Promise<Result> {
  const [us, eu] = await Promise.all(['us', 'eu'].map((region) => startNats({ region })));
  cleanups.push(() => us!.stop(), () => eu!.stop());
  const servers = new Map([['us', us!], ['eu', eu!]]);
  const [left, reached] = await Promise.all(['us', 'eu'].map((region) => startRegionCommand({ region, servers })));
  for (const { child } of [left!, reached!]) cleanups.push(() => child.kill('SIGKILL'));
  const [leftPort, reachedPort] = [left!, reached!].map(({ url }) => new URL(url).port);

  const control = startClients('control', CONTROL_SOCKETS, [reachedPort!], cleanups);
  await nextOf(control, 'settled');
  const crowd = Array.from({ length: PROCESSES }, () => startClients('crowd', SOCKETS / PROCESSES, [leftPort!, reachedPort!], cleanups));
  await Promise.all(crowd.map((each) => nextOf(each, 'settled')));
  await pause(QUIET_MS / 5);
  await latenciesOf(control);
  await pause(QUIET_MS);
  const before = await latenciesOf(control);
  const residentBefore = reached!.residentBytes();

  const back = crowd.map((each) => nextOf(each, 'settled'));
  for (const each of crowd) each.send('storm' satisfies ToClients);
  const startedAt = performance.now();
  left!.child.kill('SIGKILL');
  const words = await Promise.all(back);
  const backMs = performance.now() - startedAt;
  const during = await latenciesOf(control);
  const resident = reached!.residentBytes();
  await pause(QUIET_MS / 5);
  await latenciesOf(control);
  await pause(QUIET_MS);
  const after = await latenciesOf(control);

  const answer = await fetch(`${reached!.url}/streams/derby/audit`);
  const books = (await answer.json()) as { readonly acknowledged: number; readonly counted: number };
  const refused = words.reduce((sum, word) => sum + word.refused, 0);
  const attempts = words.reduce((sum, word) => sum + word.attempts, 0) - SOCKETS;
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  const ms = ({ p50, p99, max }: typeof before): string => `${p50.toFixed(0)} / ${p99.toFixed(0)} / ${max.toFixed(0)} ms`;
  return {
    measured: `all ${SOCKETS} back and acknowledged ${(backMs / 1000).toFixed(1)} s after the kill, in ${attempts} attempts (${refused} refused); acknowledgements of ${CONTROL_SOCKETS} who were there, p50 / p99 / max, ${ms(during)}`,
    baseline: `the same ${CONTROL_SOCKETS} before: ${ms(before)}; afterwards, with everybody: ${ms(after)}; memory ${mb(residentBefore)} before, ${mb(resident)} with everybody`,
    ratio: `${((SOCKETS / backMs) * 1000).toFixed(0)} sockets a second; p99 of those who were there ${(during.p99 / before.p99).toFixed(1)} ×`,
    reached: backMs < BACK_MS_MAX && during.p99 < ACK_MS_MAX && books.acknowledged === books.counted,
    figures: { backMs, attempts, refused, beforeP99: before.p99, duringP50: during.p50, duringP99: during.p99, duringMax: during.max, afterP99: after.p99, residentBefore, resident },
  };
}

export const reconnectStorm: Benchmark = {
  name: 'reconnect-storm',
  description: `the ${SOCKETS} viewers of a killed region come to another one`,
  target: `all back in < ${BACK_MS_MAX / 1000} s, and p99 of the acknowledgements of those who were there < ${ACK_MS_MAX} ms meanwhile`,
  async run() {
    if (!natsAvailable) throw new NotMeasurable('no nats-server binary');
    const files = openFilesMax();
    if (files < FILES_MIN) throw new NotMeasurable(`${files} open files are allowed, ${FILES_MIN} needed: ulimit -n ${FILES_MIN}`);
    const cleanups: Cleanup[] = [];
    try {
      return await measure(cleanups);
    } finally {
      for (const cleanup of cleanups.toReversed()) await cleanup();
    }
  },
};
