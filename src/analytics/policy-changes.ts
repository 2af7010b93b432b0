/**
 * The audit trail of moderation: who changed what of a policy, when and in which region.
 *
 * The trail never holds a change up. Changes wait in a bounded queue until the database has them, are tried again
 * with growing pauses, and each is stored once however often it is tried. When the queue is full the newest are left
 * out of the trail, counted and logged [MOD-21]: the policy itself is in the documents, not here.
 */

import { backoffMs } from '../../regions/backoff.ts';
import { sleep, type Log, type Runtime } from '../../regions/runtime.ts';

export interface PolicyChange {
  /** Tells a change stored before from a new one. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The region that took the change. */
  readonly region: string;
  readonly document: string;
  /** The claim `sub` of the moderator. */
  readonly by: string;
  /** `section/key`. */
  readonly path: string;
  /** JSON values; null where there was, or is, nothing. */
  readonly before: unknown;
  readonly after: unknown;
}

/** Adapter: `postgres-store.ts`. */
export interface ChangeStore {
  /** Idempotent by id. @throws WindowStoreUnavailable */
  storeChanges(changes: readonly PolicyChange[]): Promise<void>;
  /** The latest of a document, newest first. @throws WindowStoreUnavailable */
  changes(document: string, limit: number): Promise<PolicyChange[]>;
}

export interface AuditTrailParts {
  readonly region: string;
  readonly store: ChangeStore;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly waitingMax?: number;
}

const WAITING_MAX = 10_000;
const CHANGES_PER_STATEMENT = 200;
const RETRY = { minMs: 200, maxMs: 10_000 };
const STOP_MS_MAX = 2_000;

export class AuditTrail {
  readonly stats = { waiting: 0, stored: 0, failures: 0, dropped: 0 };
  readonly #parts: AuditTrailParts;
  readonly #waiting: PolicyChange[] = [];
  readonly #stopping = new AbortController();
  /** With the time of the start no two lives of a region give one id twice. */
  readonly #life: string;
  #numbered = 0;
  #running: Promise<void> | null = null;

  constructor(parts: AuditTrailParts) {
    this.#parts = parts;
    this.#life = `${parts.region}/${Math.floor(parts.runtime.clock.now()).toString(36)}`;
  }

  /** Never waits, never throws. */
  add(change: Omit<PolicyChange, 'id' | 'region'>): void {
    const { region, log, waitingMax = WAITING_MAX } = this.#parts;
    const id = `${this.#life}/${(this.#numbered += 1)}`;
    if (this.#waiting.length >= waitingMax) {
      this.stats.dropped += 1;
      return log.error({ document: change.document, by: change.by, path: change.path }, 'a change of a policy is missing from the audit trail: too many wait for the database');
    }
    this.#waiting.push({ ...change, id, region });
    this.stats.waiting = this.#waiting.length;
    this.#running ??= this.#run().finally(() => (this.#running = null));
  }

  /** Stores what waits, for a bounded time. */
  async stop(): Promise<void> {
    const { runtime, log } = this.#parts;
    const done = new AbortController();
    void (this.#running ?? Promise.resolve()).finally(() => done.abort());
    await sleep(runtime.timers, STOP_MS_MAX, done.signal);
    // A database that hangs answers, or is given up, long after this.
    this.#stopping.abort();
    if (this.#waiting.length > 0) log.error({ changes: this.#waiting.length }, 'stopped before the database held the whole audit trail');
  }

  async #run(): Promise<void> {
    const { store, runtime, log } = this.#parts;
    const { signal } = this.#stopping;
    for (let failures = 0; this.#waiting.length > 0 && !signal.aborted; ) {
      const some = this.#waiting.slice(0, CHANGES_PER_STATEMENT);
      try {
        await store.storeChanges(some);
        failures = 0;
        this.#waiting.splice(0, some.length);
        this.stats.stored += some.length;
        this.stats.waiting = this.#waiting.length;
      } catch (error) {
        this.stats.failures += 1;
        if (failures === 0) log.warn({ error, changes: this.#waiting.length }, 'the database did not take changes of policies; they wait');
        await sleep(runtime.timers, backoffMs((failures += 1), RETRY, runtime.random), signal);
      }
    }
  }
}
