/**
 * A world of regions for the replicator's tests: ledgers, replicators and logs on virtual time, and the
 * truth that they must agree on. Each region counts as one actor; a restart begins a new epoch.
 */

import { mintEpoch, actorId, parseActorId, type ActorId } from '../../crdt/actor.ts';
import { parseEmojiId, parseStreamId, type StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Row } from '../../crdt/row.ts';
import { LogUnavailable, type LogMessage, type LogReader, type LogWriter } from '../../regions/log.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../regions/memory-log.ts';
import type { ReplicationOptions } from '../../regions/replication.ts';
import { createReplicator, type Replicator } from '../../regions/replicator.ts';
import type { Log, Runtime } from '../../regions/runtime.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { Notes, Pages } from './document-owners.ts';

export const REGIONS = ['us', 'eu', 'ap'] as const;
export const SILENT_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** One life of a region's process. */
export class RegionProcess {
  readonly name: string;
  readonly ledger = new Ledger();
  readonly replicator: Replicator;
  readonly viewers = new Map<StreamId, number>();
  readonly notes = new Notes((key) => this.#mark(key));
  readonly pages: Pages;
  readonly clashes: ActorId[] = [];
  /** Set once this life begins to count. */
  actor: ActorId | null = null;
  sequence = 0;
  fenced = false;
  #alive = true;

  constructor(
    name: string,
    runtime: Runtime,
    writer: LogWriter,
    readers: ReadonlyMap<string, LogReader>,
    options: Partial<ReplicationOptions> = {},
    knowsDocuments = true,
  ) {
    this.name = name;
    this.pages = new Pages(name, (key) => this.#mark(key));
    this.replicator = createReplicator({
      region: name,
      ledger: this.ledger,
      writer: this.#mortal(writer),
      readers,
      runtime,
      log: SILENT_LOG,
      ownViewers: () => this.viewers,
      currentActors: () => new Map(this.actor === null ? [] : [[this.actor, this.sequence]]),
      onFenced: () => {
        this.fenced = true;
      },
      onIdentityClash: (actor) => {
        this.clashes.push(actor);
        this.actor = null;
      },
      options,
      ...(knowsDocuments ? { documents: [this.notes, this.pages] } : {}),
    });
  }

  #mark(key: string): void {
    this.replicator.markDocument(key);
  }

  /** Recovers, takes an epoch that nobody had, and starts. */
  async boot(now: () => number): Promise<void> {
    await this.replicator.recover();
    this.begin(now());
    this.replicator.start();
  }

  begin(nowMs: number, epoch?: number): void {
    const epochs = [...this.ledger.actors()].map(parseActorId).filter(({ region }) => region === this.name);
    this.actor = actorId({
      region: this.name,
      shard: 0,
      epoch: epoch ?? mintEpoch(nowMs, epochs.map((known) => known.epoch)),
    });
    this.sequence = this.ledger.sequence(this.actor);
  }

  /** Counts taps as this life's actor, as a commit would. */
  count(stream: string, emoji: string, taps: number, retracted = 0): Row {
    if (this.actor === null) throw new Error(`${this.name} counts nothing now`);
    const streamId = parseStreamId(stream);
    const emojiId = parseEmojiId(emoji);
    const held = this.ledger.row({ stream: streamId, actor: this.actor })?.entries ?? [];
    const entry = held.find((candidate) => candidate.emoji === emojiId) ?? { increments: 0, decrements: 0 };
    const row: Row = {
      stream: streamId,
      actor: this.actor,
      sequence: ++this.sequence,
      entries: [
        ...held.filter((candidate) => candidate.emoji !== emojiId),
        { emoji: emojiId, increments: entry.increments + taps, decrements: entry.decrements + retracted },
      ],
    };
    this.ledger.join(row);
    return row;
  }

  /** From now on its appends reach nothing, as after `kill -9`. */
  async kill(): Promise<void> {
    this.#alive = false;
    await this.replicator.stop();
  }

  #mortal(writer: LogWriter): LogWriter {
    const living = (): void => {
      if (!this.#alive) throw new LogUnavailable('the process is dead');
    };
    return {
      open: async (visit) => {
        living();
        return writer.open(visit);
      },
      append: async (messages) => {
        living();
        return writer.append(messages);
      },
      remove: async (keys) => {
        living();
        return writer.remove(keys);
      },
      close: () => writer.close(),
    };
  }
}

/** Changes or drops messages between a log and its reader: what a broker does when it loses some. */
export type Tamper = (reader: string, log: string, message: LogMessage) => LogMessage | null;

export class World {
  readonly runtime: SimulatedRuntime;
  readonly network: MemoryNetwork;
  readonly processes = new Map<string, RegionProcess>();
  /** stream/emoji → taps that count. */
  readonly truth = new Map<string, number>();
  /** Regions whose build is too old to know of documents; they must have none. */
  readonly old = new Set<string>();
  tamper: Tamper | null = null;
  readonly #options: Partial<ReplicationOptions>;

  constructor(seed: number, options: Partial<ReplicationOptions> = {}, logBytesMax?: number) {
    this.runtime = createSimulatedRuntime(seed);
    this.network = createMemoryNetwork(this.runtime, logBytesMax === undefined ? {} : { logBytesMax });
    this.#options = options;
  }

  static async of(seed: number, options?: Partial<ReplicationOptions>, logBytesMax?: number): Promise<World> {
    const world = new World(seed, options, logBytesMax);
    for (const name of REGIONS) await world.boot(name);
    return world;
  }

  /** Cuts a link both ways. */
  cut(a: string, b: string): void {
    this.network.cut(a, b);
    this.network.cut(b, a);
  }

  heal(a: string, b: string): void {
    this.network.heal(a, b);
    this.network.heal(b, a);
  }

  /** The keys that a region's log holds. */
  keysOf(region: string): string[] {
    return this.network.log(region).snapshot().messages.map(({ key }) => key);
  }

  /** A process of the region, not yet booted. */
  create(name: string): RegionProcess {
    const readers = new Map(
      REGIONS.filter((peer) => peer !== name).map((peer) => [peer, this.#tampered(name, peer, this.network.reader(peer, name))]),
    );
    const process = new RegionProcess(name, this.runtime, this.network.writer(name), readers, this.#options, !this.old.has(name));
    this.processes.set(name, process);
    return process;
  }

  async boot(name: string): Promise<RegionProcess> {
    const process = this.create(name);
    await this.runtime.settle(process.boot(() => this.runtime.clock.now()));
    return process;
  }

  async kill(name: string): Promise<void> {
    await this.runtime.settle(this.process(name).kill());
    this.processes.delete(name);
  }

  process(name: string): RegionProcess {
    const process = this.processes.get(name);
    if (process === undefined) throw new Error(`${name} is down`);
    return process;
  }

  count(name: string, stream: string, emoji: string, taps: number, retracted = 0): void {
    this.process(name).count(stream, emoji, taps, retracted);
    const key = `${stream}/${emoji}`;
    this.truth.set(key, (this.truth.get(key) ?? 0) + taps - retracted);
  }

  /** Counts at random in every living region, `rounds` times, with time passing in between. */
  async crowd(rounds: number, streams = 5): Promise<void> {
    const { random } = this.runtime;
    const pick = (below: number): number => Math.floor(random.next() * below);
    for (let round = 0; round < rounds; round++) {
      for (const [name, { actor }] of this.processes) {
        if (actor === null) continue;
        this.count(name, `s${pick(streams)}`, `e${pick(3)}`, 1 + pick(9), pick(10) === 0 ? 1 : 0);
      }
      await this.runtime.runFor(pick(60));
    }
  }

  /** Every living region holds the truth, to the tap, and the same entries behind it. */
  converged(): boolean {
    const processes = [...this.processes.values()];
    return (
      REGIONS.every((region) => new Set(processes.map(({ ledger }) => ledger.regionDigest(region))).size === 1) &&
      processes.every(({ ledger }) => this.difference(ledger) === null)
    );
  }

  /** Where a ledger differs from the truth; null where it does not. */
  difference(ledger: Ledger): string | null {
    for (const [key, taps] of this.truth) {
      const [stream, emoji] = key.split('/');
      const held = ledger.tally(parseStreamId(stream))?.counter(parseEmojiId(emoji))?.value ?? 0;
      if (held !== taps) return `${key}: ${held} instead of ${taps}`;
    }
    return null;
  }

  /** Every living region that knows of documents has the same notes, and each other's pages. */
  documentsConverged(): boolean {
    const processes = [...this.processes.values()].filter(({ name }) => !this.old.has(name));
    return (
      new Set(processes.map(({ notes }) => notes.toString())).size === 1 &&
      processes.every((owner) => new Set(processes.map(({ pages }) => pages.of(owner.name))).size === 1)
    );
  }

  async converge(limitMs = 30_000): Promise<number> {
    const from = this.runtime.clock.now();
    await this.runtime.runUntil(() => this.converged(), limitMs);
    return this.runtime.clock.now() - from;
  }

  async stop(): Promise<void> {
    for (const process of this.processes.values()) await this.runtime.settle(process.replicator.stop());
  }

  #tampered(reader: string, log: string, inner: LogReader): LogReader {
    return {
      follow: (from, visitor, signal) =>
        inner.follow(
          from,
          {
            started: (position) => visitor.started(position),
            batch: (messages, position) => {
              const { tamper } = this;
              const passed = tamper === null ? messages : messages.flatMap((message) => tamper(reader, log, message) ?? []);
              visitor.batch(passed, position);
            },
          },
          signal,
        ),
    };
  }
}
