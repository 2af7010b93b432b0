/** The region behind an edge, as small as it can be: counts at once, refuses and stalls when told to. */

import type { StreamId } from '../../crdt/ids.ts';
import type { Log } from '../../regions/runtime.ts';
import type { Batch, Ingest, IngestReply } from '../../src/aggregator/ingest.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Frame, FrameFeed } from '../../src/broadcaster/frame-feed.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import type { EdgeOptions } from '../../src/edge/options.ts';
import { createEdge, type Edge } from '../../src/edge/server.ts';
import { encodedFrameFeed, encodedIngest } from '../support/encoded-ports.ts';

const TAPS_MAX = 40;

export class FakeRegion {
  readonly batches: Batch[] = [];
  readonly watched = new Map<string, number>();
  readonly logged: { readonly level: string; readonly message: string }[] = [];
  /** Answers instead of counting. */
  answer: ((batch: Batch) => IngestReply | null) | null = null;
  /** Keeps replies back until `release`. */
  holds = false;
  frame: Partial<Frame> = {};
  readFails = false;
  readonly #counted = new Map<string, IngestReply>();
  readonly #totals = new Map<string, Record<string, number>>();
  readonly #held: (() => void)[] = [];
  readonly #listeners = new Set<(frame: Frame) => void>();

  readonly ingest: Ingest = {
    submit: (batch, done) => {
      this.batches.push(batch);
      if (this.holds) this.#held.push(() => done(this.#reply(batch)));
      else done(this.#reply(batch));
    },
  };

  readonly feed: FrameFeed = {
    watch: (stream, viewers) => void this.watched.set(stream, viewers),
    onFrame: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
    read: (stream) => (this.readFails ? new Promise(() => {}) : Promise.resolve(this.frameOf(stream))),
    streams: (limit, among) =>
      Promise.resolve(
        (among ?? [...this.#totals.keys()].map((stream) => stream as StreamId))
          .slice(0, limit)
          .map((stream) => ({ stream, level: 'exact', total: Object.values(this.#totals.get(stream) ?? {}).reduce((sum, each) => sum + each, 0), rate: 1.2, viewers: 3 })),
      ),
    books: (stream) =>
      Promise.resolve({
        stream,
        region: 'us',
        digest: '00000000deadbeef',
        actor: 'us/0/2',
        acknowledged: 5,
        claimsInDoubt: 1,
        entries: [
          { actor: 'us/0/1', emoji: 'heart', increments: 7, decrements: 1 },
          { actor: 'us/0/2', emoji: 'heart', increments: 5, decrements: 0 },
        ],
      }),
  };

  readonly log: Log = {
    debug: () => {},
    info: (_fields, message) => void this.logged.push({ level: 'info', message }),
    warn: (_fields, message) => void this.logged.push({ level: 'warn', message }),
    error: (_fields, message) => void this.logged.push({ level: 'error', message }),
  };

  release(): void {
    for (const reply of this.#held.splice(0)) reply();
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  publish(stream: string): void {
    for (const listener of this.#listeners) listener(this.frameOf(stream as StreamId));
  }

  frameOf(stream: StreamId): Frame {
    return {
      stream,
      region: 'us',
      at: 1_795_342_812_345.678,
      level: 'exact',
      totals: { ...this.#totals.get(stream) },
      rates: { heart: 1.23456, fire: 0 },
      hints: { heart: 2, fire: 0 },
      viewers: 3,
      staleness: { eu: 12.7, ap: null },
      ...this.frame,
    };
  }

  #reply(batch: Batch): IngestReply {
    const answer = this.answer?.(batch) ?? null;
    if (answer !== null) return answer;
    const key = `${batch.stream}/${batch.session}/${batch.sequence}`;
    const earlier = batch.session === null ? undefined : this.#counted.get(key);
    if (earlier?.kind === 'counted') return { ...earlier, duplicate: true };
    const totals = this.#totals.get(batch.stream) ?? {};
    this.#totals.set(batch.stream, totals);
    let sent = 0;
    let accepted = 0;
    for (const [emoji, count] of batch.reactions) {
      const taken = Math.min(count, TAPS_MAX - accepted);
      sent += count;
      accepted += taken;
      totals[emoji] = (totals[emoji] ?? 0) + taken;
    }
    const reply: IngestReply = { kind: 'counted', accepted, clamped: sent - accepted, duplicate: false };
    this.#counted.set(key, reply);
    return reply;
  }
}

/** An edge on a free port before a fake region, with both ports over an encoding channel. */
export async function startEdge(
  region: FakeRegion,
  { config, ...changes }: Partial<Omit<EdgeOptions, 'config'>> & { config?: Partial<EdgeOptions['config']> } = {},
): Promise<{ readonly edge: Edge; readonly port: number; readonly http: string; readonly ws: string }> {
  const edge = await createEdge({
    region: 'us',
    config: { host: '127.0.0.1', port: 0, origins: ['*'], jwt: null, viewersMax: 1000, ...config },
    ingest: encodedIngest(region.ingest),
    feed: encodedFrameFeed(region.feed),
    history: null,
    stored: null,
    peers: () => ({ eu: { state: 'live' } }),
    policyOf: () => DEFAULT_POLICY,
    runtime: realRuntime,
    log: region.log,
    ...changes,
  });
  const { port } = await edge.listen();
  return { edge, port, http: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}` };
}
