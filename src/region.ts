/**
 * The composition root: builds one region from its configuration, starts it in order, stops it in order.
 *
 * Start: the core (`region-core.ts`) → the edge listens. Stop: not ready, but serving until load balancers have noticed → edge
 * drained → core stopped → closed.
 * This and `cli/` are the only places that choose adapters.
 */

import type { LogReader, LogWriter } from '../regions/log.ts';
import { createNatsLogReader, createNatsLogWriter } from '../regions/nats-log.ts';
import { sleep, type Log, type Runtime } from '../regions/runtime.ts';
import type { Ingest } from './aggregator/ingest.ts';
import { joinFlagged } from './aggregator/spread.ts';
import { readHistory } from './analytics/history.ts';
import { createJetstreamWindowQueue } from './analytics/jetstream-window-queue.ts';
import { AuditTrail, type ChangeStore } from './analytics/policy-changes.ts';
import { createPostgresStore } from './analytics/postgres-store.ts';
import type { WindowQueue } from './analytics/window-queue.ts';
import type { WindowStore } from './analytics/window-store.ts';
import { createProcessLoad, type ProcessLoad } from './base/process-load.ts';
import { realRuntime, wallClockAheadMs } from './base/runtime.ts';
import { VERSION } from './base/version.ts';
import type { FrameFeed } from './broadcaster/frame-feed.ts';
import { LADDER_GAUGES, Ladder } from './broadcaster/ladder.ts';
import type { Config } from './config.ts';
import { createEdge } from './edge/server.ts';
import type { HotStore } from './hot-store/hot-store.ts';
import { createJetstreamStore } from './hot-store/jetstream-store.ts';
import { logKeyOf } from './moderation/policy-documents.ts';
import { createAdminServer } from './observability/admin-server.ts';
import { createHealth } from './observability/health.ts';
import { createLog } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';
import { createRegionCore } from './region-core.ts';

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

/** Older than this, peers fall behind, and a load balancer should prefer another region. */
const LOG_LATE_MS = 10_000;
/** So far off, windows are stored under the wrong seconds; looked at once a minute. */
const CLOCK_OFF_MS = 2_000;
const CLOCK_CHECK_MS = 60_000;
/** How long the last viewers that are sent away have for their answers and their goodbye. */
const GRACE_MS = 2_000;
/** The share of sockets that are behind is one of at least so many: in a small audience a few bad links are no overload. */
const AUDIENCE_MIN = 100;

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
  let fence: (reason: string) => void = () => {};
  const fenced = new Promise<string>((resolve) => {
    fence = resolve;
  });
  const useless = new AbortController();
  void fenced.then(() => useless.abort());

  const core = createRegionCore({
    region,
    shardCount,
    base: config.policy,
    endedGraceMs: config.endedGraceMs,
    runtime,
    log,
    logWriter,
    logReaders,
    hotStore,
    windowQueue,
    windowStore,
    record: (change) => trail?.add(change),
    onFenced: (_, reason) => fence(reason),
    level: () => ladder.level,
    observeFrameMs: metrics.observeFrameMs,
    observeCommitMs: metrics.observeCommitMs,
  });
  const { plane, replicator, windows, persister, shardsFor } = core;

  const { shards } = core;
  const load = options.load ?? createProcessLoad();
  const ladder = new Ladder(runtime, log, () => ({
    ...load.sample(),
    commitLagMs: Math.max(...shards.map((shard) => shard.lagMs())),
    inboxShare: Math.max(...shards.map((shard) => shard.inboxShare)),
    behindShare: edge.stats.behind / Math.max(AUDIENCE_MIN, edge.stats.members),
  }));

  const ports = { ingest: core.ingest, feed: core.broadcaster.connectEdge() };
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
    policyOf: plane.policyOf,
    overload: {
      // Which shard it is for stands in the body.
      postAgainMs: () => (shards.every((shard) => shard.isLate()) ? shards[0]!.retryAfterMs() : null),
      isFull: () => ladder.level === 'static',
    },
    control: { plane, isKept: (document) => replicator.holdsDocument(logKeyOf(document)), changes: changeStore && ((document, limit) => changeStore.changes(document, limit)) },
    runtime,
    log,
    observeAckMs: metrics.observeAckMs,
  });
  const health = createHealth();
  let started = false;
  health.addReadiness('start', () => (started ? null : 'recovering what was committed before'));
  health.addReadiness('windows', () => (windows.full() ? 'the window queue takes no more windows' : null));
  health.addReadiness('log', () => (Math.max(replicator.oldestDirtyMs(), replicator.silentMs()) > LOG_LATE_MS ? 'the own log cannot be written' : null));
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
  metrics.registerStats('wall_clock', () => ({ aheadMs: wallClockAheadMs(runtime.clock) }), ['aheadMs']);
  const stopWatchingClock = runtime.timers.every(CLOCK_CHECK_MS, () => {
    const aheadMs = Math.round(wallClockAheadMs(runtime.clock));
    if (Math.abs(aheadMs) > CLOCK_OFF_MS) log.warn({ aheadMs }, 'the wall clock is not where it was at the start: restart this process, so that windows are stored under the right seconds');
  });
  metrics.registerStats('claims', () => core.desk.stats, ['claimPages', 'verdictPages', 'verdictsWaiting']);
  metrics.registerStats('broadcaster', () => core.broadcaster.stats, ['watchedStreams', 'viewers', 'edges']);
  metrics.registerStats('ladder', () => ladder.stats, LADDER_GAUGES);
  metrics.registerStats('windows', () => windows.stats, ['pendingRecords', 'openRecords', 'oldestPendingAgeMs', 'unstoredRecords', 'full']);
  if (persister !== null) metrics.registerStats('persister', () => persister.stats, ['recordsBehind', 'oldestAgeMs']);
  metrics.registerStats('edge', () => edge.stats, ['sockets', 'members', 'behind', 'roomsWaiting', 'visitsWaiting', 'held', 'inFlight', 'postsInFlight', 'arrivalsWaiting']);
  const { ledger, ends } = core;
  const streamStats = () => ({ held: ledger.streamCount, ended: ends.size, forgotten: ledger.forgottenCount, removalsWaiting: replicator.removalsWaiting() });
  metrics.registerStats('streams', streamStats, ['held', 'ended', 'forgotten', 'removalsWaiting']);
  metrics.registerStats('policies', () => plane.stats, ['documents', 'documentBytes']);
  metrics.registerStats('ended', () => core.ended.stats, ['listed']);
  metrics.registerStats('control', () => edge.controlStats!, ['sockets']);
  if (trail !== null) metrics.registerStats('audit', () => trail.stats, ['waiting']);
  for (const [shard, aggregator] of core.shards.entries()) {
    const gauges = [
      'claimsPending', 'claimWorks', 'inbox', 'sessions', 'buckets', 'devices', 'addresses', 'flagged', 'streams', 'sequence', 'recoveredCommits',
      'contributions', 'contributors', 'retractableSeconds',
    ];
    metrics.registerStats('aggregator', () => aggregator.stats, gauges, { shard: String(shard) });
  }

  const stop = async (): Promise<void> => {
    health.drain();
    const drainMs = started ? (config.drainMs ?? 0) : 0;
    // Until load balancers have seen that it is not ready, they go on sending viewers here.
    await sleep(runtime.timers, drainMs / 2, useless.signal);
    await edge.stop({ drainMs: useless.signal.aborted ? 0 : drainMs / 2, graceMs: GRACE_MS });
    ladder.stop();
    load.stop();
    stopWatchingClock();
    await Promise.all([core.stop(), trail?.stop()]);
    await Promise.all([windowQueue.close(), windowStore?.close(), admin.stop()]);
    log.info({}, 'the region has stopped');
  };

  try {
    const { port: adminPort } = await admin.listen();
    await core.start();
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
