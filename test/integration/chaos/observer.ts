/**
 * What can be seen of the regions while a scenario plays: their metrics, what they show of each group's taps and how old that is,
 * and whether they answer at all. Asked of each by itself, so that one that stands still hides nothing of the others.
 */

import { sleep } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import { GROUPS, groupOf } from './groups.ts';
import { REGIONS, type RegionName, type Rig } from './rig.ts';
import type { Taps } from './taps.ts';

/** Since `watch`. Metrics are named without `reactions_`. */
export interface Seen {
  /** How old what a region shows of the taps at home in another one is, at most and mostly. */
  apartMs(viewer: RegionName, home: RegionName): { readonly longest: number; readonly typical: number };
  /** How much a counter has grown, over all lives of the region. */
  grown(region: RegionName, metric: string): number;
  /** The greatest value of a gauge. */
  peak(region: RegionName, metric: string): number;
  /** How long a region did not answer at all, at a stretch. */
  silentMs(region: RegionName): number;
  /** How long no tap of those who come back to a region was acknowledged, at a stretch. */
  stalledMs(home: RegionName): number;
  /** Processes that served as the region, beyond the first. */
  newLives(region: RegionName): number;
  readonly moves: number;
  readonly duplicates: number;
  readonly reconnects: number;
}

const ASK_MS = 250;
const ANSWER_MS_MAX = 1_000;
const SAMPLE_MS = 50;
/** Of each emoji; what is older than that is not told apart. */
const SAMPLES_MAX = 20_000;
const LIFE = 'process_start_time_seconds';
const PREFIX = 'reactions_';

interface Account {
  life: number | null;
  lives: number;
  last: ReadonlyMap<string, number>;
  readonly grown: Map<string, number>;
  readonly peaks: Map<string, number>;
  answeredAt: number;
  silentMs: number;
}

interface Sample {
  readonly atMs: number;
  readonly acknowledged: number;
}

export class Observer implements Seen {
  readonly #rig: Rig;
  readonly #stream: string;
  readonly #taps: Taps;
  readonly #ended = new AbortController();
  readonly #accounts = new Map<RegionName, Account>();
  /** By emoji: when its acknowledged taps became how many. */
  readonly #samples = new Map<string, Sample[]>(GROUPS.map(({ emoji }) => [emoji, []]));
  /** By viewing region and emoji. */
  readonly #ages = new Map<string, number[]>();
  readonly #stalls = new Map<RegionName, number>();
  #since = { moves: 0, duplicates: 0, reconnects: 0 };
  #isWatching = false;
  readonly #stopSampling: () => void;

  constructor(rig: Rig, stream: string, taps: Taps) {
    this.#rig = rig;
    this.#stream = stream;
    this.#taps = taps;
    const now = realRuntime.clock.now();
    for (const region of REGIONS) {
      this.#accounts.set(region, { life: null, lives: 0, last: new Map(), grown: new Map(), peaks: new Map(), answeredAt: now, silentMs: 0 });
      void this.#follow(region);
    }
    this.#stopSampling = realRuntime.timers.every(SAMPLE_MS, () => this.#sample());
  }

  /** What is seen counts from now on. */
  watch(): void {
    this.#isWatching = true;
    const { moves, reconnects, truth } = this.#taps;
    this.#since = { moves, reconnects, duplicates: truth.duplicates };
    const now = realRuntime.clock.now();
    for (const account of this.#accounts.values()) {
      account.answeredAt = now;
      account.lives = 0;
      account.grown.clear();
    }
    // Nothing is older than the beginning.
    for (const { home, moves: isMover } of GROUPS) if (!isMover) this.#stalls.set(home, 0);
  }

  /** Effects are those of the fault; metrics are read on. */
  unwatch(): void {
    this.#isWatching = false;
  }

  end(): void {
    this.#stopSampling();
    this.#ended.abort();
  }

  get moves(): number {
    return this.#taps.moves - this.#since.moves;
  }

  get duplicates(): number {
    return this.#taps.truth.duplicates - this.#since.duplicates;
  }

  get reconnects(): number {
    return this.#taps.reconnects - this.#since.reconnects;
  }

  apartMs(viewer: RegionName, home: RegionName): { longest: number; typical: number } {
    const ages = (this.#ages.get(`${viewer} ${groupOf(home, false).emoji}`) ?? []).toSorted((one, other) => one - other);
    return { longest: ages.at(-1) ?? 0, typical: ages[Math.floor(ages.length / 2)] ?? 0 };
  }

  grown(region: RegionName, metric: string): number {
    return this.#accounts.get(region)!.grown.get(PREFIX + metric) ?? 0;
  }

  peak(region: RegionName, metric: string): number {
    return this.#accounts.get(region)!.peaks.get(PREFIX + metric) ?? 0;
  }

  silentMs(region: RegionName): number {
    return this.#accounts.get(region)!.silentMs;
  }

  stalledMs(home: RegionName): number {
    return this.#stalls.get(home) ?? 0;
  }

  newLives(region: RegionName): number {
    return this.#accounts.get(region)!.lives;
  }

  /** A gauge as it was last heard, of the life that was heard last. */
  now(region: RegionName, metric: string): number {
    return this.#accounts.get(region)!.last.get(PREFIX + metric) ?? 0;
  }

  /** What a region counts of an emoji, asked now; 0 while it does not answer. */
  async count(region: RegionName, emoji: string): Promise<number> {
    return (await this.#totals(this.#rig.machine(region).servingUrl))?.[emoji] ?? 0;
  }

  /** What was acknowledged of an emoji at a time. */
  acknowledgedAt(emoji: string, atMs: number): number {
    return this.#samples.get(emoji)!.findLast((sample) => sample.atMs <= atMs)?.acknowledged ?? 0;
  }

  #sample(): void {
    const atMs = realRuntime.clock.now();
    for (const group of GROUPS) {
      const samples = this.#samples.get(group.emoji)!;
      const acknowledged = this.#taps.acknowledged(group);
      const last = samples.at(-1);
      if (this.#isWatching && !group.moves && last !== undefined) this.#stalls.set(group.home, Math.max(this.#stalls.get(group.home)!, atMs - last.atMs));
      if (last?.acknowledged === acknowledged) continue;
      samples.push({ atMs, acknowledged });
      if (samples.length > SAMPLES_MAX) samples.shift();
    }
  }

  async #follow(region: RegionName): Promise<void> {
    const { signal } = this.#ended;
    const account = this.#accounts.get(region)!;
    while (!signal.aborted) {
      const machine = this.#rig.machine(region);
      const [metrics, totals] = await Promise.all([ask(`${machine.servingAdminUrl}/metrics`), this.#totals(machine.servingUrl)]);
      const now = realRuntime.clock.now();
      if (metrics !== null) this.#note(account, parseMetrics(metrics));
      if (this.#isWatching) account.silentMs = Math.max(account.silentMs, now - account.answeredAt);
      if (totals !== null) {
        account.answeredAt = now;
        if (this.#isWatching) this.#noteAges(region, totals, now);
      }
      await sleep(realRuntime.timers, ASK_MS, signal);
    }
  }

  async #totals(url: string): Promise<Readonly<Record<string, number>> | null> {
    const text = await ask(`${url}/streams/${this.#stream}/reactions`);
    return text === null ? null : (JSON.parse(text) as { readonly totals: Record<string, number> }).totals;
  }

  #note(account: Account, metrics: ReadonlyMap<string, number>): void {
    const life = metrics.get(LIFE) ?? null;
    const isNew = account.life !== null && life !== account.life;
    if (isNew) account.lives += 1;
    for (const [name, value] of metrics) {
      // A life that has just begun counts from nothing.
      const before = account.life === null ? value : isNew ? 0 : (account.last.get(name) ?? 0);
      account.grown.set(name, (account.grown.get(name) ?? 0) + Math.max(0, value - before));
      if (this.#isWatching) account.peaks.set(name, Math.max(account.peaks.get(name) ?? 0, value));
    }
    account.life = life;
    account.last = metrics;
  }

  /** For how long taps have been acknowledged that a region does not show. */
  #noteAges(region: RegionName, totals: Readonly<Record<string, number>>, now: number): void {
    for (const { emoji, moves } of GROUPS) {
      if (moves) continue;
      const shown = totals[emoji] ?? 0;
      const samples = this.#samples.get(emoji)!;
      const unshownAt = samples[samples.findLastIndex(({ acknowledged }) => acknowledged <= shown) + 1]?.atMs;
      const key = `${region} ${emoji}`;
      const ages = this.#ages.get(key) ?? [];
      ages.push(unshownAt === undefined ? 0 : now - unshownAt);
      this.#ages.set(key, ages);
    }
  }
}

/** Null when nothing is answered in time. */
async function ask(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    return response.ok ? await response.text() : null;
  } catch {
    return null;
  }
}

/** By name, over all labels: the sum. */
function parseMetrics(text: string): Map<string, number> {
  const metrics = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^([a-z_]+)(?:\{[^}]*\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || (name !== LIFE && !name.startsWith(PREFIX))) continue;
    metrics.set(name, (metrics.get(name) ?? 0) + Number(value));
  }
  return metrics;
}
