/** One run of `ovation load`: connect, tap, wait for every answer, audit. */

import { randomUUID } from 'node:crypto';
import { sleep, type Runtime } from '../../../regions/runtime.ts';
import { fetchBooks, type Books } from '../audit/books.ts';
import { CommandFailure } from '../failure.ts';
import { RandomTapper, homeOf, replay } from './crowd-source.ts';
import { Crowd } from './crowd.ts';
import { GroundTruth } from './ground-truth.ts';
import type { Percentiles } from './latencies.ts';
import { Probe } from './probe.ts';
import type { MintToken } from './tokens.ts';
import { readTrace } from './trace.ts';
import { judge, type Verdict } from './verdict.ts';
import type { Viewer } from './viewer.ts';
import { WIRES, type Encoding } from './wire.ts';

export interface LoadPlan {
  readonly endpoints: readonly string[];
  readonly stream: string;
  readonly source:
    | { readonly kind: 'random'; readonly viewers: number; readonly tapsPerSecond: number; readonly durationMs: number }
    | { readonly kind: 'trace'; readonly path: string; readonly speed: number };
  readonly connectionsMax: number;
  /** How long the last answers, and then the books, may take. */
  readonly settleMs: number;
  readonly encoding: Encoding;
  /** Null where regions ask for no token. */
  readonly mintToken: MintToken | null;
  readonly compareStored: boolean;
}

export interface LoadProgress {
  readonly phase: 'connecting' | 'tapping' | 'settling' | 'auditing';
  readonly elapsedMs: number;
  readonly open: number;
  readonly truth: GroundTruth;
  readonly tapToAck: Percentiles | null;
}

export interface LoadResult {
  readonly stream: string;
  readonly regions: readonly string[];
  readonly viewers: number;
  readonly reconnects: number;
  readonly tappingMs: number;
  readonly truth: GroundTruth;
  readonly verdict: Verdict;
  readonly tapToAck: Percentiles | null;
  /** From a tap to the first frame of the same region that counts it. */
  readonly tapToFrame: Percentiles | null;
  /** The same, in the other regions. */
  readonly tapToFrameAbroad: Percentiles | null;
}

const CONNECT_MS_MAX = 60_000;
const WELCOME_MS_MAX = 10_000;
const POLL_MS = 100;
const AUDIT_MS = 500;
const PROGRESS_MS = 250;
const TRACE_VIEWERS_MAX = 1_000_000;

/** @throws CommandFailure */
export async function runLoad(
  plan: LoadPlan,
  runtime: Runtime,
  signal: AbortSignal,
  onProgress: (progress: LoadProgress) => void,
): Promise<LoadResult> {
  const before = await fetchAll(plan, plan.endpoints);
  const run = new Run(plan, runtime, signal, before);
  const startMs = runtime.clock.now();
  const stopProgress = runtime.timers.every(PROGRESS_MS, () => onProgress(run.progress(startMs)));
  try {
    return await run.play();
  } finally {
    stopProgress();
    run.end();
  }
}

class Run {
  readonly #plan: LoadPlan;
  readonly #runtime: Runtime;
  readonly #signal: AbortSignal;
  readonly #before: readonly Books[];
  readonly #crowd: Crowd;
  readonly #truth = new GroundTruth();
  readonly #probe: Probe;
  readonly #failure = new AbortController();
  #phase: LoadProgress['phase'] = 'connecting';
  #viewerCount = 0;
  #tappingMs = 0;

  constructor(plan: LoadPlan, runtime: Runtime, signal: AbortSignal, before: readonly Books[]) {
    this.#plan = plan;
    this.#runtime = runtime;
    this.#signal = signal;
    this.#before = before;
    this.#crowd = new Crowd({
      runtime,
      wire: WIRES[plan.encoding],
      mintToken: plan.mintToken,
      // The probe's own come on top: one a region for the stream, and one a region for each stream of its own.
      connectionsMax: plan.connectionsMax + plan.endpoints.length * (plan.endpoints.length + 1),
      onRejected: (viewer, code, reason) =>
        this.#failure.abort(new CommandFailure('usage', `the service turned ${viewer} away for good: ${code} ${reason}`)),
    });
    this.#probe = new Probe(this.#crowd, plan.endpoints, plan.stream, this.#truth);
  }

  progress(startMs: number): LoadProgress {
    return {
      phase: this.#phase,
      elapsedMs: this.#runtime.clock.now() - startMs,
      open: this.#crowd.openCount,
      truth: this.#truth,
      tapToAck: this.#crowd.tapToAck.percentiles(),
    };
  }

  async play(): Promise<LoadResult> {
    const { source } = this.#plan;
    await this.#welcomed();
    // A recording may use the whole palette, so nothing of it is spared for the probe.
    const emoji = this.#probe.choose(source.kind === 'random');
    await this.#welcomed();
    const viewers = source.kind === 'random' ? await this.#gather(source.viewers) : [];
    const tapping = new AbortController();
    const startMs = this.#runtime.clock.now();
    this.#phase = 'tapping';
    this.#probe.start(tapping.signal);
    if (source.kind === 'random') {
      for (const viewer of viewers) {
        this.#crowd.plan(new RandomTapper(this.#crowd, viewer, source.tapsPerSecond, emoji, tapping.signal), startMs);
      }
      await this.#waitUntil(() => false, source.durationMs);
    } else {
      await this.#replay(source.path, source.speed);
    }
    tapping.abort();
    this.#tappingMs = this.#runtime.clock.now() - startMs;
    this.#phase = 'settling';
    await this.#settle();
    this.#phase = 'auditing';
    return this.#result(await this.#audit());
  }

  end(): void {
    this.#crowd.disband();
  }

  async #welcomed(): Promise<void> {
    if (await this.#waitUntil(() => this.#probe.silentEndpoints().length === 0, WELCOME_MS_MAX)) return;
    if (this.#signal.aborted) throw new CommandFailure('no', 'interrupted before anything was tapped');
    const silent = this.#probe.silentEndpoints().join(', ');
    throw new CommandFailure('unreachable', `no welcome over WebSocket within ${WELCOME_MS_MAX / 1000} s from ${silent}`);
  }

  /** Connects a crowd before it taps, so that connecting is not measured as latency. */
  async #gather(count: number): Promise<Viewer[]> {
    const viewers = Array.from({ length: count }, (_, index) =>
      this.#join(`viewer-${index}`, index % this.#plan.endpoints.length, true),
    );
    const wanted = Math.min(count, this.#plan.connectionsMax);
    const open = this.#crowd.openCount + wanted;
    for (const viewer of viewers.slice(0, wanted)) viewer.watch();
    if (!(await this.#waitUntil(() => this.#crowd.openCount >= open, CONNECT_MS_MAX)) && !this.#signal.aborted) {
      const found = `only ${this.#crowd.openCount} of ${open} connections within ${CONNECT_MS_MAX / 1000} s`;
      throw new CommandFailure('unreachable', `${found}; look at the regions' logs and at \`ulimit -n\``);
    }
    return viewers;
  }

  #join(id: string, region: number, stays: boolean): Viewer {
    this.#viewerCount += 1;
    const { endpoints, stream } = this.#plan;
    return this.#crowd.join({ id, sessionId: randomUUID(), endpoint: endpoints[region]!, stream, truth: this.#truth, stays });
  }

  async #replay(path: string, speed: number): Promise<void> {
    const stopped = AbortSignal.any([this.#signal, this.#failure.signal]);
    await replay(this.#crowd, {
      events: readTrace(path),
      speed,
      viewersMax: TRACE_VIEWERS_MAX,
      signal: stopped,
      every: (intervalMs, call) => this.#runtime.timers.every(intervalMs, call),
      join: (viewer) => this.#join(viewer, homeOf(viewer, this.#plan.endpoints.length), false),
    });
    this.#failure.signal.throwIfAborted();
  }

  async #settle(): Promise<void> {
    // An interrupted run also waits for its answers: without them there is nothing to audit.
    const until = this.#runtime.clock.now() + this.#plan.settleMs;
    while (this.#crowd.busyCount > 0 && this.#runtime.clock.now() < until) {
      this.#failure.signal.throwIfAborted();
      await sleep(this.#runtime.timers, POLL_MS);
    }
    this.#crowd.disband();
  }

  async #audit(): Promise<Verdict> {
    const until = this.#runtime.clock.now() + this.#plan.settleMs;
    for (;;) {
      const last = this.#runtime.clock.now() >= until;
      try {
        const after = await fetchAll(this.#plan, this.#plan.endpoints);
        const verdict = judge(this.#truth, this.#before, after, this.#plan.compareStored);
        if (verdict.balanced || last) return verdict;
      } catch (error) {
        if (last) throw error;
      }
      await sleep(this.#runtime.timers, AUDIT_MS);
    }
  }

  #result(verdict: Verdict): LoadResult {
    return {
      stream: this.#plan.stream,
      regions: this.#before.map(({ region }) => region),
      viewers: this.#viewerCount,
      reconnects: this.#crowd.reconnectCount,
      tappingMs: this.#tappingMs,
      truth: this.#truth,
      verdict,
      tapToAck: this.#crowd.tapToAck.percentiles(),
      tapToFrame: this.#probe.tapToFrame.percentiles(),
      tapToFrameAbroad: this.#probe.tapToFrameAbroad.percentiles(),
    };
  }

  /** False when the time was up first, or the run was interrupted. */
  async #waitUntil(condition: () => boolean, withinMs: number): Promise<boolean> {
    const stopped = AbortSignal.any([this.#signal, this.#failure.signal]);
    const until = this.#runtime.clock.now() + withinMs;
    while (!condition() && this.#runtime.clock.now() < until && !stopped.aborted) {
      await sleep(this.#runtime.timers, Math.max(1, Math.min(POLL_MS, until - this.#runtime.clock.now())), stopped);
    }
    this.#failure.signal.throwIfAborted();
    return condition();
  }
}

async function fetchAll({ stream, mintToken }: LoadPlan, endpoints: readonly string[]): Promise<Books[]> {
  const token = await mintToken?.({ viewer: 'load', stream, role: 'moderator' });
  return Promise.all(endpoints.map((endpoint) => fetchBooks(endpoint, stream, token)));
}
