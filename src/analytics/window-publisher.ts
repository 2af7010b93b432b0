/**
 * The window publisher: closes windows as time passes and puts them into the window queue.
 *
 * One for a process, whatever number of shards it owns. It never drops a window: what cannot be
 * published is kept and tried again, and beyond a bound of records or of age it says `full`, upon
 * which taps are refused (WIN-5). The mark it gives, `storedBefore`, covers only what the database
 * has (WIN-4); what lies beyond is rebuilt from the hot store after a crash, and given to the queue
 * again when that has lost it (WIN-16).
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { StreamId } from '../../crdt/ids.ts';
import { backoffMs } from '../../regions/backoff.ts';
import { sleep, type Log, type Runtime } from '../../regions/runtime.ts';
import { COMMIT_RETENTION_MS, type Commit } from '../hot-store/hot-store.ts';
import { UnstoredWindows } from './unstored-windows.ts';
import type { WindowQueue } from './window-queue.ts';
import { windowStartOf, type WindowRecord } from './window-record.ts';
import { Windows, type ClosedWindow } from './windows.ts';

const TICK_MS = 250;
const RECORDS_PER_PUBLISH_MAX = 5000;
const RETRY = { minMs: 100, maxMs: 10_000 };
const UNPUBLISHED_RECORDS_MAX = 200_000;
/** The hot store keeps what the queue has not taken, and it is bounded too. */
const UNPUBLISHED_AGE_MS_MAX = COMMIT_RETENTION_MS / 2;
const STOP_ATTEMPTS_MAX = 4;
/** What an empty queue took so long ago and the database has not is lost, though the queue knows of no loss: somebody may have emptied it. */
const UNSTORED_MS_MAX = 3 * 60_000;

export interface WindowPublisherOptions {
  readonly queue: WindowQueue;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Viewers watching a stream in all regions, as far as known. */
  readonly viewersOf: (stream: StreamId) => number;
  /**
   * No commit of the actor with an earlier time can still be added: the time of the commit in flight,
   * or now when there is none.
   */
  readonly reachedBy: (actor: ActorId) => number;
  readonly unpublishedRecordsMax?: number;
  readonly unstoredRecordsMax?: number;
}

export class WindowPublisher {
  readonly stats = {
    /** Records closed and not yet acknowledged by the queue. */
    pendingRecords: 0,
    openRecords: 0,
    /** Age of the oldest record that the queue has not acknowledged. */
    oldestPendingAgeMs: 0,
    publishedRecords: 0,
    publishFailures: 0,
    /** Records that the queue has taken and the database has not, as far as they are kept here; a gauge. */
    unstoredRecords: 0,
    /** Of these, such as are not kept here any more, because there were too many. */
    unstoredLetGo: 0,
    /** Records given to the queue again because it had lost what it took. */
    requeuedRecords: 0,
    full: 0,
  };

  readonly #options: WindowPublisherOptions;
  readonly #windows = new Windows();
  readonly #stopping = new AbortController();
  /** Closed before, by actor: what was committed in earlier windows is pending, published, or never was. */
  readonly #closedBefore = new Map<ActorId, number>();
  readonly #oldestPending = new Map<ActorId, number>();
  readonly #unstored: UnstoredWindows;
  #pending: ClosedWindow[] = [];
  /** Of the queue, as far as they were made good. */
  #losses = 0;
  /** When unstored windows were looked through last. */
  #lookedAt = -Infinity;
  /** Publishes that failed in a row. */
  #failures = 0;
  #opened = false;
  #publishing: Promise<void> | null = null;
  #cancelTick = (): void => {};

  constructor(options: WindowPublisherOptions) {
    this.#options = options;
    this.#unstored = new UnstoredWindows(options.unstoredRecordsMax);
  }

  start(): void {
    this.#cancelTick = this.#options.runtime.timers.every(TICK_MS, () => this.#tick());
  }

  /** Live commits once they are durable, and replayed ones during recovery. */
  add(commit: Commit): void {
    this.#windows.join(commit);
    this.stats.openRecords = this.#windows.size;
  }

  /** What the database has now. */
  stored(records: readonly WindowRecord[]): void {
    this.#unstored.stored(records);
    this.#measure();
  }

  /** True when no more can be taken: refuse taps, because what is counted must be stored. */
  full(): boolean {
    const recordsMax = this.#options.unpublishedRecordsMax ?? UNPUBLISHED_RECORDS_MAX;
    const full =
      this.#pending.length + this.#windows.size >= recordsMax || this.stats.oldestPendingAgeMs >= UNPUBLISHED_AGE_MS_MAX;
    this.stats.full = full ? 1 : 0;
    return full;
  }

  /**
   * The mark for the actor's next commit: what was committed in windows that start before it is in the database, or was
   * left to the queue alone because too much waits there.
   */
  storedBefore(actor: ActorId): number {
    return Math.min(
      this.#closedBefore.get(actor) ?? 0,
      this.#oldestPending.get(actor) ?? Infinity,
      this.#windows.oldestOpen(actor),
      this.#unstored.oldest(actor),
    );
  }

  /** What was committed, by whatever actor, in windows that start before this time is in the queue. */
  queuedBefore(): number {
    let before = this.#options.runtime.clock.now();
    for (const oldest of this.#oldestPending.values()) before = Math.min(before, oldest);
    for (const actor of this.#windows.actors()) before = Math.min(before, this.#windows.oldestOpen(actor));
    return before;
  }

  /** Publishes what is left, open windows too. Whatever it cannot publish, recovery will find again. */
  async stop(): Promise<void> {
    this.#cancelTick();
    this.#stopping.abort();
    await this.#publishing;
    // An early close raises no mark, so a later life of the same actor may publish the window again, grown.
    this.#enqueue(this.#windows.closeBefore(() => Infinity, this.#options.viewersOf));
    this.#failures = 0;
    for (let attempt = 1; this.#pending.length > 0 && attempt <= STOP_ATTEMPTS_MAX; attempt++) {
      if (attempt > 1) await this.#pause();
      await this.#publishPending();
    }
    if (this.#pending.length > 0) {
      this.#options.log.error({ records: this.#pending.length }, 'windows stay unpublished; recovery rebuilds them');
    }
  }

  #tick(): void {
    this.#close();
    this.#requeueLost();
    this.#requeueMissing();
    if (this.#publishing !== null || this.#pending.length === 0) return;
    this.#publishing = this.#publishUntilEmpty().finally(() => {
      this.#publishing = null;
    });
  }

  #close(): void {
    const reached = new Map<ActorId, number>();
    for (const actor of this.#windows.actors()) reached.set(actor, this.#options.reachedBy(actor));
    this.#enqueue(this.#windows.closeBefore((actor) => reached.get(actor) ?? 0, this.#options.viewersOf));
    for (const [actor, timeMs] of reached) this.#closedBefore.set(actor, windowStartOf(timeMs));
  }

  /** What the queue has lost is what it took and the database has not; storing some of it twice changes nothing. */
  #requeueLost(): void {
    const { queue, log } = this.#options;
    if (queue.losses() === this.#losses) return;
    this.#losses = queue.losses();
    const lost = this.#requeue(this.#unstored.all());
    log.warn({ records: lost }, 'the window queue has lost what it held; it is given again what the database lacks');
  }

  /** Without it one window that got lost unseen would keep an actor's mark where it is for the rest of its life. */
  #requeueMissing(): void {
    const { queue, runtime, log } = this.#options;
    const now = runtime.clock.now();
    if (this.#pending.length > 0 || queue.depth() > 0 || now - this.#lookedAt < UNSTORED_MS_MAX) return;
    this.#lookedAt = now;
    const missing = this.#requeue(this.#unstored.before(now - UNSTORED_MS_MAX));
    if (missing > 0) log.warn({ records: missing }, 'the window queue is empty and the database lacks what it took; it is given it again');
  }

  #requeue(windows: Iterable<ClosedWindow>): number {
    const waiting = new Set(this.#pending);
    const requeued = [...windows].filter((window) => !waiting.has(window));
    this.stats.requeuedRecords += requeued.length;
    this.#enqueue(requeued);
    return requeued.length;
  }

  #enqueue(windows: readonly ClosedWindow[]): void {
    for (const window of windows) {
      this.#pending.push(window);
      this.#noteOldest(window);
    }
    this.#measure();
  }

  async #publishUntilEmpty(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#pending.length > 0 && !signal.aborted) {
      if (!(await this.#publishPending())) await this.#pause(signal);
    }
  }

  /** One round through what is pending; false when the queue refused. */
  async #publishPending(): Promise<boolean> {
    const { queue, log } = this.#options;
    try {
      if (!this.#opened) await queue.open();
      this.#opened = true;
      while (this.#pending.length > 0) {
        const batch = this.#pending.slice(0, RECORDS_PER_PUBLISH_MAX);
        for (const window of batch) this.#unstored.add(window);
        await queue.publish(batch.map(({ record }) => record));
        this.#pending = this.#pending.slice(batch.length);
        this.stats.publishedRecords += batch.length;
        this.#forgetPublished();
      }
      this.#failures = 0;
      return true;
    } catch (error) {
      this.#opened = false;
      this.#failures += 1;
      this.stats.publishFailures += 1;
      log.warn({ error, pending: this.#pending.length }, 'the window queue refused; windows are kept and tried again');
      return false;
    } finally {
      this.#measure();
    }
  }

  #pause(signal?: AbortSignal): Promise<void> {
    const { timers, random } = this.#options.runtime;
    return sleep(timers, backoffMs(this.#failures, RETRY, random), signal);
  }

  #forgetPublished(): void {
    this.#oldestPending.clear();
    for (const window of this.#pending) this.#noteOldest(window);
  }

  /** By when it was committed: the correction of an old window is not late. */
  #noteOldest({ record: { actor }, committedIn }: ClosedWindow): void {
    const oldest = this.#oldestPending.get(actor) ?? Infinity;
    if (committedIn < oldest) this.#oldestPending.set(actor, committedIn);
  }

  #measure(): void {
    const oldest = Math.min(...this.#oldestPending.values());
    this.stats.pendingRecords = this.#pending.length;
    this.stats.openRecords = this.#windows.size;
    this.stats.unstoredRecords = this.#unstored.size;
    this.stats.unstoredLetGo = this.#unstored.letGo;
    this.stats.oldestPendingAgeMs = this.#pending.length === 0 ? 0 : this.#options.runtime.clock.now() - oldest;
  }
}
