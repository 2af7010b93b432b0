/**
 * The composition root: builds one region from its configuration, starts it in order, stops it in order.
 *
 * Start: own log read back → shards recovered from their hot stores → replication, frames, windows → the
 * edge listens. Stop: not ready, but serving until load balancers have noticed → edge drained → shards
 * flushed → windows and rows handed over → closed.
 * This and `cli/` are the only places that choose adapters.
 */

import type { StreamId } from '../crdt/ids.ts';
import { Ledger } from '../crdt/ledger.ts';
import type { LogReader, LogWriter } from '../regions/log.ts';
import { createNatsLogReader, createNatsLogWriter } from '../regions/nats-log.ts';
import { createReplicator } from '../regions/replicator.ts';
import { sleep, type Log, type Runtime } from '../regions/runtime.ts';
import { createAggregator, type Aggregator } from './aggregator/aggregator.ts';
import type { Ingest } from './aggregator/ingest.ts';
import { ClaimsDesk } from './aggregator/claims-desk.ts';
import { sessionsHeldFrom } from './aggregator/claims-horizon.ts';
import { Spreads, joinFlagged } from './aggregator/spread.ts';
import { readHistory } from './analytics/history.ts';
import { createJetstreamWindowQueue } from './analytics/jetstream-window-queue.ts';
import { Persister } from './analytics/persister.ts';
import { AuditTrail, type ChangeStore } from './analytics/policy-changes.ts';
import { createPostgresStore } from './analytics/postgres-store.ts';
import { WindowPublisher } from './analytics/window-publisher.ts';
import type { WindowQueue } from './analytics/window-queue.ts';
import type { WindowStore } from './analytics/window-store.ts';
import { createProcessLoad, type ProcessLoad } from './base/process-load.ts';
import { realRuntime } from './base/runtime.ts';
import { createBroadcaster } from './broadcaster/broadcaster.ts';
import type { FrameFeed } from './broadcaster/frame-feed.ts';
import { LADDER_GAUGES, Ladder } from './broadcaster/ladder.ts';
import type { Config } from './config.ts';
import { createEdge } from './edge/server.ts';
import { COMMIT_RETENTION_MS, type Commit, type HotStore } from './hot-store/hot-store.ts';
import { createJetstreamStore } from './hot-store/jetstream-store.ts';
import { createControlPlane } from './moderation/control-plane.ts';
import { EndedStreams } from './moderation/ended-streams.ts';
import { logKeyOf, policyDocuments, streamsWithPolicies } from './moderation/policy-documents.ts';
import { StreamEnds } from './moderation/stream-ends.ts';
import { createAdminServer } from './observability/admin-server.ts';
import { createHealth } from './observability/health.ts';
import { createLog } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';

/** The adapters that a region runs on. */
export interface RegionParts {
  readonly logWriter: LogWriter;
  /** Of each peer region, a reader of its log. */
  readonly logReaders: ReadonlyMap<string, LogReader>;
  readonly hotStore: (shard: number) => HotStore;
  readonly windowQueue: WindowQueue;
  /** Null when the region has no database: then no windows are kept and there is no history. */
  readonly windowStore: WindowStore | null;
  /** Without it what moderators change is recorded nowhere. */
  readonly changeStore?: ChangeStore | null;
}

export interface RegionOptions {
  readonly runtime?: Runtime;
  readonly log?: Log;
  /** How hard the process works. */
  readonly load?: ProcessLoad;
  /** Puts something between edge and aggregator, as separate processes would. */
  readonly between?: (ports: { readonly ingest: Ingest; readonly feed: FrameFeed }) => {
    readonly ingest: Ingest;
    readonly feed: FrameFeed;
  };
}

export interface Region {
  readonly port: number;
  readonly adminPort: number;
  /** Resolves with the reason when another process has taken this region's place; the region must be stopped. */
  readonly fenced: Promise<string>;
  /** Over the time that is configured for it; a region that is fenced, or becomes so meanwhile, goes at once. */
  stop(): Promise<void>;
}

/** Rows that the own log still lacks may be this old before taps are refused: the hot store must keep what it lacks. */
const UNPUBLISHED_ROWS_MS_MAX = COMMIT_RETENTION_MS / 2;
/** Older than this, peers fall behind, and a load balancer should prefer another region. */
const LOG_LATE_MS = 10_000;
/** How long the last viewers that are sent away have for their answers and their goodbye. */
const GRACE_MS = 2_000;
/** How often policies are looked through for what nobody needs any more. */
const COMPACT_POLICIES_MS = 10 * 60_000;
/** How often it is looked for streams that are over. */
const FORGET_STREAMS_MS = 1_000;
/** The share of sockets that are behind is one of at least so many: in a small audience a few bad links are no overload. */
const AUDIENCE_MIN = 100;
/** One that nothing is written about. */
const ANY_STREAM = '' as StreamId;
const VERSION = '0.1.0';

/** The adapters of a real region: NATS with JetStream, and Postgres when a URL is configured. */
export function natsParts(config: Config, log: Log): RegionParts {
  const { region, topology } = config;
  const own = topology.regions.get(region)!.nats;
  const peers = [...topology.regions].filter(([name]) => name !== region);
  const database = config.databaseUrl === null ? null : createPostgresStore({ url: config.databaseUrl, log });
  return {
    logWriter: createNatsLogWriter({ region, address: own }),
    logReaders: new Map(
      peers.map(([name, { peer }]) => [name, createNatsLogReader({ region: name, address: peer, reader: region })]),
    ),
    hotStore: (shard) => createJetstreamStore({ region, shard, shardCount: config.shardCount, address: own, log }),
    windowQueue: createJetstreamWindowQueue({ region, address: own, log }),
    windowStore: database,
    changeStore: database,
  };
}

/** Waits, and says so in the log, while NATS cannot be reached. @throws when a port is taken */
export async function startRegion(
  config: Config,
  makeParts: (config: Config, log: Log) => RegionParts = natsParts,
  options: RegionOptions = {},
): Promise<Region> {
  const { region, shardCount } = config;
  const runtime = options.runtime ?? realRuntime;
  const log = options.log ?? createLog({ region, level: config.logLevel });
  const { logWriter, logReaders, hotStore, windowQueue, windowStore, changeStore = null } = makeParts(config, log);
  const metrics = createMetrics({ region, version: VERSION });
  const trail = changeStore && new AuditTrail({ region, store: changeStore, runtime, log });
  const ended = new EndedStreams((page) => replicator.markDocument(page));
  const plane = createControlPlane({
    base: config.policy,
    clock: runtime.clock,
    log,
    publish: (document) => replicator.markDocument(logKeyOf(document)),
    record: (change) => trail?.add(change),
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
    derivedBefore: () => derivedBefore(),
    clock: runtime.clock,
    log,
    graceMs: config.endedGraceMs,
  });
  const shards: Aggregator[] = [];
  const spreads = new Spreads(shardCount);
  const shardsFor = (stream: StreamId): Aggregator[] => spreads.shardsOf(stream).map((shard) => shards[shard]!);
  let fence: (reason: string) => void = () => {};
  const fenced = new Promise<string>((resolve) => {
    fence = resolve;
  });
  const useless = new AbortController();
  void fenced.then(() => useless.abort());

  const desk = new ClaimsDesk({
    region,
    shardFor: (stream, session) => shards[spreads.shardOfBatch({ stream, session, viewer: '' })]!,
    shardsFor,
    shards: () => shards,
    markDocument: (key) => replicator.markDocument(key),
    heardAt: (peer) => replicator.documentsHeardAt(peer),
    runtime,
    log,
  });
  const startedAt = runtime.clock.now();

  const replicator = createReplicator({
    region,
    ledger,
    runtime,
    log,
    writer: logWriter,
    readers: logReaders,
    documents: [policyDocuments(plane), ends.documents, ...desk.kinds],
    ownViewers: () => broadcaster.ownViewers(),
    currentActors: () => new Map(shards.flatMap(({ actor, sequence }) => (actor === null ? [] : [[actor, sequence]]))),
    onFenced: () => fence('another process writes the log of this region'),
    onIdentityClash: (actor) => fence(`another process counts as ${actor}`),
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
    level: () => ladder.level,
    observeFrameMs: metrics.observeFrameMs,
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
  const persister = windowStore && new Persister({ queue: windowQueue, store: windowStore, runtime, log });
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
      hotStore: hotStore(shard),
      ledger,
      runtime,
      log,
      policyOf,
      admission: () => (windows.full() || replicator.oldestDirtyMs() > UNPUBLISHED_ROWS_MS_MAX ? 'overloaded' : null),
      derivedBefore,
      isOver: (stream) => ends.isOver(stream),
      windowsStoredBefore: () => (aggregator.actor === null ? 0 : windows.storedBefore(aggregator.actor)),
      sessionsHeldFrom: () => {
        const heardAt = Array.from(logReaders.keys(), (peer) => replicator.documentsHeardAt(peer));
        return sessionsHeldFrom(runtime.clock.now(), startedAt, heardAt);
      },
      onCommit: (commit) => {
        keepWindow(commit);
        desk.committed(commit);
      },
      onRecovered: keepWindow,
      onFenced: () => fence(`another process has taken over shard ${shard}`),
      observeCommitMs: metrics.observeCommitMs,
      options: { peers: [...logReaders.keys()] },
    });
    shards.push(aggregator);
  }

  plane.onPolicy((stream) => {
    if (stream !== null) ends.heard(stream);
    for (const shard of stream === null ? shards : shardsFor(stream)) shard.policyChanged(stream);
  });

  const load = options.load ?? createProcessLoad();
  const ladder = new Ladder(runtime, log, () => ({
    ...load.sample(),
    commitLagMs: Math.max(...shards.map((shard) => shard.lagMs())),
    inboxShare: Math.max(...shards.map((shard) => shard.inboxShare)),
    behindShare: edge.stats.behind / Math.max(AUDIENCE_MIN, edge.stats.members),
  }));

  const feed = broadcaster.connectEdge();
  const ports = { ingest: { submit: (batch, done) => shards[spreads.shardOfBatch(batch)]!.submit(batch, done) } satisfies Ingest, feed };
  const edge = await createEdge({
    region,
    config,
    ...(options.between?.(ports) ?? ports),
    history: windowStore && ((query) => readHistory(windowStore, query)),
    flagged: (stream) => Promise.resolve(joinFlagged(shardsFor(stream).map((shard) => shard.flagged(stream)))),
    stored: windowStore && ((stream) => windowStore.stored(stream)),
    peers: () =>
      replicator.peers().map(({ region: peer, connected, stalenessMs, digestEqual, position }) => ({
        region: peer,
        connected,
        staleness_ms: stalenessMs === null ? null : Math.round(stalenessMs),
        digest_equal: digestEqual,
        position,
      })),
    policyOf,
    overload: {
      // Which shard it is for stands in the body.
      postAgainMs: () => (shards.every((shard) => shard.isLate()) ? shards[0]!.retryAfterMs() : null),
      isFull: () => ladder.level === 'static',
    },
    control: { plane, changes: changeStore && ((document, limit) => changeStore.changes(document, limit)) },
    runtime,
    log,
    observeAckMs: metrics.observeAckMs,
  });
  const health = createHealth();
  let started = false;
  health.addReadiness('start', () => (started ? null : 'recovering what was committed before'));
  health.addReadiness('windows', () => (windows.full() ? 'the window queue takes no more windows' : null));
  health.addReadiness('log', () => (replicator.oldestDirtyMs() > LOG_LATE_MS ? 'the own log cannot be written' : null));
  void fenced.then((reason) => health.addLiveness('fence', () => reason));
  const admin = createAdminServer({ host: config.host, port: config.adminPort, health, metrics });

  metrics.registerStats(
    'replicator',
    () => ({ ...replicator.stats, rowsWaiting: replicator.rowsWaiting(), documentsWaiting: replicator.documentsWaiting() }),
    ['rowsWaiting', 'documentsWaiting'],
  );
  metrics.registerGaugePerKey('reactions_peer_staleness_seconds', 'Age of the last word of each peer.', 'peer', () =>
    Object.fromEntries(Object.entries(replicator.staleness()).map(([peer, ms]) => [peer, ms === null ? null : ms / 1000])),
  );
  metrics.registerStats('claims', () => desk.stats, ['claimPages', 'verdictPages', 'verdictsWaiting']);
  metrics.registerStats('broadcaster', () => broadcaster.stats, ['watchedStreams', 'viewers', 'edges']);
  metrics.registerStats('ladder', () => ladder.stats, LADDER_GAUGES);
  metrics.registerStats('windows', () => windows.stats, ['pendingRecords', 'openRecords', 'oldestPendingAgeMs', 'full']);
  if (persister !== null) metrics.registerStats('persister', () => persister.stats, ['recordsBehind', 'oldestAgeMs']);
  metrics.registerStats('edge', () => edge.stats, ['sockets', 'members', 'behind', 'held', 'inFlight', 'postsInFlight', 'arrivalsWaiting']);
  const streamStats = () => ({ held: ledger.streamCount, ended: ends.size, forgotten: ledger.forgottenCount, removalsWaiting: replicator.removalsWaiting() });
  metrics.registerStats('streams', streamStats, ['held', 'ended', 'forgotten', 'removalsWaiting']);
  metrics.registerStats('policies', () => plane.stats, ['documents', 'documentBytes']);
  metrics.registerStats('ended', () => ended.stats, ['listed']);
  metrics.registerStats('control', () => edge.controlStats!, ['sockets']);
  if (trail !== null) metrics.registerStats('audit', () => trail.stats, ['waiting']);
  for (const [shard, aggregator] of shards.entries()) {
    const gauges = [
      'claimsPending', 'claimWorks', 'inbox', 'sessions', 'buckets', 'devices', 'addresses', 'flagged', 'streams', 'sequence', 'recoveredCommits',
      'contributions', 'contributors', 'retractableSeconds',
    ];
    metrics.registerStats('aggregator', () => aggregator.stats, gauges, { shard: String(shard) });
  }

  const stopCompacting = runtime.timers.every(COMPACT_POLICIES_MS, () => plane.compact());
  let stopForgetting = (): void => {};

  const stop = async (): Promise<void> => {
    health.drain();
    const drainMs = started ? (config.drainMs ?? 0) : 0;
    // Until load balancers have seen that it is not ready, they go on sending viewers here.
    await sleep(runtime.timers, drainMs / 2, useless.signal);
    await edge.stop({ drainMs: useless.signal.aborted ? 0 : drainMs / 2, graceMs: GRACE_MS });
    stopCompacting();
    stopForgetting();
    desk.stop();
    await Promise.all(shards.map((shard) => shard.stop()));
    broadcaster.stop();
    ladder.stop();
    load.stop();
    await windows.stop();
    await Promise.all([persister?.stop(), replicator.stop(), trail?.stop()]);
    await Promise.all([windowQueue.close(), windowStore?.close(), admin.stop()]);
    log.info({}, 'the region has stopped');
  };

  try {
    const { port: adminPort } = await admin.listen();
    // Own rows first: the epochs of earlier lives are among them.
    await replicator.recover();
    spreads.read(streamsWithPolicies(plane), (stream) => policyOf(stream).spread, policyOf(ANY_STREAM).spread);
    // Before shards read their journals back, in which streams stand that are over.
    ends.sweep();
    stopForgetting = runtime.timers.every(FORGET_STREAMS_MS, () => ends.sweep());
    await Promise.all(shards.map((shard) => shard.start()));
    // What is pending is published before peers are heard, whose verdicts are about it.
    desk.start();
    replicator.start();
    broadcaster.start();
    windows.start();
    persister?.start();
    const { port } = await edge.listen();
    ladder.start();
    started = true;
    log.info({ port, adminPort, shards: shardCount, database: windowStore !== null }, 'the region is ready');
    return { port, adminPort, fenced, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
