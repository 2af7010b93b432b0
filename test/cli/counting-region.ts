/** One or more regions behind real edges that share their books in memory, and miscount when told to. */

import type { StreamId } from '../../crdt/ids.ts';
import type { Batch, Ingest } from '../../src/aggregator/ingest.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { BookEntry, Frame, FrameFeed } from '../../src/broadcaster/frame-feed.ts';
import { createEdge, type Edge } from '../../src/edge/server.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import type { EdgeOptions } from '../../src/edge/options.ts';

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const FRAME_MS = 50;

type Totals = Map<string, number>;

export class CountingRegion {
  readonly region: string;
  /** Adds this to what is counted of a batch, whatever was acknowledged. */
  miscount = 0;
  /** Taps of a batch beyond this are clamped. */
  tapsMax = Infinity;
  /** Counts, but never answers. */
  mute = false;
  /** Reactions a second that frames speak of, whatever was tapped. */
  rates: Record<string, number> = {};
  submissions = 0;
  /** By which regions batches came that had been elsewhere. */
  readonly moved: (readonly string[])[] = [];
  port = 0;
  readonly #config: Partial<EdgeOptions['config']>;
  readonly #peers: readonly CountingRegion[];
  readonly #answers = new Map<string, { readonly accepted: number; readonly clamped: number }>();
  readonly #counted = new Map<string, Totals>();
  readonly #listeners = new Set<(frame: Frame) => void>();
  readonly #watched = new Set<string>();
  #edge: Edge | null = null;
  #ticking: (() => void) | null = null;

  /** `peers` is the list of all regions, this one too once it is in it. */
  constructor(region: string, peers: readonly CountingRegion[], config: Partial<EdgeOptions['config']> = {}) {
    this.region = region;
    this.#peers = peers;
    this.#config = config;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Also after `stop`, on the same port, with the same books. */
  async start(): Promise<void> {
    this.#edge = await createEdge({
      region: this.region,
      config: { host: '127.0.0.1', port: this.port, origins: ['*'], jwt: null, viewersMax: 1000, ...this.#config },
      ingest: this.#ingest,
      feed: this.#feed,
      history: null,
      stored: async (stream) => this.#entries(stream),
      peers: () => ({}),
      policyOf: () => DEFAULT_POLICY,
      runtime: realRuntime,
      log: SILENT,
    });
    this.port = (await this.#edge.listen()).port;
    this.#ticking = realRuntime.timers.every(FRAME_MS, () => this.#tick());
  }

  async stop(): Promise<void> {
    this.#ticking?.();
    await this.#edge?.stop({ graceMs: 0 });
    this.#edge = null;
  }

  totalsOf(stream: string): Totals {
    let totals = this.#counted.get(stream);
    if (totals === undefined) this.#counted.set(stream, (totals = new Map()));
    return totals;
  }

  readonly #ingest: Ingest = {
    submit: (batch, done) => {
      this.submissions += 1;
      if (batch.via !== undefined) this.moved.push(batch.via);
      if (batch.reactions.some(([emoji]) => !DEFAULT_POLICY.palette.has(emoji))) {
        done({ kind: 'refused', reason: 'unknown-emoji' });
        return;
      }
      const key = `${batch.stream} ${batch.session} ${batch.sequence}`;
      const earlier = this.#answers.get(key);
      const { accepted, clamped } = earlier ?? this.#count(batch);
      this.#answers.set(key, { accepted, clamped });
      if (!this.mute) done({ kind: 'counted', accepted, clamped, duplicate: earlier !== undefined });
    },
  };

  readonly #feed: FrameFeed = {
    watch: (stream, viewers) => {
      if (viewers > 0) this.#watched.add(stream);
      else this.#watched.delete(stream);
    },
    onFrame: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
    read: async (stream) => this.#frameOf(stream),
    streams: async () => [],
    books: async (stream) => ({
      stream,
      region: this.region,
      digest: this.#entries(stream).map((entry) => `${entry.actor}${entry.emoji}${entry.increments}`).sort().join(),
      entries: this.#entries(stream),
      actor: `${this.region}/0/1`,
      // What it would have acknowledged if it had not miscounted stays hidden: the crowd must find out.
      acknowledged: [...this.totalsOf(stream).values()].reduce((sum, count) => sum + count, 0),
      claimsInDoubt: 0,
    }),
  };

  #count({ stream, reactions }: Batch): { accepted: number; clamped: number } {
    const totals = this.totalsOf(stream);
    let left = this.tapsMax;
    let clamped = 0;
    let accepted = 0;
    for (const [emoji, count] of reactions) {
      const taken = Math.min(count, left);
      left -= taken;
      accepted += taken;
      clamped += count - taken;
      totals.set(emoji, (totals.get(emoji) ?? 0) + taken + this.miscount);
    }
    return { accepted, clamped };
  }

  #entries(stream: string): BookEntry[] {
    return this.#peers.flatMap((peer) =>
      [...peer.totalsOf(stream)].map(([emoji, increments]) => ({ actor: `${peer.region}/0/1`, emoji, increments, decrements: 0 })),
    );
  }

  #frameOf(stream: StreamId): Frame {
    const totals: Record<string, number> = {};
    for (const { emoji, increments } of this.#entries(stream)) totals[emoji] = (totals[emoji] ?? 0) + increments;
    return { stream, region: this.region, at: Date.now(), level: 'exact', totals, rates: this.rates, hints: this.rates, viewers: 0, staleness: {} };
  }

  #tick(): void {
    for (const stream of this.#watched) {
      for (const listener of this.#listeners) listener(this.#frameOf(stream as StreamId));
    }
  }
}

export async function startCountingRegions(...names: readonly string[]): Promise<CountingRegion[]> {
  const regions: CountingRegion[] = [];
  for (const name of names) regions.push(new CountingRegion(name, regions));
  await Promise.all(regions.map((region) => region.start()));
  return regions;
}
