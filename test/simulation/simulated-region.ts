/**
 * One region of the simulation: its servers, which stay, and its processes, which come and go.
 *
 * A life is the core of a region as real ones run it (`src/region-core.ts`), on servers and a clock that fail. What fences a life ends it,
 * and a supervisor starts the next one.
 */

import type { StreamId } from '../../crdt/ids.ts';
import type { Ledger } from '../../crdt/ledger.ts';
import type { Replicator } from '../../regions/replicator.ts';
import type { Log } from '../../regions/runtime.ts';
import type { Aggregator } from '../../src/aggregator/aggregator.ts';
import type { ClaimsDesk } from '../../src/aggregator/claims-desk.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import type { WindowPublisher } from '../../src/analytics/window-publisher.ts';
import type { Frame } from '../../src/broadcaster/frame-feed.ts';
import type { ControlPlane } from '../../src/moderation/control-plane.ts';
import type { BasePolicy } from '../../src/moderation/policy.ts';
import { createRegionCore, type RegionCore } from '../../src/region-core.ts';
import { REQUESTS } from './faults.ts';
import { SimulatedProcess, type CrashPoint } from './process.ts';
import { JournalServer, QueueServer, type DatabaseServer, type LogServer, type Machine } from './servers.ts';

const RESTART_MS = 400;
/** Streams that ended are over after this long: later than all faults, and than all has settled. */
export const ENDED_GRACE_MS = 60_000;
/** Journals that a region may have: shards that it does not have any more left theirs. */
export const SHARDS_MAX = 3;

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
  readonly ledger: Ledger;
  readonly plane: ControlPlane;
  readonly replicator: Replicator;
  readonly desk: ClaimsDesk;
  readonly windows: WindowPublisher;
  readonly shards: readonly Aggregator[];
  fencedBy: string | null = null;
  started = false;
  readonly #core: RegionCore;
  readonly #world: RegionWorld;
  #stopped: Promise<void> | null = null;

  constructor(world: RegionWorld, region: SimulatedRegion, number: number, onFenced: (life: Life) => void) {
    this.#world = world;
    this.region = region.name;
    this.number = number;
    const { runtime } = world;
    const process = new SimulatedProcess(runtime, Math.floor(runtime.random.next() * 2 ** 32), region.clockOffsetMs);
    this.process = process;
    const log: Log = {
      debug() {},
      info() {},
      warn: (fields, message) => world.witness.logged(this, 'warn', fields, message),
      error: (fields, message) => world.witness.logged(this, 'error', fields, message),
    };
    const peers = world.regions.filter((peer) => peer !== region.name);
    this.#core = createRegionCore({
      region: region.name,
      shardCount: region.shardCount,
      base: world.base,
      endedGraceMs: ENDED_GRACE_MS,
      runtime: process,
      log,
      logWriter: region.log.writer(process),
      logReaders: new Map(peers.map((peer) => [peer, world.logs.get(peer)!.reader(process, region.name)])),
      hotStore: (shard) => region.journals[shard]!.connect(process, region.journals, region.shardCount),
      windowQueue: region.queue.connect(process),
      windowStore: world.database.connect(process),
      onFenced: (by) => {
        if (!process.alive || this.fencedBy !== null) return;
        this.fencedBy = by;
        onFenced(this);
      },
      options: {
        // Slower than in life, because the simulation pays for every tick.
        replication: { tickMs: 100 },
        broadcaster: { frameMs: 400 },
        // A whole state takes several commits then, as it does in life.
        aggregator: { inboxMax: 256, contributionsMax: 50_000, commitBytesMax: 3_000 },
      },
    });
    const { ledger, plane, replicator, desk, windows, shards } = this.#core;
    this.ledger = ledger;
    this.plane = plane;
    this.replicator = replicator;
    this.desk = desk;
    this.windows = windows;
    this.shards = shards;
  }

  get serves(): boolean {
    return this.started && this.process.alive && this.#stopped === null;
  }

  async start(): Promise<void> {
    try {
      await this.#core.start();
    } catch (error) {
      // Stopped while it started.
      if (this.#stopped !== null) return;
      throw error;
    }
    if (this.#stopped !== null) return;
    const feed = this.#core.broadcaster.connectEdge();
    feed.onFrame((frame) => this.#world.witness.frame(this, frame));
    for (const stream of this.#world.streams) feed.watch(stream, 3);
    this.started = true;
  }

  submit(batch: Batch, done: (reply: IngestReply) => void): void {
    this.#core.ingest.submit(batch, (reply) => {
      if (this.process.alive) done(reply);
    });
  }

  /** As a service manager asks for it. */
  stop(): Promise<void> {
    this.#stopped ??= this.#core.stop();
    return this.#stopped;
  }
}

export class SimulatedRegion {
  readonly name: string;
  readonly log: LogServer;
  /** Of all shards that it may have. */
  readonly journals: readonly JournalServer[];
  /** Of the next life. */
  shardCount: number;
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
    this.shardCount = world.shardCount;
    this.journals = Array.from({ length: SHARDS_MAX }, () => new JournalServer(world));
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

  /** Dies now, whatever it is doing; `counted` under that name. */
  crash(downMs: number, counted = 'crash'): void {
    const life = this.current;
    if (life === null) return this.#down(downMs);
    this.#world.counters.add(counted);
    life.process.kill();
    this.#down(downMs);
  }

  /** Dies at that point: the life that starts, the one that runs, or the one that stops, as its request has it. */
  dieAt(point: CrashPoint, downMs: number): void {
    const happens = (requests: readonly string[]): boolean => requests.includes(point.request);
    if (happens(REQUESTS.start)) {
      this.nextCrashPoint = point;
      return this.crash(downMs);
    }
    if (this.current !== null) this.current.process.crashPoint = point;
    if (happens(REQUESTS.stop)) this.restart(downMs);
  }

  /** Ends as it is meant to, and is started again. `between` is called when nobody is there. */
  restart(downMs: number, between: () => void = () => {}): void {
    const life = this.current;
    if (life === null || life.process.paused) return;
    this.current = null;
    void this.#end(life).then(() => {
      if (this.current === null) between();
      if (this.current === null) this.#down(downMs);
    });
    this.#world.counters.add('clean restart');
  }

  /** Stands still, and another takes its place after a while; it wakes later. `before` is called when the other is about to start. */
  takeOver(afterMs: number, wakeMs: number, pauses: boolean, before: () => void = () => {}): void {
    const life = this.current;
    if (life === null || !life.started || life.process.paused) return;
    const { runtime, counters } = this.#world;
    if (pauses) life.process.pause();
    runtime.timers.after(afterMs, () => {
      if (this.current !== life || !life.process.alive) return life.process.resume();
      counters.add(pauses ? 'taken over while paused' : 'taken over while alive');
      this.zombies.add(life);
      before();
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
