/**
 * One region of the simulation: its servers, which stay, and its processes, which come and go.
 *
 * A life is composed of the real parts as `src/region.ts` composes them, without sockets; whoever changes the
 * one changes the other. What fences a life ends it, and a supervisor starts the next one.
 */

import type { StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { createReplicator, type Replicator } from '../../regions/replicator.ts';
import type { Log } from '../../regions/runtime.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import { ClaimsDesk } from '../../src/aggregator/claims-desk.ts';
import { sessionsHeldFrom } from '../../src/aggregator/claims-horizon.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import { shardOf } from '../../src/aggregator/shards.ts';
import { Persister } from '../../src/analytics/persister.ts';
import { WindowPublisher } from '../../src/analytics/window-publisher.ts';
import { createBroadcaster, type Broadcaster } from '../../src/broadcaster/broadcaster.ts';
import type { Frame } from '../../src/broadcaster/frame-feed.ts';
import { COMMIT_RETENTION_MS } from '../../src/hot-store/hot-store.ts';
import { createControlPlane, type ControlPlane } from '../../src/moderation/control-plane.ts';
import type { BasePolicy } from '../../src/moderation/policy.ts';
import { logKeyOf, policyDocuments } from '../../src/moderation/policy-documents.ts';
import { SimulatedProcess, type CrashPoint } from './process.ts';
import { JournalServer, QueueServer, type DatabaseServer, type LogServer, type Machine } from './servers.ts';

const UNPUBLISHED_ROWS_MS_MAX = COMMIT_RETENTION_MS / 2;
const RESTART_MS = 400;

/** What the simulation hears of a life. */
export interface Witness {
  frame(life: Life, frame: Frame): void;
  /** The next life begins; an earlier one may go on. */
  booting(region: SimulatedRegion): void;
  /** It does nothing any more. */
  ended(life: Life): void;
  /** An error that the code logged; what is a mistake of the program is a violation. */
  logged(life: Life, level: 'warn' | 'error', fields: object, message: string): void;
}

export interface RegionWorld extends Machine {
  readonly regions: readonly string[];
  readonly streams: readonly StreamId[];
  readonly shardCount: number;
  readonly base: BasePolicy;
  readonly database: DatabaseServer;
  readonly witness: Witness;
  /** The logs of all regions. */
  readonly logs: ReadonlyMap<string, LogServer>;
}

export class Life {
  readonly region: string;
  readonly number: number;
  readonly process: SimulatedProcess;
  readonly ledger = new Ledger();
  readonly plane: ControlPlane;
  readonly replicator: Replicator;
  readonly desk: ClaimsDesk;
  readonly broadcaster: Broadcaster;
  readonly windows: WindowPublisher;
  readonly persister: Persister;
  readonly shards: Aggregator[] = [];
  fencedBy: string | null = null;
  started = false;
  readonly #world: RegionWorld;
  #stopped: Promise<void> | null = null;

  constructor(world: RegionWorld, region: SimulatedRegion, number: number, onFenced: (life: Life) => void) {
    this.#world = world;
    this.region = region.name;
    this.number = number;
    const { runtime, shardCount } = world;
    const process = new SimulatedProcess(runtime, Math.floor(runtime.random.next() * 2 ** 32), region.clockOffsetMs);
    this.process = process;
    const { ledger } = this;
    const log: Log = {
      debug() {},
      info() {},
      warn: (fields, message) => world.witness.logged(this, 'warn', fields, message),
      error: (fields, message) => world.witness.logged(this, 'error', fields, message),
    };
    const fence = (reason: string): void => {
      if (!process.alive || this.fencedBy !== null) return;
      this.fencedBy = reason;
      onFenced(this);
    };
    const shardFor = (stream: StreamId): Aggregator => this.shards[shardOf(stream, shardCount)]!;
    this.plane = createControlPlane({
      base: world.base,
      clock: process.clock,
      log,
      publish: (document) => this.replicator.markDocument(logKeyOf(document)),
    });
    const { policyOf } = this.plane;
    this.desk = new ClaimsDesk({
      region: region.name,
      shardFor,
      shards: () => this.shards,
      markDocument: (key) => this.replicator.markDocument(key),
      heardAt: (peer) => this.replicator.documentsHeardAt(peer),
      runtime: process,
      log,
    });
    const startedAt = process.clock.now();
    const peers = world.regions.filter((peer) => peer !== region.name);
    this.replicator = createReplicator({
      region: region.name,
      ledger,
      runtime: process,
      log,
      writer: region.log.writer(process),
      readers: new Map(peers.map((peer) => [peer, world.logs.get(peer)!.reader(process, region.name)])),
      documents: [policyDocuments(this.plane), ...this.desk.kinds],
      ownViewers: () => this.broadcaster.ownViewers(),
      currentActors: () => new Map(this.shards.flatMap(({ actor, sequence }) => (actor === null ? [] : [[actor, sequence]]))),
      onFenced: () => fence('log'),
      onIdentityClash: () => fence('identity'),
      // Slower than in life, because the simulation pays for every tick.
      options: { tickMs: 100 },
    });
    this.broadcaster = createBroadcaster({
      region: region.name,
      ledger,
      runtime: process,
      policyOf,
      staleness: () => this.replicator.staleness(),
      peerViewers: (stream) => this.replicator.viewers(stream),
      currentActors: (stream) => [shardFor(stream).actor ?? ''],
      acknowledged: (stream) => shardFor(stream).acknowledged(stream),
      options: { frameMs: 400 },
    });
    const queue = region.queue.connect(process);
    this.windows = new WindowPublisher({
      queue,
      runtime: process,
      log,
      viewersOf: (stream) => this.broadcaster.viewers(stream),
      reachedBy: (actor) => {
        const own = this.shards.find((shard) => shard.actor === actor);
        // Earlier lives are over, also those whose clock was ahead of this one.
        return own === undefined ? Infinity : (own.inFlightSince() ?? process.clock.now());
      },
    });
    this.persister = new Persister({ queue, store: world.database.connect(process), runtime: process, log });
    for (let shard = 0; shard < shardCount; shard++) {
      const aggregator: Aggregator = createAggregator({
        region: region.name,
        shard,
        owns: (stream) => shardOf(stream, shardCount) === shard,
        hotStore: region.journals[shard]!.connect(process),
        ledger,
        runtime: process,
        log,
        policyOf,
        admission: () => (this.windows.full() || this.replicator.oldestDirtyMs() > UNPUBLISHED_ROWS_MS_MAX ? 'overloaded' : null),
        derivedBefore: () => Math.min(this.windows.queuedBefore(), process.clock.now() - this.replicator.oldestDirtyMs()),
        windowsStoredBefore: () => (aggregator.actor === null ? 0 : this.windows.storedBefore(aggregator.actor)),
        sessionsHeldFrom: () => {
          const heardAt = peers.map((peer) => this.replicator.documentsHeardAt(peer));
          return sessionsHeldFrom(process.clock.now(), startedAt, heardAt);
        },
        onCommit: (commit) => {
          this.windows.add(commit);
          this.desk.committed(commit);
        },
        onRecovered: (commit) => this.windows.add(commit),
        onFenced: () => fence(`shard ${shard}`),
        options: { peers, inboxMax: 256, contributionsMax: 50_000 },
      });
      this.shards.push(aggregator);
    }
    this.plane.onPolicy((stream) => {
      for (const shard of stream === null ? this.shards : [shardFor(stream)]) shard.policyChanged(stream);
    });
  }

  get serves(): boolean {
    return this.started && this.process.alive && this.#stopped === null;
  }

  async start(): Promise<void> {
    try {
      await this.replicator.recover();
      await Promise.all(this.shards.map((shard) => shard.start()));
    } catch (error) {
      // Stopped while it started.
      if (this.#stopped !== null) return;
      throw error;
    }
    if (this.#stopped !== null) return;
    this.desk.start();
    this.replicator.start();
    this.broadcaster.start();
    this.windows.start();
    this.persister.start();
    const feed = this.broadcaster.connectEdge();
    feed.onFrame((frame) => this.#world.witness.frame(this, frame));
    for (const stream of this.#world.streams) feed.watch(stream, 3);
    this.started = true;
  }

  submit(batch: Batch, done: (reply: IngestReply) => void): void {
    this.shards[shardOf(batch.stream, this.#world.shardCount)]!.submit(batch, (reply) => {
      if (this.process.alive) done(reply);
    });
  }

  /** As a service manager asks for it. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.desk.stop();
    await Promise.all(this.shards.map((shard) => shard.stop()));
    this.broadcaster.stop();
    await this.windows.stop();
    await Promise.all([this.persister.stop(), this.replicator.stop()]);
  }
}

export class SimulatedRegion {
  readonly name: string;
  readonly log: LogServer;
  readonly journals: readonly JournalServer[];
  readonly queue: QueueServer;
  /** What the wall clock of its machine is off by. */
  clockOffsetMs = 0;
  /** Who serves now; null while nobody does. */
  current: Life | null = null;
  /** Paused, with another in their place. */
  readonly zombies = new Set<Life>();
  readonly #world: RegionWorld;
  /** Where the next life dies. */
  nextCrashPoint: CrashPoint | null = null;
  #lives = 0;
  #cancelRestart: (() => void) | null = null;

  constructor(world: RegionWorld, name: string) {
    this.#world = world;
    this.name = name;
    this.log = world.logs.get(name)!;
    this.journals = Array.from({ length: world.shardCount }, () => new JournalServer(world));
    this.queue = new QueueServer(world);
  }

  boot(): Life {
    this.#cancelRestart?.();
    this.#cancelRestart = null;
    this.#world.witness.booting(this);
    const life = new Life(this.#world, this, ++this.#lives, (fenced) => this.#fenced(fenced));
    life.process.crashPoint = this.nextCrashPoint;
    this.nextCrashPoint = null;
    life.process.onKill((point) => {
      this.#world.witness.ended(life);
      if (point !== null) this.#world.counters.add(`crash ${point.phase} ${point.request}`);
      this.zombies.delete(life);
      // Also one that dies while it stops.
      if (life === this.current || this.current === null) this.#down(RESTART_MS);
    });
    this.current = life;
    void life.start();
    return life;
  }

  /** Dies now, whatever it is doing. */
  crash(downMs: number): void {
    const life = this.current;
    if (life === null) return this.#down(downMs);
    this.#world.counters.add('crash');
    life.process.kill();
    this.#down(downMs);
  }

  /** Ends as it is meant to, and is started again. */
  restart(downMs: number): void {
    const life = this.current;
    if (life === null || life.process.paused) return;
    this.current = null;
    void this.#end(life).then(() => {
      if (this.current === null) this.#down(downMs);
    });
    this.#world.counters.add('clean restart');
  }

  /** Stands still, and another takes its place after a while; it wakes later. */
  takeOver(afterMs: number, wakeMs: number, pauses: boolean): void {
    const life = this.current;
    if (life === null || !life.started || life.process.paused) return;
    const { runtime, counters } = this.#world;
    if (pauses) life.process.pause();
    runtime.timers.after(afterMs, () => {
      if (this.current !== life || !life.process.alive) return life.process.resume();
      counters.add(pauses ? 'taken over while paused' : 'taken over while alive');
      this.zombies.add(life);
      this.boot();
    });
    if (!pauses) return;
    runtime.timers.after(afterMs + wakeMs, () => {
      if (life.process.alive) counters.add('zombie woke');
      life.process.resume();
    });
  }

  pause(forMs: number): void {
    const life = this.current;
    if (life === null || life.process.paused) return;
    this.#world.counters.add('paused');
    life.process.pause();
    this.#world.runtime.timers.after(forMs, () => life.process.resume());
  }

  #fenced(life: Life): void {
    this.#world.counters.add(`fenced by ${life.fencedBy?.replace(/ .*/, '')}`);
    this.zombies.delete(life);
    if (this.current === life) this.current = null;
    void this.#end(life).then(() => {
      if (this.current === null) this.#down(RESTART_MS);
    });
  }

  async #end(life: Life): Promise<void> {
    await life.stop();
    if (life.process.alive && life.process.pendingTimers > 0) this.#world.counters.add('timers left by a stop', life.process.pendingTimers);
    life.process.kill();
  }

  #down(forMs: number): void {
    this.current = null;
    this.#cancelRestart?.();
    this.#cancelRestart = this.#world.runtime.timers.after(forMs, () => {
      if (this.current === null) this.boot();
    });
  }
}
