/**
 * The broadcaster: the ledger → frames for whoever is watched.
 *
 * Every tick it makes at most one frame per watched stream, and only when there is something to tell:
 * the counts, the rates, the viewers, a region's staleness, the level or the policy changed, or nothing
 * was said for `keepAliveMs`. Further down the degradation ladder frames come less often and are folded, and at `static` there are
 * none but keep-alives. Its work follows the streams that are watched and changed; neither the number of
 * viewers nor streams that nobody watches cost anything. What it keeps of a stream is dropped with
 * its last viewer.
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { DirtyRows, Ledger } from '../../crdt/ledger.ts';
import type { Cancel, Runtime } from '../../regions/runtime.ts';
import type { Policy, PolicyOf } from '../moderation/policy.ts';
import { bookEntries, countsByRegion, takenBack } from './books.ts';
import { worse } from './degradation.ts';
import type { Frame, FrameFeed, Level, StreamBooks, StreamSummary } from './frame-feed.ts';
import { advanceCrowd, foldNumbers, frameNumbers, quietCrowd, type Crowd } from './frame.ts';
import { createLateness } from './lateness.ts';
import { RecentStreams } from './recent-streams.ts';

export interface BroadcasterOptions {
  readonly frameMs: number;
  /** A watched stream is never silent for longer, so that players can tell a broken connection. */
  readonly keepAliveMs: number;
  /** Time constant of the smoothed rates. */
  readonly timeConstantMs: number;
  /** Streams not watched that are listed because they changed last, and whose rates are kept between reads. */
  readonly readStreamsMax: number;
}

/** Ticks from one frame of a stream to the next, on each rung; at `static` nothing but what players need to tell a broken connection. */
const TICKS_PER_FRAME: { readonly [level in Level]: number } = { exact: 1, relaxed: 2, hearts: 3, static: Infinity };

const BROADCASTER_DEFAULTS: BroadcasterOptions = Object.freeze({
  frameMs: 200,
  keepAliveMs: 2_000,
  timeConstantMs: 1_000,
  readStreamsMax: 1_024,
});

export interface BroadcasterParts {
  readonly region: string;
  readonly ledger: Ledger;
  readonly runtime: Runtime;
  readonly policyOf: PolicyOf;
  /** Peer region → milliseconds since its last word; null when it never spoke. */
  readonly staleness: () => Readonly<Record<string, number | null>>;
  /** Viewers of a stream in the peer regions, as far as known. */
  readonly peerViewers: (stream: StreamId) => number;
  /** The actors that the stream's shards write as now, the home shard's first. */
  readonly currentActors: (stream: StreamId) => readonly string[];
  /** Taps of a stream that this process acknowledged as accepted. */
  readonly acknowledged: (stream: StreamId) => number;
  /** Batches that may count twice; absent when nothing is known of that. */
  readonly claimsInDoubt?: () => number;
  readonly level?: () => Level;
  /** Told how long each tick took. */
  readonly observeFrameMs?: (durationMs: number) => void;
  readonly options?: Partial<BroadcasterOptions>;
}

/** One edge's connection. Closing it takes back its viewers and its listeners. */
export interface EdgeFeed extends FrameFeed {
  close(): void;
}

export interface BroadcasterStats {
  /** Gauges. */
  watchedStreams: number;
  viewers: number;
  edges: number;
  /** Counters. */
  ticks: number;
  frames: number;
  keepAliveFrames: number;
}

export interface Broadcaster {
  connectEdge(): EdgeFeed;
  /** Viewers of a stream in all regions, as far as known. */
  viewers(stream: StreamId): number;
  /** Viewers of this region's edges, for the heartbeat that peers read. */
  ownViewers(): Iterable<readonly [StreamId, number]>;
  start(): void;
  stop(): void;
  readonly stats: Readonly<BroadcasterStats>;
}

interface WatchedStream {
  crowd: Crowd;
  /** Of all edges of this region. */
  viewers: number;
  changed: boolean;
  /** Until when its crowd was followed. */
  advancedAt: number;
  framedAt: number;
  /** Ticks since its last frame. */
  ticks: number;
  framedViewers: number;
  /** Decides on level and order; null before the first frame. */
  framedPolicy: Policy | null;
}

interface ReadStream {
  readonly crowd: Crowd;
  readonly readAt: number;
}

interface Edge {
  readonly viewers: Map<StreamId, number>;
  readonly listeners: Set<(frame: Frame) => void>;
}

const NO_HINTS: ReadonlyMap<EmojiId, number> = new Map();

export function createBroadcaster(parts: BroadcasterParts): Broadcaster {
  const { region, ledger, runtime, policyOf, staleness, peerViewers } = parts;
  const { clock, timers } = runtime;
  const options = { ...BROADCASTER_DEFAULTS, ...parts.options };
  const level = parts.level ?? ((): Level => 'exact');
  const stats: BroadcasterStats = { watchedStreams: 0, viewers: 0, edges: 0, ticks: 0, frames: 0, keepAliveFrames: 0 };
  const watched = new Map<StreamId, WatchedStream>();
  const reads = new Map<StreamId, ReadStream>();
  const recent = new RecentStreams(options.readStreamsMax);
  const edges = new Set<Edge>();
  const dirty: DirtyRows = ledger.track();
  const lateness = createLateness();
  let framedMood = '';
  let cancel: Cancel | null = null;

  function tick(): void {
    const at = clock.now();
    const stale = staleness();
    lateness.observe(stale, at);
    for (const { stream } of dirty.take()) {
      const entry = watched.get(stream);
      if (entry !== undefined) entry.changed = true;
      recent.note(stream);
    }
    // Part of every frame and the same for all streams: a change of it is told to all.
    const mood = `${level()} ${lateness.classes(stale)}`;
    for (const [stream, entry] of watched) frameIfDue(stream, entry, at, stale, mood !== framedMood);
    framedMood = mood;
    stats.ticks += 1;
    parts.observeFrameMs?.(clock.now() - at);
  }

  function frameIfDue(
    stream: StreamId,
    entry: WatchedStream,
    at: number,
    stale: Readonly<Record<string, number | null>>,
    moodChanged: boolean,
  ): void {
    const viewers = entry.viewers + peerViewers(stream);
    const moving = entry.changed || entry.crowd.rates.size > 0;
    const keptAlive = at - entry.framedAt >= options.keepAliveMs;
    const policy = policyOf(stream);
    const isTold = moodChanged || keptAlive || policy !== entry.framedPolicy;
    entry.ticks += 1;
    const isDue = entry.ticks >= TICKS_PER_FRAME[levelOf(policy)];
    if (!isTold && !(isDue && (moving || viewers !== entry.framedViewers))) {
      // A silence is no time over which the first reaction after it is spread.
      if (!moving) entry.advancedAt = at;
      return;
    }
    const counts = entry.changed ? countsByRegion(ledger.tally(stream)) : entry.crowd.counts;
    const { crowd, hints } = advanceCrowd(entry.crowd, counts, {
      elapsedMs: at - entry.advancedAt,
      lateRegions: lateness.regions,
      timeConstantMs: options.timeConstantMs,
    });
    entry.crowd = crowd;
    entry.changed = false;
    entry.advancedAt = at;
    entry.framedAt = at;
    entry.ticks = 0;
    entry.framedViewers = viewers;
    entry.framedPolicy = policy;
    stats.frames += 1;
    if (!moving) stats.keepAliveFrames += 1;
    send(makeFrame(stream, at, crowd, hints, viewers, stale));
  }

  function makeFrame(
    stream: StreamId,
    at: number,
    crowd: Crowd,
    hints: ReadonlyMap<EmojiId, number>,
    viewers: number,
    stale: Readonly<Record<string, number | null>>,
  ): Frame {
    const policy = policyOf(stream);
    const shown = levelOf(policy);
    const numbers = frameNumbers(policy.palette.keys(), crowd, hints);
    const folded = shown === 'hearts' || shown === 'static' ? foldNumbers(numbers) : numbers;
    const corrected = takenBack(ledger.tally(stream));
    const frame = { stream, region, at, level: shown, ...folded, viewers, staleness: stale };
    return corrected === 0 ? frame : { ...frame, corrected };
  }

  /** A moderator may go further down the ladder than the region; what a region cannot bear nobody can insist on. */
  function levelOf(policy: Policy): Level {
    return policy.level === null ? level() : worse(policy.level, level());
  }

  function send(frame: Frame): void {
    for (const edge of edges) {
      if (!edge.viewers.has(frame.stream)) continue;
      for (const listener of edge.listeners) listener(frame);
    }
  }

  function watch(edge: Edge, stream: StreamId, viewers: number): void {
    if (!edges.has(edge)) return;
    const before = edge.viewers.get(stream) ?? 0;
    if (viewers > 0) edge.viewers.set(stream, viewers);
    else edge.viewers.delete(stream);
    stats.viewers += viewers - before;
    let entry = watched.get(stream);
    if (entry === undefined) {
      if (viewers === 0) return;
      entry = {
        crowd: quietCrowd(countsByRegion(ledger.tally(stream))),
        viewers: 0,
        changed: false,
        advancedAt: clock.now(),
        framedAt: -Infinity,
        ticks: 0,
        framedViewers: 0,
        framedPolicy: null,
      };
      watched.set(stream, entry);
      reads.delete(stream);
    }
    entry.viewers += viewers - before;
    if (entry.viewers === 0) watched.delete(stream);
    stats.watchedStreams = watched.size;
  }

  function read(stream: StreamId): Frame {
    const at = clock.now();
    const counts = countsByRegion(ledger.tally(stream));
    const entry = watched.get(stream);
    const earlier = reads.get(stream);
    const elapsedMs = at - (entry?.advancedAt ?? earlier?.readAt ?? at);
    const { crowd } = advanceCrowd(entry?.crowd ?? earlier?.crowd ?? quietCrowd(counts), counts, {
      elapsedMs,
      lateRegions: lateness.regions,
      timeConstantMs: options.timeConstantMs,
    });
    if (entry === undefined && counts.size > 0) rememberRead(stream, { crowd, readAt: at });
    // Hints belong to the frame that shows them; a read shows nothing.
    return makeFrame(stream, at, crowd, NO_HINTS, (entry?.viewers ?? 0) + peerViewers(stream), staleness());
  }

  function rememberRead(stream: StreamId, state: ReadStream): void {
    reads.delete(stream);
    reads.set(stream, state);
    for (const oldest of reads.keys()) {
      if (reads.size <= options.readStreamsMax) break;
      reads.delete(oldest);
    }
  }

  function books(stream: StreamId): StreamBooks {
    const actors = parts.currentActors(stream);
    return {
      stream,
      region,
      digest: ledger.streamDigest(stream),
      entries: bookEntries(ledger.tally(stream)),
      actor: actors[0] ?? '',
      ...(actors.length > 1 ? { actors } : {}),
      acknowledged: parts.acknowledged(stream),
      claimsInDoubt: parts.claimsInDoubt?.() ?? 0,
    };
  }

  function list(limit: number, among: readonly StreamId[] | null): StreamSummary[] {
    // A stream that is over and forgotten has nothing to list.
    for (const stream of recent) if (ledger.tally(stream) === undefined) recent.forget(stream);
    const summaries = Array.from(new Set(among ?? [...watched.keys(), ...recent]), summaryOf);
    return summaries.sort(byLiveliness).slice(0, limit);
  }

  function summaryOf(stream: StreamId): StreamSummary {
    const { totals, rates, viewers, level: shown } = read(stream);
    return { stream, level: shown, total: sum(totals), rate: Math.round(sum(rates) * 10) / 10, viewers };
  }

  return {
    stats,

    connectEdge() {
      const edge: Edge = { viewers: new Map(), listeners: new Set() };
      edges.add(edge);
      stats.edges = edges.size;
      return {
        watch: (stream, viewers) => watch(edge, stream, viewers),
        onFrame(listener) {
          edge.listeners.add(listener);
          return () => edge.listeners.delete(listener);
        },
        read: (stream) => Promise.resolve(read(stream)),
        books: (stream) => Promise.resolve(books(stream)),
        streams: (limit, among) => Promise.resolve(list(limit, among)),
        close() {
          for (const stream of edge.viewers.keys()) watch(edge, stream, 0);
          edges.delete(edge);
          stats.edges = edges.size;
        },
      };
    },

    viewers: (stream) => (watched.get(stream)?.viewers ?? 0) + peerViewers(stream),

    *ownViewers() {
      for (const [stream, { viewers }] of watched) yield [stream, viewers] as const;
    },

    start() {
      cancel ??= timers.every(options.frameMs, tick);
    },

    stop() {
      cancel?.();
      cancel = null;
    },
  };
}

function sum(numbers: Readonly<Record<string, number>>): number {
  return Object.values(numbers).reduce((all, each) => all + each, 0);
}

function byLiveliness(one: StreamSummary, other: StreamSummary): number {
  return other.rate - one.rate || other.viewers - one.viewers || other.total - one.total || (one.stream < other.stream ? -1 : 1);
}
