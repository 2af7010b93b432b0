/**
 * The shard writer: one life of a shard as its hot store sees it, from recovery to the last commit.
 *
 * Promises: each life writes as a fresh actor, never one that a life before used [AGG-5]; a commit whose
 * fate is unknown is tried again, the very same, until it is durable [AGG-6]; when the store has lost
 * commits that were durable, the whole state is committed anew before the next one counts as durable
 * [AGG-8]; what a journal says that has lost commits is not believed to be still there to be taken back
 * [AGG-36], and what it does not say is not believed to have never been; what journals of other shards say of streams that are this
 * shard's now stands in its own before the first batch [AGG-56]. Durable commits are joined into the ledger here, and nowhere else.
 */

import { actorId, mintEpoch, parseActorId, type ActorId } from '../../crdt/actor.ts';
import type { StreamId } from '../../crdt/ids.ts';
import type { Ledger } from '../../crdt/ledger.ts';
import { backoffMs } from '../../regions/backoff.ts';
import { sleep, type Log, type Runtime } from '../../regions/runtime.ts';
import { COMMIT_RETENTION_MS, HotStoreFenced, HotStoreLost, HotStoreUnavailable, type Commit, type HotStore } from '../hot-store/hot-store.ts';
import type { Origin } from './spread.ts';
import { restore, restored, wholeState, type Changes, type ShardState } from './shard-state.ts';

export interface WriterParts {
  readonly region: string;
  readonly shard: number;
  /** Whether what is recovered of a stream is this shard's; the journal may hold commits of others. */
  readonly owns: (stream: StreamId, origin: Origin) => boolean;
  readonly hotStore: HotStore;
  readonly ledger: Ledger;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Windows of this actor that start before this time are in the database. */
  readonly windowsStoredBefore: () => number;
  /** Called with each commit that was recovered, possibly more than once. */
  readonly onRecovered?: (commit: Commit) => void;
}

const BACKOFF = { minMs: 50, maxMs: 1000 };

export class ShardWriter {
  readonly #parts: WriterParts;
  readonly #state: ShardState;
  readonly #commitBytesMax: number;
  readonly #giveUp: AbortSignal;
  readonly #count = { commits: 0, commitRetries: 0, journalsLost: 0, recoveredCommits: 0 };
  #actor: ActorId | null = null;
  /** Of the last commit tried. A commit that was replaced leaves a gap. */
  #triedSequence = 0;
  #sequence = 0;
  #startedAt = Infinity;
  #recoveredUntil = -Infinity;
  /** Nothing that an earlier life wrote is still to come. */
  #isCaughtUp = false;
  /** The journals of other shards told something of this shard's streams. */
  #hasOthers = false;

  /** `giveUp` ends all retries. */
  constructor(parts: WriterParts, state: ShardState, commitBytesMax: number, giveUp: AbortSignal) {
    this.#parts = parts;
    this.#state = state;
    this.#commitBytesMax = commitBytesMax;
    this.#giveUp = giveUp;
  }

  get actor(): ActorId | null {
    return this.#actor;
  }

  /** Of the last durable commit. */
  get sequence(): number {
    return this.#sequence;
  }

  /** When this life began to recover what earlier ones left; Infinity before. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** The time of the latest commit that earlier lives left, by their clocks; −Infinity when they left none. */
  get recoveredUntil(): number {
    return this.#recoveredUntil;
  }

  get stats(): Readonly<Record<string, number>> {
    return { ...this.#count, sequence: this.#sequence };
  }

  /** Recovers what earlier lives committed and becomes the writer; `catchUp` comes next. @throws HotStoreUnavailable when given up */
  async begin(): Promise<void> {
    const { hotStore, ledger, log, region, shard, runtime } = this.#parts;
    const epochs = new Set<number>();
    this.#startedAt = runtime.clock.now();
    for (let failures = 0; !this.#giveUp.aborted; failures++) {
      try {
        this.#state.contributions.forgetUntil(runtime.clock.now() - COMMIT_RETENTION_MS);
        const sequences = await this.#recover(epochs);
        if (this.#hasLostCommits(sequences)) {
          log.error({ region, shard }, 'The journal has lost commits: what was counted so far cannot be taken back any more.');
          this.#state.contributions.forgetUntil(runtime.clock.now());
          this.#state.sessions.forgetUntil(runtime.clock.now());
          this.#state.claims.giveUp();
        } else if (this.#isBlank(sequences)) {
          log.info({ region, shard }, 'The journal has nothing of earlier lives: nobody counted for a while, or it was lost.');
          this.#state.sessions.forgetUntil(runtime.clock.now());
        }
        for (const actor of ledger.actors()) this.#noteEpoch(actor, epochs);
        const epoch = mintEpoch(runtime.clock.now(), epochs);
        // An attempt that failed may have been recorded all the same.
        epochs.add(epoch);
        const actor = actorId({ region, shard, epoch });
        if (await hotStore.begin(actor)) {
          this.#actor = actor;
          this.#state.claims.begin(shard, epoch);
          return;
        }
      } catch (error) {
        log.warn({ error, region, shard, failures }, 'The hot store cannot be recovered yet; trying again.');
      }
      await this.#backOff(failures);
    }
    throw new HotStoreUnavailable('given up before the shard had started');
  }

  /**
   * Recovers what earlier lives wrote to the journals of other shards until these had begun: streams may have moved.
   * @throws HotStoreFenced; HotStoreUnavailable when given up
   */
  async catchUp(): Promise<void> {
    await this.#persist(async () => void (await this.#replay((visit) => this.#parts.hotStore.catchUp(visit))));
    this.#isCaughtUp = true;
    restored(this.#state);
    if (this.#hasOthers) await this.#keepOthers();
    this.#parts.log.info({ actor: this.#actor, ...this.#count, sessions: this.#state.sessions.size }, 'The shard has started.');
  }

  /** What other shards' journals said of streams that are this shard's now may be lost with these, which nobody here would notice. */
  async #keepOthers(): Promise<void> {
    const at = Math.floor(this.#parts.runtime.clock.now());
    for (const piece of wholeState(this.#state, at, this.#commitBytesMax)) await this.makeDurable(piece, at);
  }

  /**
   * Resolves with the commits that hold the changes, once they are durable and in the ledger. Those that repeat the state are
   * without their sessions and contributions: they would be many, and nothing is derived from these.
   * @throws HotStoreFenced; HotStoreUnavailable when given up
   */
  async makeDurable(changes: Changes, at: number): Promise<readonly Commit[]> {
    let commits: readonly Commit[];
    try {
      commits = [await this.#commit(changes, at)];
    } catch (error) {
      if (!(error instanceof HotStoreLost)) throw error;
      commits = await this.#commitWholeState(changes, at);
    }
    for (const commit of commits) this.#join(commit);
    this.#sequence = this.#triedSequence;
    this.#count.commits += commits.length;
    return commits;
  }

  /** The changes that could not be committed are part of the state; they come first, because they must not come apart. */
  async #commitWholeState(changes: Changes, at: number): Promise<readonly Commit[]> {
    for (let failures = 0; ; failures++) {
      this.#count.journalsLost += 1;
      const sessions = this.#state.sessions.size;
      this.#parts.log.error({ actor: this.#actor, sessions }, 'The hot store has lost its journal; committing the whole state anew.');
      try {
        await this.#persist(() => this.#beginAgain());
        const commits = [await this.#commit(changes, at)];
        for (const piece of wholeState(this.#state, at, this.#commitBytesMax)) {
          commits.push({ ...(await this.#commit(piece, at)), sessions: [], contributions: [] });
        }
        await this.#forgetRest(at);
        return commits;
      } catch (error) {
        if (!(error instanceof HotStoreLost)) throw error;
        await this.#backOff(failures);
      }
    }
  }

  /** What is left of the journal that was lost would make the next life believe that it is lost still. */
  async #forgetRest(at: number): Promise<void> {
    try {
      await this.#parts.hotStore.forget(at);
    } catch (error) {
      this.#parts.log.warn({ error, actor: this.#actor }, 'What is left of a lost journal stays.');
    }
  }

  async #beginAgain(): Promise<void> {
    const found = await this.#recover(new Set());
    for (const actor of [...found.keys(), ...this.#parts.ledger.actors()]) {
      // The journal that was lost was its successor's: who was followed must not take the shard back.
      if (this.#isSuccessor(actor)) throw new HotStoreFenced(`${actor} has followed ${this.#actor}`);
    }
    if (!(await this.#parts.hotStore.begin(this.#actor!))) throw new HotStoreUnavailable('another process begins, too');
  }

  #isSuccessor(actor: ActorId): boolean {
    const own = parseActorId(this.#actor);
    const { region, shard, epoch } = parseActorId(actor);
    return region === own.region && shard === own.shard && epoch > own.epoch;
  }

  async #commit(changes: Changes, at: number): Promise<Commit> {
    this.#triedSequence += 1;
    const storedBefore = this.#parts.windowsStoredBefore();
    const commit: Commit = {
      actor: this.#actor!,
      sequence: this.#triedSequence,
      at,
      ...changes,
      // 0 is always true: it only means that a later life queues the windows again.
      windowsStoredBefore: Number.isSafeInteger(storedBefore) ? Math.max(0, storedBefore) : 0,
    };
    await this.#persist(() => this.#parts.hotStore.commit(commit));
    return commit;
  }

  async #persist(write: () => Promise<void>): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        return await write();
      } catch (error) {
        if (error instanceof HotStoreFenced || error instanceof HotStoreLost || this.#giveUp.aborted) throw error;
        this.#count.commitRetries += 1;
        this.#parts.log.warn({ error, actor: this.#actor, failures }, 'The hot store did not answer as it should; trying again.');
        await this.#backOff(failures);
      }
    }
  }

  /** Answers the highest sequence found of each actor. */
  async #recover(epochs: Set<number>): Promise<ReadonlyMap<ActorId, number>> {
    this.#count.recoveredCommits = 0;
    const sequences = await this.#replay((visit) => this.#parts.hotStore.recover(visit));
    for (const actor of sequences.keys()) this.#noteEpoch(actor, epochs);
    return sequences;
  }

  async #replay(read: (visit: (commit: Commit) => void) => Promise<void>): Promise<ReadonlyMap<ActorId, number>> {
    const sequences = new Map<ActorId, number>();
    const missing = new Set<keyof Changes>();
    const now = this.#parts.runtime.clock.now();
    const { owns } = this.#parts;
    const ownsOthers: WriterParts['owns'] = (stream, origin) => {
      const isOurs = owns(stream, origin);
      this.#hasOthers ||= isOurs;
      return isOurs;
    };
    await read((commit) => {
      this.#count.recoveredCommits += 1;
      if (!this.#isCaughtUp) this.#recoveredUntil = Math.max(this.#recoveredUntil, commit.at);
      for (const part of restore(this.#state, commit, this.#isOwn(commit.actor) ? owns : ownsOthers, now)) missing.add(part);
      sequences.set(commit.actor, Math.max(commit.sequence, sequences.get(commit.actor) ?? 0));
      this.#join(commit);
      this.#parts.onRecovered?.(commit);
    });
    if (missing.has('sessions')) this.#state.sessions.forgetUntil(now);
    if (missing.size > 0) {
      const advice = 'raise streamsMax, sessionsMax or contributionsMax';
      this.#parts.log.error({ missing: [...missing] }, `Not all that was recovered found room, so it may be counted twice or not be taken back: ${advice}.`);
    }
    return sequences;
  }

  /**
   * Whether the own log knows a later commit of this shard than the journal. Commits are forgotten from the oldest
   * on, so then the newest were lost, and among them may be those that took something back.
   */
  #hasLostCommits(sequences: ReadonlyMap<ActorId, number>): boolean {
    const { ledger } = this.#parts;
    const oldest = Math.min(...[...sequences.keys()].filter((actor) => this.#isOwn(actor)).map((actor) => parseActorId(actor).epoch));
    for (const actor of ledger.actors()) {
      if (this.#isOwn(actor) && parseActorId(actor).epoch >= oldest && ledger.sequence(actor) > (sequences.get(actor) ?? 0)) return true;
    }
    return false;
  }

  /** Whether the own log knows of lives of this shard and the journal of none: it was idle until all was forgotten, or lost whole. */
  #isBlank(sequences: ReadonlyMap<ActorId, number>): boolean {
    return [...this.#parts.ledger.actors()].some((actor) => this.#isOwn(actor)) && ![...sequences.keys()].some((actor) => this.#isOwn(actor));
  }

  #isOwn(actor: ActorId): boolean {
    const { region, shard } = parseActorId(actor);
    return region === this.#parts.region && shard === this.#parts.shard;
  }

  #noteEpoch(actor: ActorId, epochs: Set<number>): void {
    if (this.#isOwn(actor)) epochs.add(parseActorId(actor).epoch);
  }

  #join({ actor, sequence, rows }: Commit): void {
    for (const { stream, entries } of rows) this.#parts.ledger.join({ stream, actor, sequence, entries });
  }

  #backOff(failures: number): Promise<void> {
    const { timers, random } = this.#parts.runtime;
    return sleep(timers, backoffMs(failures, BACKOFF, random), this.#giveUp);
  }
}
