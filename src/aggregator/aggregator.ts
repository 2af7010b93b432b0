/**
 * The aggregator: the loop of one shard. Batches come in, are counted in groups, and are answered.
 *
 * Promises: nothing is acknowledged, shown or handed on before its commit is durable [AGG-1]; a duplicate
 * of a batch whose commit is in flight is answered after that commit [AGG-2]; what waits is bounded
 * [AGG-9], and waits for no longer than makes sense [LOAD-7]; when another process has become the writer, nothing more is acknowledged [AGG-7]; what a policy takes
 * back is taken back soon after it changed, also after a crash [AGG-33]. How a commit becomes durable is
 * `shard-writer.ts`, what a batch does to the counts is `step.ts`, what a mute does to them `retraction.ts`, what need not be known any
 * more `forgetting.ts`.
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { StreamId } from '../../crdt/ids.ts';
import type { Cancel } from '../../regions/runtime.ts';
import type { FlaggedViewer } from '../antispam/flagged.ts';
import { HotStoreFenced, HotStoreUnavailable, type ClaimRecord } from '../hot-store/hot-store.ts';
import { ClaimWorks, type ClaimWork } from './claim-works.ts';
import { Comebacks } from './comebacks.ts';
import { Forgetting } from './forgetting.ts';
import { Inbox, type Waiting } from './inbox.ts';
import type { Batch, Ingest, IngestReply } from './ingest.ts';
import { BATCHES_AHEAD, LookAhead } from './look-ahead.ts';
import { AGGREGATOR_DEFAULTS, type AggregatorOptions, type AggregatorParts } from './options.ts';
import { retract } from './retraction.ts';
import { ShardWriter } from './shard-writer.ts';
import { changedBytes, checkPolicies, emptyState, takeChanges, type ShardState } from './shard-state.ts';
import { step } from './step.ts';

const FORGET_INTERVAL_MS = 10_000;
/** Of a commit; the rest is left to those who tap meanwhile. */
const RETRACTION_SHARE = 0.5;
const CLAIM_WORKS_SHARE = 0.75;
const REPEATED_CLAIMS_SHARE = 0.1;

type Phase = 'new' | 'starting' | 'running' | 'stopping' | 'fenced';

export type AggregatorStats = Readonly<Record<string, number>>;

export type { Aggregator };

export function createAggregator(parts: AggregatorParts): Aggregator {
  return new Aggregator(parts);
}

class Aggregator implements Ingest {
  readonly #parts: AggregatorParts;
  readonly #options: AggregatorOptions;
  readonly #state: ShardState;
  readonly #inbox: Inbox;
  readonly #ahead = new LookAhead();
  readonly #comebacks: Comebacks;
  readonly #works = new ClaimWorks();
  readonly #acknowledged = new Map<StreamId, number>();
  readonly #giveUp = new AbortController();
  readonly #count = {
    batches: 0,
    tapsAccepted: 0,
    tapsClamped: 0,
    duplicates: 0,
    refused: 0,
    overloaded: 0,
    late: 0,
    tapsTakenBack: 0,
  };
  readonly #writer: ShardWriter;
  readonly #forgetting: Forgetting;
  #phase: Phase = 'new';
  #lastAt = 0;
  #inFlightSince: number | null = null;
  /** Batches of the commit in flight, and when the oldest of them came. */
  #inFlight = 0;
  #inFlightOldestAt = Infinity;
  #cancelTick: Cancel | null = null;
  #cancelForget: Cancel = () => {};
  #flushing: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;

  constructor(parts: AggregatorParts) {
    this.#parts = parts;
    this.#options = { ...AGGREGATOR_DEFAULTS, ...parts.options };
    this.#state = emptyState(this.#options, Math.floor(parts.runtime.random.next() * 2 ** 32));
    this.#inbox = new Inbox(this.#options.inboxMax);
    this.#comebacks = new Comebacks(parts.runtime);
    this.#writer = new ShardWriter(parts, this.#state, this.#options.commitBytesMax, this.#giveUp.signal);
    this.#forgetting = new Forgetting(parts, this.#state, this.#writer, this.#acknowledged);
  }

  /** Null before `start` has minted it. */
  get actor(): ActorId | null {
    return this.#writer.actor;
  }

  /** Of the last durable commit. */
  get sequence(): number {
    return this.#writer.sequence;
  }

  /** The time of the commit in flight; null when there is none, and then later commits are from now on. */
  inFlightSince(): number | null {
    return this.#inFlightSince;
  }

  /** How long the oldest batch that is not answered has waited. */
  lagMs(): number {
    return Math.max(0, this.#parts.runtime.clock.now() - Math.min(this.#inFlightOldestAt, this.#inbox.oldestAt));
  }

  /** The share of the batches that may wait that do. */
  get inboxShare(): number {
    return this.#inbox.size / this.#options.inboxMax;
  }

  /** Whether it takes no batch now because those that it has wait too long. */
  isLate(): boolean {
    return this.#inbox.size + this.#inFlight >= this.#options.patientBatches && this.lagMs() > this.#options.lagMsMax;
  }

  /** After how long who is refused now is to come back. */
  retryAfterMs(): number {
    return this.#comebacks.nextMs();
  }

  /** Taps that this process has acknowledged as accepted and not as duplicates, counted apart from the ledger. */
  acknowledged(stream: StreamId): number {
    return this.#acknowledged.get(stream) ?? 0;
  }

  /**
   * Numbers for observability: counters, but for `inbox`, `sessions`, `buckets`, `devices`, `addresses`, `flagged`, `streams`, `contributions`,
   * `contributors`, `retractableSeconds`, `sequence` and `recoveredCommits`.
   */
  get stats(): AggregatorStats {
    const { contributions, claims } = this.#state;
    return {
      ...this.#count,
      ...this.#writer.stats,
      inbox: this.#inbox.size,
      sessions: this.#state.sessions.size,
      ...this.#state.judge.stats,
      streams: this.#state.counts.streamCount,
      contributions: contributions.size,
      contributors: contributions.contributorCount,
      tapsUnattributed: contributions.unattributed,
      ...claims.stats,
      claimsPending: claims.size,
      claimWorks: this.#works.size,
      sessionsForgottenEarly: this.#state.sessions.forgottenEarly,
      // How far back taps can be taken back.
      retractableSeconds: Math.max(0, Math.floor((this.#parts.runtime.clock.now() - contributions.forgottenUntilMs) / 1000)),
    };
  }

  /**
   * Recovers what earlier lives committed, and becomes the shard's writer as a fresh actor. Tries until it
   * succeeds. @throws HotStoreUnavailable when stopped meanwhile
   */
  async open(): Promise<void> {
    if (this.#phase !== 'new') throw new Error(`an aggregator starts once, this one is ${this.#phase}`);
    this.#phase = 'starting';
    await this.#writer.begin();
  }

  /**
   * Takes batches from now on. Where a region has several shards, all must be open before: streams may have moved between
   * them since an earlier life, which writes until they are [AGG-55].
   * @throws HotStoreUnavailable when stopped meanwhile; HotStoreFenced when another process has become the writer
   */
  async start(): Promise<void> {
    if (this.#phase === 'new') await this.open();
    try {
      await this.#writer.catchUp();
    } catch (error) {
      if (error instanceof HotStoreFenced) this.#abandon([], error);
      throw error;
    }
    if (this.#giveUp.signal.aborted) throw new HotStoreUnavailable('stopped while starting');
    this.#phase = 'running';
    this.#cancelForget = this.#parts.runtime.timers.every(FORGET_INTERVAL_MS, () => {
      this.policyChanged();
      void this.#forgetting.forget();
    });
    this.policyChanged();
  }

  /** A stream's policy may have changed, or any; what it takes back is looked for in the next commits. */
  policyChanged(stream: StreamId | null = null): void {
    if (this.#phase !== 'running') return;
    checkPolicies(this.#state, this.#parts.policyOf, stream);
    this.#schedule();
  }

  submit(batch: Batch, done: (reply: IngestReply) => void): void {
    this.#count.batches += 1;
    const one = { batch, done, at: this.#parts.runtime.clock.now() };
    if (this.#phase !== 'running') return this.#reply(one, this.#refusal('unavailable'));
    if (this.isLate()) {
      this.#count.late += 1;
      return this.#reply(one, this.#refusal('overloaded'));
    }
    if (this.#parts.admission() !== null || !this.#inbox.put(one)) return this.#reply(one, this.#refusal('overloaded'));
    this.#schedule();
  }

  /** The claims of this shard that are pending, as committed. Only before the first batch. */
  pendingClaims(): Iterable<ClaimRecord> {
    return this.#state.claims.records();
  }

  /** What another region says of claims: false when it is to be said again later. */
  hear(work: ClaimWork): boolean {
    if (this.#phase !== 'running') return false;
    if (work.kind === 'claim' && this.#parts.isOver?.(work.claim.stream) === true) {
      const { stream, session, sequence } = work.claim;
      // Nobody remembers it, and nothing of its stream is ever counted again.
      queueMicrotask(() => work.done({ stream, session, sequence, verdict: 'unknown', clamped: 0 }));
      return true;
    }
    if (!this.#works.put(work)) return false;
    this.#schedule();
    return true;
  }

  /** Whom this shard takes for programs on a stream, the most suspicious first [SPAM-9]. */
  flagged(stream: StreamId): FlaggedViewer[] {
    const scope = this.#state.counts.find(stream)?.scope;
    return scope === undefined ? [] : this.#state.judge.flagged(scope, this.#parts.runtime.clock.now());
  }

  /** Refuses new batches, makes durable and answers those taken in, and closes the store. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#phase !== 'running') this.#giveUp.abort();
    this.#phase = 'stopping';
    this.#cancelTick?.();
    this.#cancelForget();
    const cancel = this.#parts.runtime.timers.after(this.#options.stopMsMax, () => this.#giveUp.abort());
    while (this.#flushing !== null || this.#inbox.size > 0) await this.#flush();
    cancel();
    await this.#parts.hotStore.close();
  }

  #schedule(): void {
    if (this.#cancelTick !== null || this.#flushing !== null || this.#phase !== 'running') return;
    const { checks, claims } = this.#state;
    if (this.#inbox.size + checks.size + this.#works.size === 0 && !claims.isDue(this.#parts.runtime.clock.now())) return;
    this.#cancelTick = this.#parts.runtime.timers.after(this.#options.tickMs, () => {
      this.#cancelTick = null;
      void this.#flush();
    });
  }

  /** Commits what waits: one commit, or more at once when more than one is full. Never rejects. */
  #flush(): Promise<void> {
    this.#flushing ??= this.#commitWaiting().finally(() => {
      this.#flushing = null;
      this.#schedule();
    });
    return this.#flushing;
  }

  async #commitWaiting(): Promise<void> {
    do {
      const waiting: Waiting[] = [];
      try {
        await this.#commitOne(waiting);
      } catch (error) {
        this.#abandon(waiting, error);
        return;
      } finally {
        this.#inFlightSince = null;
        this.#inFlight = 0;
        this.#inFlightOldestAt = Infinity;
      }
    } while (this.#inbox.size >= this.#options.batchesPerCommitMax);
  }

  /** Takes batches out of the inbox into `waiting`, and answers them once their commit is durable. */
  async #commitOne(waiting: Waiting[]): Promise<void> {
    const startedAt = this.#parts.runtime.clock.now();
    const at = Math.max(this.#lastAt, Math.floor(startedAt));
    this.#lastAt = at;
    const { policyOf } = this.#parts;
    const replies: IngestReply[] = [];
    const takenBack = retract(this.#state, policyOf, at, this.#options.commitBytesMax * RETRACTION_SHARE);
    const judged = this.#works.work(this.#state, at, this.#options.commitBytesMax * CLAIM_WORKS_SHARE);
    this.#state.claims.tend(at, this.#options.commitBytesMax * REPEATED_CLAIMS_SHARE);
    while (waiting.length < this.#options.batchesPerCommitMax && changedBytes(this.#state) < this.#options.commitBytesMax) {
      const place = waiting.length % BATCHES_AHEAD;
      if (place === 0) this.#ahead.look(this.#state, this.#inbox.peek(BATCHES_AHEAD));
      const next = this.#inbox.take();
      if (next === undefined) break;
      waiting.push(next);
      replies.push(step(this.#state, next.batch, policyOf(next.batch.stream), at, this.#ahead.slotOf(place)));
    }
    this.#inFlight = waiting.length;
    this.#inFlightOldestAt = waiting[0]?.at ?? Infinity;
    const changes = takeChanges(this.#state);
    if (changes !== null) {
      this.#inFlightSince = at;
      for (const commit of await this.#writer.makeDurable(changes, at)) this.#parts.onCommit(commit);
      this.#forgetting.handedOn(at);
      this.#inFlightSince = null;
      this.#count.tapsTakenBack += takenBack;
      this.#parts.observeCommitMs?.(this.#parts.runtime.clock.now() - startedAt);
    }
    for (const [index, one] of waiting.entries()) {
      const reply = replies[index]!;
      this.#reply(one, reply.kind === 'refused' && reply.reason === 'overloaded' ? this.#refusal('overloaded') : reply);
    }
    this.#comebacks.counted(waiting.length);
    judged();
  }

  /** Nothing more can be made durable: whoever waits is told that nothing is known of their batch. */
  #abandon(waiting: readonly Waiting[], error: unknown): void {
    const stopping = this.#phase === 'stopping';
    if (!stopping) this.#phase = 'fenced';
    const reason = error instanceof HotStoreFenced ? 'Another process writes this shard; this one stops.' : 'The shard stops with batches unanswered.';
    this.#cancelForget();
    this.#parts.log.error({ error, actor: this.actor }, reason);
    for (const one of waiting) this.#reply(one, this.#refusal('unavailable'));
    for (let one = this.#inbox.take(); one !== undefined; one = this.#inbox.take()) this.#reply(one, this.#refusal('unavailable'));
    if (!stopping) this.#parts.onFenced();
  }

  #refusal(reason: 'overloaded' | 'unavailable'): IngestReply {
    return { kind: 'refused', reason, retryAfterMs: this.retryAfterMs() };
  }

  #reply({ batch, done }: Waiting, reply: IngestReply): void {
    if (reply.kind === 'counted' && reply.duplicate) this.#count.duplicates += 1;
    else if (reply.kind === 'counted') {
      this.#count.tapsAccepted += reply.accepted;
      this.#count.tapsClamped += reply.clamped;
      this.#acknowledged.set(batch.stream, this.acknowledged(batch.stream) + reply.accepted);
    } else {
      this.#count.refused += 1;
      if (reply.reason === 'overloaded') this.#count.overloaded += 1;
    }
    try {
      done(reply);
    } catch (error) {
      this.#parts.log.error({ error }, 'A receiver of replies failed.');
    }
  }
}
