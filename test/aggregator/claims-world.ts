/**
 * Regions that claim and judge, in one process without clocks of their own: real shard states and desks, journals and
 * logs as maps, viewers that move and resend. Whatever travels may be lost, late, doubled and out of order, and any
 * region may crash before or after any commit, and recovers from its commits in any order.
 */

import { actorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { DocumentKind } from '../../regions/documents.ts';
import type { Log, Random, Runtime } from '../../regions/runtime.ts';
import { ClaimWorks, type ClaimWork } from '../../src/aggregator/claim-works.ts';
import { ClaimsDesk } from '../../src/aggregator/claims-desk.ts';
import type { Batch, IngestReply, Reaction } from '../../src/aggregator/ingest.ts';
import { emptyState, restore, restored, takeChanges, type ShardState } from '../../src/aggregator/shard-state.ts';
import { step } from '../../src/aggregator/step.ts';
import { decodeRecord, encodeCommit } from '../../src/hot-store/commit-codec.ts';
import type { Commit } from '../../src/hot-store/hot-store.ts';
import { DEFAULT_POLICY, type Policy } from '../../src/moderation/policy.ts';

export const START = 1_795_000_000_000;
export const DERBY = 'derby' as StreamId;
export const LIES = 'lies' as StreamId;
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const EMOJIS = ['heart', 'fire', 'clap'] as EmojiId[];
const VIA_MAX = 8;

export interface Sent {
  readonly session: string;
  readonly sequence: number;
  readonly reactions: readonly Reaction[];
  /** Regions of its sendings, consecutive repeats removed. */
  readonly visits: string[];
  acknowledged: number | null;
}

interface Message {
  readonly to: string;
  readonly batch: Batch;
  readonly reply: (reply: IngestReply) => void;
}

/** One region: its lives share the journal and the log. */
export class ToyRegion {
  readonly name: string;
  readonly policy: Policy;
  readonly journal: Uint8Array[] = [];
  readonly log = new Map<string, Uint8Array>();
  state!: ShardState;
  desk!: ClaimsDesk;
  crashes = 0;
  readonly #world: ClaimsWorld;
  #works = new ClaimWorks();
  #inbox: Message[] = [];
  #dirty = new Set<string>();
  #epoch = 0;
  #sequence = 0;

  constructor(world: ClaimsWorld, name: string, policy: Policy) {
    this.#world = world;
    this.name = name;
    this.policy = policy;
    this.#begin();
  }

  submit(message: Message): void {
    this.#inbox.push(message);
  }

  /** Commits what came. Crashes before it is durable, or after it and before anybody is told, as asked. */
  commit(crash: 'before' | 'after' | null): void {
    const { world, now } = { world: this.#world, now: this.#world.now };
    const told = this.#works.work(this.state, now, Infinity);
    this.state.claims.tend(now, 10_000);
    const replies = this.#inbox.splice(0).map((message) => ({ message, reply: step(this.state, message.batch, this.policy, now) }));
    const changes = takeChanges(this.state);
    if (crash === 'before') return this.crash();
    if (changes !== null) {
      this.#sequence += 1;
      const actor = actorId({ region: this.name, shard: 0, epoch: this.#epoch });
      const commit: Commit = { actor, sequence: this.#sequence, at: now, windowsStoredBefore: 0, ...changes };
      this.journal.push(encodeCommit(commit));
      for (const { message, reply } of replies) world.counted(message.batch, reply);
      if (crash === 'after') return this.crash();
      this.desk.committed(commit);
    }
    for (const { message, reply } of replies) message.reply(reply);
    told();
  }

  publish(): void {
    for (const key of this.#dirty) {
      const bytes = this.#kind(key)?.read(key) ?? null;
      if (bytes === null) this.log.delete(key);
      else this.log.set(key, bytes);
    }
    this.#dirty.clear();
  }

  /** Reads one document of a peer's log, or that it is gone. */
  read(peer: ToyRegion, key: string): void {
    this.#kind(key)?.receive(peer.name, key, peer.log.get(key)?.slice() ?? null);
  }

  crash(): void {
    this.crashes += 1;
    this.#begin();
  }

  commits(): Commit[] {
    return this.journal.map((bytes) => {
      const record = decodeRecord(bytes);
      if (record.kind !== 'commit') throw new Error('not a commit');
      return record.commit;
    });
  }

  #begin(): void {
    const { random } = this.#world;
    this.#epoch += 1;
    this.#sequence = 0;
    this.#works = new ClaimWorks();
    this.#inbox = [];
    this.#dirty = new Set();
    const peers = this.#world.names.filter((name) => name !== this.name);
    this.state = emptyState({ streamsMax: 10, sessionsMax: 1000, bucketsMax: 1000, peers, claimsMax: 1000 }, this.#epoch);
    // Whose taps were taken back is forgotten long before claims are.
    if (random.next() < 0.5) this.state.contributions.forgetUntil(this.#world.now);
    const commits = this.commits().map((commit) => ({ commit, rank: random.next() }));
    commits.sort((a, b) => a.rank - b.rank);
    for (const { commit } of [...commits, ...commits.slice(0, 5)]) restore(this.state, commit, () => true, this.#world.now);
    this.state.claims.begin(0, this.#epoch);
    restored(this.state);
    const { state } = this;
    this.desk = new ClaimsDesk({
      region: this.name,
      shardFor: () => ({ hear: (work: ClaimWork) => random.next() < this.#world.hearing && this.#works.put(work) }),
      shards: () => [{ pendingClaims: () => state.claims.records() }],
      markDocument: (key) => this.#dirty.add(key) !== undefined,
      lacksDocument: () => false,
      heardAt: () => null,
      runtime: this.#world.runtime,
      log: SILENT,
    });
    for (const [key, bytes] of this.log) this.#kind(key)?.receive(this.name, key, bytes.slice());
    this.desk.start();
    for (const key of this.log.keys()) this.#dirty.add(key);
  }

  #kind(key: string): DocumentKind | undefined {
    return this.desk.kinds.find(({ kind }) => key.startsWith(`${kind}.`));
  }
}

export class ClaimsWorld {
  readonly random: Random;
  readonly runtime: Runtime;
  readonly names: readonly string[];
  readonly regions = new Map<string, ToyRegion>();
  readonly sent: Sent[] = [];
  now = START;
  /** The chance that a shard takes what its desk brings. */
  hearing = 1;
  /** Runs what desks do every second. */
  readonly again = new Set<() => void>();
  /** Batch → of each region's counting, how much. */
  readonly countings = new Map<string, number[]>();
  readonly #messages: Message[] = [];

  constructor(random: Random, names: readonly string[]) {
    this.random = random;
    this.names = names;
    this.runtime = {
      clock: { now: () => this.now },
      random,
      timers: {
        every: (_ms: number, run: () => void) => {
          this.again.add(run);
          return () => this.again.delete(run);
        },
      },
    } as unknown as Runtime;
    for (const name of names) {
      const viewer = { tapsPerSecondMax: 1 + this.below(5), tapBurstMax: 4 + this.below(30) };
      this.regions.set(name, new ToyRegion(this, name, { ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, viewer } }));
    }
  }

  below(bound: number): number {
    return Math.floor(this.random.next() * bound);
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }

  region(name: string): ToyRegion {
    return this.regions.get(name)!;
  }

  newBatch(session: string, sequence: number): Sent {
    const emojis = EMOJIS.filter(() => this.random.next() < 0.5);
    const reactions = (emojis.length === 0 ? [EMOJIS[0]!] : emojis).map((emoji): Reaction => [emoji, 1 + this.below(6)]);
    const batch = { session, sequence, reactions, visits: [], acknowledged: null };
    this.sent.push(batch);
    return batch;
  }

  /** Sends a batch to where its viewer is now. */
  send(sent: Sent, to: string, isAnswerHeard: () => boolean): void {
    if (sent.visits.at(-1) !== to) sent.visits.push(to);
    const via = sent.visits.slice(0, -1);
    if (via.length > VIA_MAX) throw new Error('a viewer moves no further');
    const { session, sequence, reactions } = sent;
    const batch = { stream: DERBY, viewer: session, device: null, address: null, session, sequence, reactions, ...(via.length === 0 ? {} : { via }) };
    this.post(to, batch, (reply) => {
      if (reply.kind === 'counted' && isAnswerHeard() && this.random.next() < 0.6) sent.acknowledged ??= reply.accepted;
    });
  }

  post(to: string, batch: Batch, reply: Message['reply'] = () => {}): void {
    this.#messages.push({ to, batch, reply });
  }

  get messagesWaiting(): number {
    return this.#messages.length;
  }

  /** One message arrives, and may arrive again; `isLost` says that it does not arrive. */
  deliver(isLost: boolean, isDoubled: boolean): void {
    if (this.#messages.length === 0) return;
    const index = this.below(this.#messages.length);
    const message = this.#messages[index]!;
    if (!isDoubled) this.#messages.splice(index, 1);
    if (!isLost) this.region(message.to).submit(message);
  }

  /** One region reads something of another's log, present or gone. */
  gossip(): void {
    const [reader, owner] = [this.pick(this.names), this.pick(this.names)];
    if (reader === owner) return;
    const keys = new Set([...this.region(owner).log.keys(), ...this.#keysSeen]);
    const key = this.pick([...keys, '']);
    if (key === '') return;
    this.#keysSeen.add(key);
    this.region(reader).read(this.region(owner), key);
  }
  readonly #keysSeen = new Set<string>();

  /** Everything that is there is read by everybody, until nothing changes any more. */
  settle(): void {
    for (let round = 0; round < 30; round++) {
      this.now += 1000;
      for (const run of this.again) run();
      for (const region of this.regions.values()) {
        region.commit(null);
        region.publish();
      }
      for (const owner of this.regions.values()) {
        for (const key of owner.log.keys()) this.#keysSeen.add(key);
        for (const reader of this.regions.values()) {
          if (reader !== owner) for (const key of this.#keysSeen) if (owner.log.has(key) || round % 3 === 2) reader.read(owner, key);
        }
      }
    }
  }

  counted({ stream, session, sequence }: Batch, reply: IngestReply): void {
    if (stream !== DERBY || reply.kind !== 'counted' || reply.duplicate) return;
    const key = `${session} ${sequence}`;
    this.countings.set(key, [...(this.countings.get(key) ?? []), reply.accepted]);
  }

  /** What must be counted of each emoji: of each batch what its greatest counting had of it. */
  truth(): Map<string, number> {
    const truth = new Map<string, number>();
    for (const { session, sequence, reactions } of this.sent) {
      let left = Math.max(0, ...(this.countings.get(`${session} ${sequence}`) ?? []));
      for (const [emoji, taps] of reactions) {
        truth.set(emoji, (truth.get(emoji) ?? 0) + Math.min(left, taps));
        left -= Math.min(left, taps);
      }
    }
    return truth;
  }

  totals(stream: StreamId): Map<string, number> {
    const ledger = new Ledger();
    for (const region of this.regions.values()) {
      for (const { actor, sequence, rows } of region.commits()) {
        for (const row of rows) ledger.join({ stream: row.stream, actor, sequence, entries: row.entries });
      }
    }
    const totals = new Map<string, number>();
    for (const tally of ledger.tallies()) {
      if (tally.stream !== stream) continue;
      for (const [emoji, counter] of tally.counters()) totals.set(emoji, counter.value);
    }
    return totals;
  }

  /** As the database sums them: of each actor's window and emoji the greatest, increments less decrements. */
  windowTotals(stream: StreamId): Map<string, number> {
    const greatest = new Map<string, readonly [emoji: string, signed: number]>();
    const raise = (key: string, emoji: string, count: number, sign: number): void => {
      if (count > Math.abs(greatest.get(key)?.[1] ?? 0)) greatest.set(key, [emoji, sign * count]);
    };
    for (const region of this.regions.values()) {
      for (const { actor, at, rows, corrections } of region.commits()) {
        for (const row of rows.filter((one) => one.stream === stream)) {
          for (const { emoji, windowIncrements } of row.entries) raise(`+ ${actor} ${Math.floor(at / 1000)} ${emoji}`, emoji, windowIncrements, 1);
        }
        for (const one of corrections.filter((correction) => correction.stream === stream)) {
          raise(`- ${actor} ${one.windowStart} ${one.emoji}`, one.emoji, one.decrements, -1);
        }
      }
    }
    const totals = new Map<string, number>();
    for (const [emoji, signed] of greatest.values()) totals.set(emoji, (totals.get(emoji) ?? 0) + signed);
    return totals;
  }
}
