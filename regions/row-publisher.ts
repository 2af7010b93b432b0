/**
 * The row publisher: keeps a region's own log equal to what the region has counted, and to its documents.
 *
 * It holds a set of rows that the log lacks, not a queue of changes: a slow log makes the cadence
 * slower and never lets anything pile up. One append is in flight at a time, all of it encoded in one
 * turn of the event loop, so a heartbeat that ends a batch with no row left over describes exactly what
 * the log holds. Whenever the log is opened, every row that it lacks is published again: what a broker
 * lost, for whatever reason, it is given anew. What it holds of forgotten streams is removed from it. What the log
 * refuses because it is full is set aside and tried again later, and holds up nothing else [REP-27].
 */

import { regionOf, type ActorId } from '../crdt/actor.ts';
import { DirtyRows, type RowId } from '../crdt/ledger.ts';
import type { StreamId } from '../crdt/ids.ts';
import { messagesOf, type HeartbeatDue, type Taken } from './append-batch.ts';
import { backoffMs } from './backoff.ts';
import { encodeHeartbeat, type HeardOf } from './heartbeat.ts';
import { LogFenced, LogRefused, LogUnavailable, type LogAppend, type LogWriter } from './log.ts';
import { OwnDocuments } from './own-documents.ts';
import { RefusedRows } from './refused-rows.ts';
import type { Replication } from './replication.ts';
import { sleep } from './runtime.ts';
import { SurplusRows } from './surplus-rows.ts';
import { HEARTBEAT_KEY, custodyKey, documentKey, rowKey } from './subjects.ts';

/** After refusals; what is still refused then waits for the next turn. */
const TRIES_PER_TURN_MAX = 8;

export interface RowPublisherParts {
  readonly writer: LogWriter;
  readonly currentActors: () => ReadonlyMap<ActorId, number>;
  readonly ownViewers: () => Iterable<readonly [StreamId, number]>;
  /** Another process writes our log: this one must stop. */
  readonly onFenced: () => void;
}

export class RowPublisher {
  readonly #replication: Replication;
  readonly #parts: RowPublisherParts;
  readonly #heard: () => readonly HeardOf[];
  readonly #dirty: DirtyRows;
  readonly #custody = new DirtyRows();
  readonly #refused = new RefusedRows();
  readonly #documents: OwnDocuments;
  readonly #surplus: SurplusRows;
  #recovered = false;
  #isOpen = false;
  #fenced = false;
  #closed = false;
  #failures = 0;
  #rowsInFlight = 0;
  #heartbeatAt = -Infinity;
  /** The log holds everything that was counted before this time. */
  #wholeAt: number;
  /** Or it has refused it. */
  #triedAt: number;
  #openedAt = -Infinity;
  /** When what the log has refused is tried again. */
  #retryAt = -Infinity;
  #writtenAt: number;

  /** `heard` tells how far the peers were heard. */
  constructor(replication: Replication, parts: RowPublisherParts, heard: () => readonly HeardOf[]) {
    this.#replication = replication;
    this.#parts = parts;
    this.#heard = heard;
    this.#dirty = replication.ledger.track((actor) => regionOf(actor) === replication.region);
    this.#documents = new OwnDocuments({
      region: replication.region,
      kinds: replication.documents,
      bytesPerTurnMax: replication.options.documentBytesPerTickMax,
      tombstoneMs: replication.options.tombstoneMs,
      refuse: (key, reason) => replication.refuseDocument(replication.region, key, reason),
    });
    this.#surplus = new SurplusRows(replication.region, replication.ledger);
    this.#wholeAt = replication.runtime.clock.now();
    this.#triedAt = this.#wholeAt;
    this.#writtenAt = this.#wholeAt;
  }

  get recovered(): boolean {
    return this.#recovered;
  }

  /** Rows that the log lacks. */
  get rowsWaiting(): number {
    return this.#rowsUntried + this.#refused.size;
  }

  /** Of these, such as it has not refused. */
  get #rowsUntried(): number {
    return this.#dirty.size + this.#rowsInFlight;
  }

  /** Documents that the log lacks. */
  get documentsWaiting(): number {
    return this.#documents.waiting;
  }

  /** What the log may still hold of forgotten streams. */
  get surplus(): SurplusRows {
    return this.#surplus;
  }

  /** See `OwnDocuments`. */
  markDocument(key: string): boolean {
    return this.#documents.mark(key);
  }

  /** See `OwnDocuments`; only what is known of an open log. */
  holdsDocument(key: string): boolean {
    return this.#isOpen && this.#documents.holds(key);
  }

  /** See `OwnDocuments`; a log that is not open lacks none: what it lacks is found out when it is. */
  lacksDocument(key: string): boolean {
    return this.#isOpen && this.#documents.lacks(key);
  }

  /** At least the age of the oldest change that the log lacks; 0 when it lacks none. */
  oldestDirtyMs(): number {
    return this.rowsWaiting === 0 ? 0 : this.#replication.runtime.clock.now() - this.#wholeAt;
  }

  /** The same without the rows that the log has refused. */
  oldestUntriedMs(): number {
    return this.#rowsUntried === 0 ? 0 : this.#replication.runtime.clock.now() - this.#triedAt;
  }

  /** Since the log took something. Heartbeats are due all the time, so that a log that is away is known also when nobody taps. */
  silentMs(): number {
    return this.#replication.runtime.clock.now() - this.#writtenAt;
  }

  /** Keeps rows of a peer in our log. They are published a few at a time. */
  keep(rows: Iterable<RowId>): void {
    for (const row of rows) this.#custody.mark(row);
  }

  /** Opens the log and joins what it holds, however long that takes. */
  async recover(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#fenced) {
      await this.#open();
      if (this.#isOpen) {
        this.#recovered = true;
        return;
      }
      await this.#pause(signal);
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!this.#fenced) {
      await this.#pause(signal);
      if (signal.aborted) return;
      await this.#turn();
    }
  }

  /** Another process has taken the place of this one: nothing more is published. */
  fence(): void {
    this.#fenced = true;
  }

  /** Publishes what is left and a last heartbeat, trying until the signal is aborted. */
  async flush(signal: AbortSignal): Promise<void> {
    this.#heartbeatAt = -Infinity;
    while (!signal.aborted && !this.#fenced) {
      await this.#turn();
      if (this.#isOpen && this.#rowsUntried + this.#documents.untried === 0 && this.#heartbeatAt !== -Infinity) return;
      if (this.#failures > 0) await this.#pause(signal);
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#isOpen = false;
    return this.#parts.writer.close();
  }

  /** A tick when all is well, longer after failures. Never the same for two regions. */
  #pause(signal: AbortSignal): Promise<void> {
    const { runtime, options } = this.#replication;
    const { tickMs } = options;
    const pauseMs =
      this.#failures > 0
        ? backoffMs(this.#failures, options.backoff, runtime.random)
        : tickMs + runtime.random.next() * tickMs;
    return sleep(runtime.timers, pauseMs, signal);
  }

  async #turn(): Promise<void> {
    const { clock } = this.#replication.runtime;
    if (this.rowsWaiting === 0) this.#wholeAt = clock.now();
    if (this.#rowsUntried === 0) this.#triedAt = clock.now();
    if (!this.#isOpen) await this.#open();
    if (!this.#isOpen || this.#fenced) return;
    await this.#removeSurplus();
    if (!this.#isOpen || this.#fenced) return;
    this.#retryRefused();
    for (let tries = 0; tries < TRIES_PER_TURN_MAX; tries++) if (await this.#publishSome()) return;
  }

  /** False when the log has refused some, which are set aside: then the others may go at once. */
  async #publishSome(): Promise<boolean> {
    const { ledger, options, runtime } = this.#replication;
    const now = runtime.clock.now();
    const taken = this.#take();
    const isWhole = taken.isAll && this.#refused.size === 0;
    const isDue = now - this.#heartbeatAt >= options.heartbeatMs;
    this.#rowsInFlight = taken.rows.length;
    try {
      const messages = messagesOf(ledger, taken, isDue ? this.#heartbeat(now, isWhole, taken.documents.digest) : null);
      if (messages.length === 0) return true;
      await this.#parts.writer.append(messages);
      this.#published(taken, messages, now);
      if (!isDue) return true;
      this.#heartbeatAt = now;
      this.#replication.stats.heartbeatsPublished += 1;
    } catch (error) {
      return this.#notTaken(taken, error);
    } finally {
      this.#rowsInFlight = 0;
    }
    await this.#removeTombstones();
    return true;
  }

  /** False when the log does take others. */
  #notTaken(taken: Taken, error: unknown): boolean {
    const { stats, log } = this.#replication;
    const refused = new Set(error instanceof LogRefused ? error.keys : []);
    if (refused.size > 0 && this.#refused.size === 0) log.error({ error }, 'the own log has no room for all that it lacks; the rest goes on');
    this.#putBack(taken.rows, rowKey, this.#dirty, refused);
    this.#putBack(taken.custody, custodyKey, this.#custody, refused);
    this.#documents.failed(taken.documents, (key) => refused.has(documentKey(key)));
    stats.keysRefused += refused.size;
    if (refused.size > 0 && !refused.has(HEARTBEAT_KEY)) return false;
    stats.appendFailures += 1;
    this.#failed(error, 'could not append to the own log');
    return true;
  }

  #putBack(rows: readonly RowId[], keyOf: (row: RowId) => string, into: DirtyRows, refused: ReadonlySet<string>): void {
    for (const row of rows) {
      const key = keyOf(row);
      if (refused.has(key)) this.#refused.add(key, row);
      else into.mark(row);
    }
  }

  #retryRefused(): void {
    const { runtime, options } = this.#replication;
    const now = runtime.clock.now();
    if (now < this.#retryAt) return;
    this.#retryAt = now + options.refusedRetryMs;
    this.#unrefuse();
    this.#documents.retry();
  }

  #unrefuse(): void {
    for (const row of this.#refused.take()) (regionOf(row.actor) === this.#replication.region ? this.#dirty : this.#custody).mark(row);
  }

  /** Some at a time, and nothing else is in flight meanwhile: what was removed does not come back. */
  async #removeSurplus(): Promise<void> {
    const keys = this.#surplus.some(this.#replication.options.removalsPerTickMax);
    if (!(await this.#remove(keys))) return;
    this.#surplus.removed(keys);
    this.#replication.stats.rowsRemoved += keys.length;
  }

  /** As often as heartbeats are made, some at a time. */
  async #removeTombstones(): Promise<void> {
    const keys = this.#documents.expired(this.#replication.runtime.clock.now());
    if (await this.#remove(keys.map(documentKey))) this.#documents.removed(keys);
  }

  async #remove(keys: readonly string[]): Promise<boolean> {
    if (keys.length === 0) return false;
    try {
      await this.#parts.writer.remove(keys);
      return true;
    } catch (error) {
      this.#failed(error, 'could not remove from the own log');
      return false;
    }
  }

  #take(): Taken {
    const { options, runtime } = this.#replication;
    const leftOverMs = runtime.clock.now() - Math.max(this.#triedAt, this.#openedAt);
    const rows = this.#dirty.take(leftOverMs > options.leftOverMs ? Infinity : options.rowsPerTickMax);
    const custody = this.#custody.take(options.custodyRowsPerTickMax);
    return {
      rows: rows.filter((row) => !this.#refused.has(rowKey(row))),
      custody: custody.filter((row) => !this.#refused.has(custodyKey(row))),
      documents: this.#documents.take(),
      isAll: this.#dirty.size === 0,
    };
  }

  #heartbeat(at: number, isWhole: boolean, documentsDigest: string | null): HeartbeatDue {
    const { ledger, region, documents } = this.#replication;
    const payload = encodeHeartbeat({
      at,
      digest: isWhole ? ledger.regionDigest(region) : null,
      actors: Array.from(this.#parts.currentActors().keys(), (actor) => [actor, ledger.sequence(actor)] as const),
      viewers: [...this.#parts.ownViewers()],
      ...(documents.size === 0 ? {} : { documents: documentsDigest }),
      ...(ledger.forgottenCount === 0 ? {} : { forgotten: ledger.forgottenDigest() }),
      heard: this.#heard(),
    });
    return { payload, isWhole };
  }

  #published(taken: Taken, messages: readonly LogAppend[], composedAt: number): void {
    const { stats, runtime } = this.#replication;
    this.#failures = 0;
    this.#writtenAt = runtime.clock.now();
    if (taken.isAll) this.#triedAt = composedAt;
    if (taken.isAll && this.#refused.size === 0) this.#wholeAt = composedAt;
    stats.rowsPublished += taken.rows.length;
    stats.custodyRowsPublished += taken.custody.length;
    this.#surplus.published(taken.rows, taken.custody);
    this.#documents.published(taken.documents, composedAt);
    stats.documentsPublished += taken.documents.versions.length;
    for (const { payload } of messages) stats.bytesPublished += payload.length;
  }

  async #open(): Promise<void> {
    const { region, log, runtime, stats } = this.#replication;
    /** The actor sequence of each row that the log holds. */
    const logged = new Map<string, number>();
    this.#documents.opening();
    this.#surplus.opening();
    try {
      const { intact } = await this.#parts.writer.open((message) => {
        const entry = this.#replication.read(region, message);
        if (entry === null || entry.kind === 'heartbeat') return;
        if (entry.kind === 'document') return this.#documents.visit(entry.key, entry.bytes, runtime.clock.now());
        if (this.#surplus.visit(message.key, entry.row, entry.kind === 'custody')) return;
        if (entry.kind === 'row') logged.set(message.key, entry.row.sequence);
        this.#replication.join(entry.row);
      });
      // Closed meanwhile: an open that comes late must not stay open.
      if (this.#closed) return this.#parts.writer.close();
      this.#isOpen = true;
      this.#heartbeatAt = -Infinity;
      this.#openedAt = runtime.clock.now();
      stats.opens += 1;
      if (!intact) stats.losses += 1;
      const missing = this.#markWhatIsMissing(logged);
      const documentsMissing = this.#documents.opened();
      log.info({ rows: logged.size, missing, documentsMissing, intact }, 'opened the own log');
    } catch (error) {
      this.#failed(error, 'could not open the own log');
    }
  }

  /** Makes exactly those own rows dirty that the log does not hold as we do. */
  #markWhatIsMissing(logged: ReadonlyMap<string, number>): number {
    const { ledger, region } = this.#replication;
    this.#unrefuse();
    this.#dirty.take();
    for (const row of ledger.rows((actor) => regionOf(actor) === region)) {
      if ((logged.get(rowKey(row)) ?? -1) < row.sequence) this.#dirty.mark(row);
    }
    return this.#dirty.size;
  }

  #failed(error: unknown, what: string): void {
    const { log } = this.#replication;
    // A mistake of our own says nothing of the log: to read it again would not help.
    if (error instanceof LogUnavailable || error instanceof LogFenced) this.#isOpen = false;
    this.#failures += 1;
    if (error instanceof LogFenced) {
      this.#fenced = true;
      log.error({ error }, 'another process writes our log: this one publishes no more');
      this.#parts.onFenced();
    } else if (this.#failures === 1) {
      log.warn({ error }, what);
    } else {
      log.debug({ error, failures: this.#failures }, what);
    }
  }
}
