/**
 * The log port in memory, and the network between regions as a toy: `createMemoryNetwork` gives every
 * region a log, its writer, and readers over links that can be cut, slowed and healed, one way at a time.
 *
 * It fails in the ways of the real one: it compacts, it can be wiped, rolled back, unavailable and full,
 * an append may be kept and yet rejected, readers hear nothing on a cut link and give up after a while.
 * Simulations run on it, and so does `ovation dev` where there is no nats-server: bounded and quick.
 */

import { CompactedLog, type LogSnapshot } from './compacted-log.ts';
import { LogFenced, LogRefused, LogUnavailable, OVERTAKEN_MAX, assertKey } from './log.ts';
import type { LogAppend, LogMessage, LogPosition, LogReader, LogWriter } from './log.ts';
import { MemoryLogReader, type Connected, type Link, type ReadableServer } from './memory-reader.ts';
import type { Runtime } from './runtime.ts';

const LOG_BYTES_MAX = 256 * 1024 * 1024;

export interface MemoryLink {
  /** Whose log it carries. */
  readonly from: string;
  readonly to: string;
  readonly cut: boolean;
  readonly delayMs: number;
}

/** One region's log from the outside: the faults that a test or an operator can cause. */
export interface MemoryLogControl {
  /** Messages kept, one a key. */
  readonly size: number;
  readonly bytes: number;
  /** Deletes everything: another incarnation, as a deleted stream is. */
  wipe(): void;
  snapshot(): LogSnapshot;
  /** Goes back to a snapshot of this log, in the same incarnation, as an old data folder does. */
  restore(snapshot: LogSnapshot): void;
  /** While unavailable, nobody can write or read, and whoever was connected is not any more. */
  setAvailable(available: boolean): void;
  /** The next append keeps this many of its messages and is rejected all the same. */
  failNextAppend(kept: number): void;
}

export interface MemoryNetwork {
  writer(region: string): LogWriter;
  /** `to` reads the log of `from`. */
  reader(from: string, to: string): LogReader;
  log(region: string): MemoryLogControl;
  /** Nothing of `from`'s log reaches `to` any more; the other way stays as it is. */
  cut(from: string, to: string): void;
  /** Undoes a cut; a delay stays. */
  heal(from: string, to: string): void;
  delay(from: string, to: string, delayMs: number): void;
  /** Links that were read over, cut or slowed so far. */
  links(): readonly MemoryLink[];
}

export function createMemoryNetwork(
  runtime: Runtime,
  { logBytesMax = LOG_BYTES_MAX }: { readonly logBytesMax?: number } = {},
): MemoryNetwork {
  const servers = new Map<string, MemoryServer>();
  const links = new Map<string, Link>();
  const server = (region: string): MemoryServer => {
    let found = servers.get(region);
    if (found === undefined) servers.set(region, (found = new MemoryServer(region, logBytesMax)));
    return found;
  };
  const link = (from: string, to: string): Link => {
    const name = `${from}>${to}`;
    let found = links.get(name);
    if (found === undefined) links.set(name, (found = { from, to, cut: false, delayMs: 0, healed: new Set() }));
    return found;
  };
  return {
    writer: (region) => new MemoryLogWriter(server(region)),
    reader: (from, to) => new MemoryLogReader(runtime, server(from), link(from, to)),
    log: (region) => server(region),
    cut: (from, to) => {
      link(from, to).cut = true;
    },
    heal: (from, to) => {
      const healed = link(from, to);
      healed.cut = false;
      for (const resume of healed.healed) resume();
    },
    delay: (from, to, delayMs) => {
      link(from, to).delayMs = delayMs;
    },
    links: () => [...links.values()].map(({ from, to, cut, delayMs }) => ({ from, to, cut, delayMs })),
  };
}

class MemoryServer implements MemoryLogControl, ReadableServer {
  readonly region: string;
  readonly log: CompactedLog;
  readonly connected = new Set<Connected>();
  available = true;
  /** Grows whenever connections are lost: one made before is dead. */
  outages = 0;
  lastWriter: LogWriter | null = null;
  #keptOfNextAppend: number | null = null;

  constructor(region: string, bytesMax: number) {
    this.region = region;
    this.log = new CompactedLog(bytesMax);
  }

  get size(): number {
    return this.log.size;
  }

  get bytes(): number {
    return this.log.bytes;
  }

  wipe(): void {
    this.log.wipe();
    this.#disconnect('the log was deleted');
  }

  snapshot(): LogSnapshot {
    return this.log.snapshot();
  }

  restore(snapshot: LogSnapshot): void {
    this.log.restore(snapshot);
    this.#disconnect('the log was restarted');
  }

  setAvailable(available: boolean): void {
    this.available = available;
    if (!available) this.#disconnect('the log is unavailable');
  }

  failNextAppend(kept: number): void {
    this.#keptOfNextAppend = kept;
  }

  /** @throws LogUnavailable, LogRefused */
  append(writer: LogWriter, messages: readonly LogAppend[]): void {
    const kept = this.#keptOfNextAppend ?? messages.length;
    const failing = this.#keptOfNextAppend !== null;
    this.#keptOfNextAppend = null;
    let refused = failing ? [] : this.log.refused(messages);
    if (refused.length === 0) {
      for (const { key, payload } of messages.slice(0, kept)) {
        if (!this.log.append(key, payload)) {
          refused = [key];
          break;
        }
        this.lastWriter = writer;
      }
      for (const reader of this.connected) reader.appended();
    }
    if (refused.length > 0) throw new LogRefused(`the log of ${this.region}`, refused);
    if (failing) throw new LogUnavailable(`the log of ${this.region} did not acknowledge`);
  }

  remove(writer: LogWriter, keys: readonly string[]): void {
    this.log.remove(keys);
    this.lastWriter = writer;
    for (const reader of this.connected) reader.appended();
  }

  #disconnect(why: string): void {
    this.outages += 1;
    for (const reader of this.connected) reader.lost(why);
  }
}

class MemoryLogWriter implements LogWriter {
  readonly #server: MemoryServer;
  /** The outage count of the connection; null when not open. */
  #connection: number | null = null;
  /** The position known to be there: appended, or seen at `open`. */
  #known: LogPosition | null = null;
  /** Whether the last message of this log was ours, as far as we know. */
  #holds = false;
  #overtaken = 0;

  constructor(server: MemoryServer) {
    this.#server = server;
  }

  async open(visit: (message: LogMessage) => void): Promise<{ readonly position: LogPosition; readonly intact: boolean }> {
    const { log, available, outages } = this.#server;
    this.#connection = null;
    if (!available) throw this.#unavailable('unavailable');
    const known = this.#known;
    const position: LogPosition = { incarnation: log.incarnation, sequence: log.lastSequence };
    const intact = known === null || (known.incarnation === position.incarnation && position.sequence >= known.sequence);
    if (intact && this.#foreign()) throw this.#fenced();
    if (!intact) this.#holds = false;
    for (const message of log.after(0)) visit(message);
    this.#known = position;
    this.#connection = outages;
    return { position, intact };
  }

  async append(messages: readonly LogAppend[]): Promise<void> {
    for (const { key } of messages) assertKey(key);
    this.#write(() => this.#server.append(this, messages), messages.length > 0);
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) assertKey(key);
    if (keys.length > 0) this.#write(() => this.#server.remove(this, keys), true);
  }

  async close(): Promise<void> {
    this.#connection = null;
  }

  /** @throws LogUnavailable, LogRefused, LogFenced */
  #write(change: () => void, holds: boolean): void {
    const { log, available, outages } = this.#server;
    if (!available || this.#connection !== outages || this.#known === null) {
      this.#connection = null;
      throw this.#unavailable('not open');
    }
    if (log.lastSequence !== this.#known.sequence) {
      this.#connection = null;
      this.#overtaken += 1;
      if (this.#foreign() || this.#overtaken >= OVERTAKEN_MAX) throw this.#fenced();
      throw this.#unavailable('written by another process meanwhile');
    }
    try {
      change();
    } catch (error) {
      if (error instanceof LogRefused) this.#wrote(log.lastSequence > this.#known.sequence);
      else this.#connection = null;
      throw error;
    }
    this.#wrote(holds);
  }

  #wrote(holds: boolean): void {
    const { log } = this.#server;
    this.#known = { incarnation: log.incarnation, sequence: log.lastSequence };
    this.#overtaken = 0;
    if (holds) this.#holds = true;
  }

  #foreign(): boolean {
    const { log, lastWriter } = this.#server;
    return this.#holds && lastWriter !== this && log.lastSequence > (this.#known?.sequence ?? 0);
  }

  #fenced(): LogFenced {
    return new LogFenced(`another process writes the log of ${this.#server.region}`);
  }

  #unavailable(why: string): LogUnavailable {
    return new LogUnavailable(`log of ${this.#server.region}: ${why}`);
  }
}
