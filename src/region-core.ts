/**
 * The core of a region: what counts, replicates, shows, stores and moderates, put together from its parts and started and
 * stopped in order. What the world outside touches is around it: sockets and metrics in `region.ts`, faults in the simulation.
 *
 * Start: own log read back → streams that are over let go → shards recovered from their hot stores → replication, frames,
 * windows. Stop: shards flushed → frames end → windows and rows handed over.
 */

import type { StreamId } from '../crdt/ids.ts';
import { Ledger } from '../crdt/ledger.ts';
import type { LogReader, LogWriter } from '../regions/log.ts';
import type { ReplicationOptions } from '../regions/replication.ts';
import { createReplicator, type Replicator } from '../regions/replicator.ts';
import type { Cancel, Log, Runtime } from '../regions/runtime.ts';
import { createAggregator, type Aggregator } from './aggregator/aggregator.ts';
import { ClaimsDesk } from './aggregator/claims-desk.ts';
import { sessionsHeldFrom } from './aggregator/claims-horizon.ts';
import type { Ingest } from './aggregator/ingest.ts';
import type { AggregatorOptions } from './aggregator/options.ts';
import { Spreads } from './aggregator/spread.ts';
import { Persister } from './analytics/persister.ts';
import { WindowPublisher } from './analytics/window-publisher.ts';
import type { WindowQueue } from './analytics/window-queue.ts';
import type { WindowStore } from './analytics/window-store.ts';
import { createBroadcaster, type Broadcaster, type BroadcasterOptions, type BroadcasterParts } from './broadcaster/broadcaster.ts';
import { COMMIT_RETENTION_MS, type Commit, type HotStore } from './hot-store/hot-store.ts';
import { createControlPlane, type ControlPlane, type ControlPlaneParts } from './moderation/control-plane.ts';
import { EndedStreams } from './moderation/ended-streams.ts';
import type { BasePolicy } from './moderation/policy.ts';
import { logKeyOf, policyDocuments, streamsWithPolicies } from './moderation/policy-documents.ts';
import { StreamEnds } from './moderation/stream-ends.ts';

export interface CoreParts {
  readonly region: string;
  readonly shardCount: number;
  readonly base: BasePolicy;
  readonly endedGraceMs?: number | undefined;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly logWriter: LogWriter;
  /** Of each peer region, a reader of its log. */
  readonly logReaders: ReadonlyMap<string, LogReader>;
  readonly hotStore: (shard: number) => HotStore;
  readonly windowQueue: WindowQueue;
  /** Null when there is no database: then no windows are kept. */
  readonly windowStore: WindowStore | null;
  /** Told of every change of a policy that is taken here. */
  readonly record?: ControlPlaneParts['record'];
  /** Another process has taken the place of this one, which must be stopped. May be called more than once. */
  readonly onFenced: (by: 'shard' | 'log' | 'identity', reason: string) => void;
  /** Which rung of the degradation ladder the process is on; `exact` when absent. */
  readonly level?: BroadcasterParts['level'];
  readonly observeFrameMs?: (ms: number) => void;
  readonly observeCommitMs?: (ms: number) => void;
  readonly options?: {
    readonly replication?: Partial<ReplicationOptions>;
    readonly broadcaster?: Partial<BroadcasterOptions>;
    readonly aggregator?: Partial<AggregatorOptions>;
  };
}

export interface RegionCore {
  readonly ledger: Ledger;
  readonly plane: ControlPlane;
  readonly ended: EndedStreams;
  readonly ends: StreamEnds;
  readonly shards: readonly Aggregator[];
  /** The shards that count a stream. */
  readonly shardsFor: (stream: StreamId) => readonly Aggregator[];
  readonly ingest: Ingest;
  readonly desk: ClaimsDesk;
  readonly replicator: Replicator;
  readonly broadcaster: Broadcaster;
  readonly windows: WindowPublisher;
  readonly persister: Persister | null;
  /** Waits for log and hot stores as long as that takes, or until it is stopped. */
  start(): Promise<void>;
  /** In bounded time. The window queue and the database are left open. */
  stop(): Promise<void>;
}

/** Rows that the own log still lacks may be this old before taps are refused: the hot store must keep what it lacks. */
const UNPUBLISHED_ROWS_MS_MAX = COMMIT_RETENTION_MS / 2;
/** How often policies are looked through for what nobody needs any more. */
const COMPACT_POLICIES_MS = 10 * 60_000;
/** How often it is looked for streams that are over. */
const FORGET_STREAMS_MS = 1_000;
/** One that nothing is written about. */
const ANY_STREAM = '' as StreamId;

export function createRegionCore(parts: CoreParts): RegionCore {
  const { region, shardCount, base, runtime, log, logReaders, windowQueue, windowStore, options = {} } = parts;
  const { record, level, observeFrameMs, observeCommitMs } = parts;
  const peers = [...logReaders.keys()];
  const startedAt = runtime.clock.now();
  let isFenced = false;
  const onFenced: CoreParts['onFenced'] = (by, reason) => {
    isFenced = true;
    replicator.fence();
    parts.onFenced(by, reason);
  };
  /** What is done now and then must not end the process. */
  const guarded = (doing: string, act: () => void) => (): void => {
    try {
      act();
    } catch (error) {
      log.error({ error }, `${doing} failed; it is tried again`);
    }
  };
  const ended = new EndedStreams((page) => replicator.markDocument(page));
  const plane = createControlPlane({
    base,
    clock: runtime.clock,
    log,
    publish: (document) => replicator.markDocument(logKeyOf(document)),
    ...(record === undefined ? {} : { record }),
    ended,
  });
  const { policyOf } = plane;
  const ledger = new Ledger();
  const ends = new StreamEnds({
    plane,
    ended,
    ledger,
    forget: (streams) => replicator.forget(streams),
    isLogged: (key) => replicator.holdsDocument(key),
    // Rows that the own log has no room for must not keep streams from ending, which is what makes room.
    derivedBefore: () => Math.min(windows.queuedBefore(), runtime.clock.now() - replicator.oldestUntriedMs()),
    clock: runtime.clock,
    log,
    graceMs: parts.endedGraceMs,
  });
  const shards: Aggregator[] = [];
  const spreads = new Spreads(shardCount);
  const shardsFor = (stream: StreamId): Aggregator[] => spreads.shardsOf(stream).map((shard) => shards[shard]!);
  const desk = new ClaimsDesk({
    region,
    shardFor: (stream, session) => shards[spreads.shardOfBatch({ stream, session, viewer: '' })]!,
    shardsFor,
    shards: () => shards,
    markDocument: (key) => replicator.markDocument(key),
    lacksDocument: (key) => replicator.lacksDocument(key),
    heardAt: (peer) => replicator.documentsHeardAt(peer),
    runtime,
    log,
  });
  const replicator = createReplicator({
    region,
    ledger,
    runtime,
    log,
    writer: parts.logWriter,
    readers: logReaders,
    documents: [policyDocuments(plane), ends.documents, ...desk.kinds],
    ownViewers: () => broadcaster.ownViewers(),
    currentActors: () => new Map(shards.flatMap(({ actor, sequence }) => (actor === null ? [] : [[actor, sequence]]))),
    onFenced: () => onFenced('log', 'another process writes the log of this region'),
    onIdentityClash: (actor) => onFenced('identity', `another process counts as ${actor}`),
    options: options.replication ?? {},
  });
  const broadcaster = createBroadcaster({
    region,
    ledger,
    runtime,
    policyOf,
    staleness: () => replicator.staleness(),
    peerViewers: (stream) => replicator.viewers(stream),
    currentActors: (stream) => shardsFor(stream).map(({ actor }) => actor ?? ''),
    acknowledged: (stream) => shardsFor(stream).reduce((taps, shard) => taps + shard.acknowledged(stream), 0),
    claimsInDoubt: () => shards.reduce((claims, { stats }) => claims + stats['claimsUnknown']! + stats['claimsExpired']!, 0),
    ...(level === undefined ? {} : { level }),
    ...(observeFrameMs === undefined ? {} : { observeFrameMs }),
    options: options.broadcaster ?? {},
  });
  const windows = new WindowPublisher({
    queue: windowQueue,
    runtime,
    log,
    viewersOf: (stream) => broadcaster.viewers(stream),
    reachedBy: (actor) => {
      const own = shards.find((shard) => shard.actor === actor);
      // Earlier lives are over, also those whose clock was ahead of this one.
      return own === undefined ? Infinity : (own.inFlightSince() ?? runtime.clock.now());
    },
  });
  const persister =
    windowStore && new Persister({ queue: windowQueue, store: windowStore, runtime, log, onStored: (records) => windows.stored(records) });
  const keepWindow = (commit: Commit): void => {
    // Without a database nobody would ever take windows out of the queue again.
    if (windowStore !== null) windows.add(commit);
  };
  const derivedBefore = (): number => Math.min(windows.queuedBefore(), runtime.clock.now() - replicator.oldestDirtyMs());
  for (let shard = 0; shard < shardCount; shard++) {
    const aggregator: Aggregator = createAggregator({
      region,
      shard,
      owns: (stream, origin) => spreads.owns(shard, stream, origin),
      hotStore: parts.hotStore(shard),
      ledger,
      runtime,
      log,
      policyOf,
      admission: () => (windows.full() || replicator.oldestDirtyMs() > UNPUBLISHED_ROWS_MS_MAX ? 'overloaded' : null),
      derivedBefore,
      isOver: (stream) => ends.isOver(stream),
      windowsStoredBefore: () => (aggregator.actor === null ? 0 : windows.storedBefore(aggregator.actor)),
      sessionsHeldFrom: () => sessionsHeldFrom(runtime.clock.now(), startedAt, peers.map((peer) => replicator.documentsHeardAt(peer))),
      onCommit: (commit) => {
        keepWindow(commit);
        desk.committed(commit);
      },
      onRecovered: keepWindow,
      onFenced: () => onFenced('shard', `another process has taken over shard ${shard}`),
      ...(observeCommitMs === undefined ? {} : { observeCommitMs }),
      options: { ...options.aggregator, peers },
    });
    shards.push(aggregator);
  }
  plane.onPolicy((stream) => {
    if (stream !== null) ends.heard(stream);
    for (const shard of stream === null ? shards : shardsFor(stream)) shard.policyChanged(stream);
  });

  const cancels: Cancel[] = [];
  let isStopped = false;
  return {
    ledger,
    plane,
    ended,
    ends,
    shards,
    shardsFor,
    ingest: { submit: (batch, done) => shards[spreads.shardOfBatch(batch)]!.submit(batch, done) },
    desk,
    replicator,
    broadcaster,
    windows,
    persister,
    async start() {
      // Own rows first: the epochs of earlier lives are among them.
      await replicator.recover();
      if (isStopped || isFenced) return;
      spreads.read(streamsWithPolicies(plane), (stream) => policyOf(stream).spread, policyOf(ANY_STREAM).spread);
      // Before shards read their journals back, in which streams stand that are over.
      ends.sweep();
      cancels.push(
        runtime.timers.every(FORGET_STREAMS_MS, guarded('forgetting streams', () => ends.sweep())),
        runtime.timers.every(COMPACT_POLICIES_MS, guarded('compacting policies', () => plane.compact())),
      );
      await Promise.all(shards.map((shard) => shard.open()));
      await Promise.all(shards.map((shard) => shard.start()));
      if (isStopped || isFenced) return;
      // What is pending is published before peers are heard, whose verdicts are about it.
      desk.start();
      replicator.start();
      broadcaster.start();
      windows.start();
      persister?.start();
    },
    async stop() {
      isStopped = true;
      for (const cancel of cancels) cancel();
      desk.stop();
      await Promise.all(shards.map((shard) => shard.stop()));
      broadcaster.stop();
      await windows.stop();
      await Promise.all([persister?.stop(), replicator.stop()]);
    },
  };
}
