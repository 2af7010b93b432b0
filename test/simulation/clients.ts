/**
 * The viewers: they tap, number their batches, send them again until they are answered, and move between regions.
 *
 * A client keeps what the player SDK keeps. Without claims between regions an unanswered batch belongs to the
 * region that it was first sent to; with them there is one session for all regions, and each batch says where it
 * may have been received before. What is true of every batch is noted here, for the truth to be told at the end.
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { Batch, IngestReply, Reaction } from '../../src/aggregator/ingest.ts';
import { VIA_MAX } from '../../src/protocol/messages.ts';
import { hit, type Counters } from './servers.ts';
import type { Life, SimulatedRegion } from './simulated-region.ts';
import type { SimulatedRuntime } from '../support/simulated-runtime.ts';

const RESEND_MS = 1_500;
const UNANSWERED_MAX = 24;
const NUMBERS_AHEAD_MAX = 32;

/** A batch, and what its client knows of it. */
export interface SentBatch {
  readonly client: Client;
  readonly session: string;
  readonly sequence: number;
  readonly reactions: readonly Reaction[];
  readonly taps: number;
  /** The region that it goes to, and those of its earlier visits. */
  region: string;
  via: string[];
  state: 'open' | 'counted' | 'refused' | 'abandoned';
  accepted: number;
  /** The region that said so. */
  answeredBy: string | null;
  /** Times of the regions' clocks between which it was counted, if it was. */
  earliestAt: number;
  answeredAt: number;
  /**
   * It reached some process after its client had given it up or was told that it does not count, or who said so had been
   * followed by another process, which may have counted it.
   */
  mayCount: boolean;
  /** Where it may have been counted: by region, whether anything there makes it doubtful. */
  readonly reached: Set<string>;
  /** Regions that have since lost what they knew of it. */
  lost: boolean;
  offsetMax: number;
  /** The first process that it reached had heard that the mute of its viewer was over; null when it had not. */
  heardEnd: Life | null;
}

export interface ClientFaults {
  loseRequest: number;
  loseAnswer: number;
  double: number;
}

export interface ClientWorld {
  readonly runtime: SimulatedRuntime;
  readonly counters: Counters;
  readonly regions: ReadonlyMap<string, SimulatedRegion>;
  readonly claims: boolean;
  readonly faults: ClientFaults;
  /** How many times as long as usual viewers wait between taps. */
  readonly calm: number;
  /** What moderators have decided about a viewer. */
  decisionsOn(client: Client): readonly unknown[];
  violated(what: string): void;
}

export class Client {
  readonly viewer: string;
  readonly device: string | null;
  readonly stream: StreamId;
  readonly batches: SentBatch[] = [];
  region: string;
  tapping = true;
  readonly #world: ClientWorld;
  readonly #emoji: readonly EmojiId[];
  readonly #open = new Set<SentBatch>();
  /** The next number of each session. */
  readonly #next = new Map<string, number>();
  #run: string;

  constructor(world: ClientWorld, number: number, stream: StreamId, region: string, emoji: readonly EmojiId[]) {
    this.#world = world;
    this.#run = String(number);
    this.viewer = `v${number}`;
    this.device = number % 3 === 0 ? null : `d${number}`;
    this.stream = stream;
    this.region = region;
    this.#emoji = emoji;
    this.#tapLater();
  }

  get unanswered(): number {
    return this.#open.size;
  }

  move(region: string): void {
    if (region === this.region) return;
    this.region = region;
    this.#world.counters.add('client moved');
    if (!this.#world.claims) return;
    // Who has nothing in hand begins another session, so that the region that was left remembers the numbers that it saw.
    if (this.#open.size === 0) this.#run = `${this.#run}x`;
    for (const batch of this.#open) this.#send(batch);
  }

  /** The page is closed: nobody will ever know what became of what was not answered. */
  close(): void {
    this.tapping = false;
    for (const batch of this.#open) this.#giveUp(batch);
  }

  #giveUp(batch: SentBatch): void {
    batch.state = 'abandoned';
    this.#open.delete(batch);
    this.#world.counters.add('batch abandoned');
  }

  #tapLater(): void {
    const { runtime } = this.#world;
    runtime.timers.after(this.#world.calm * (150 + runtime.random.next() * 600), () => {
      if (!this.tapping) return;
      this.#tap();
      this.#tapLater();
    });
  }

  #session(): string {
    return this.#world.claims ? `s${this.#run}` : `s${this.#run}-${this.region}`;
  }

  #tap(): void {
    const { random } = this.#world.runtime;
    const session = this.#session();
    const sequence = this.#next.get(session) ?? 1;
    for (const batch of this.#open) if (batch.session === session && sequence - batch.sequence >= NUMBERS_AHEAD_MAX) return;
    if (this.#open.size >= UNANSWERED_MAX) return;
    this.#next.set(session, sequence + 1);
    const reactions: Reaction[] = [[this.#emoji[0]!, 1 + Math.floor(random.next() * 4)]];
    if (random.next() < 0.3) reactions.push([this.#emoji[1 + Math.floor(random.next() * (this.#emoji.length - 1))]!, 1 + Math.floor(random.next() * 3)]);
    const batch: SentBatch = {
      client: this,
      session,
      sequence,
      reactions,
      taps: reactions.reduce((sum, [, taps]) => sum + taps, 0),
      region: this.region,
      via: [],
      state: 'open',
      accepted: 0,
      answeredBy: null,
      earliestAt: Infinity,
      answeredAt: Infinity,
      mayCount: false,
      reached: new Set(),
      lost: false,
      offsetMax: -Infinity,
      heardEnd: null,
    };
    this.batches.push(batch);
    this.#open.add(batch);
    this.#send(batch);
  }

  /** Sends it, now and until it is answered. */
  #send(batch: SentBatch): void {
    if (!this.#open.has(batch)) return;
    const { runtime, counters, faults, claims } = this.#world;
    if (claims && batch.region !== this.region) {
      // More moves than a batch can name end in doubt.
      if (batch.via.length === VIA_MAX) return this.#giveUp(batch);
      batch.via = [...batch.via, batch.region];
      batch.region = this.region;
      counters.add('batch taken along');
    }
    const { region } = batch;
    const via = batch.via.length === 0 ? {} : { via: batch.via };
    const times = hit(runtime, faults.double) ? 2 : 1;
    if (times > 1) counters.add('request doubled');
    for (let copy = 0; copy < times; copy++) {
      if (hit(runtime, faults.loseRequest)) {
        counters.add('request lost');
        continue;
      }
      const delayMs = 5 + runtime.random.next() * (copy === 0 ? 60 : 2500);
      runtime.timers.after(delayMs, () => this.#arrive(batch, region, via));
    }
    runtime.timers.after(RESEND_MS * (1 + runtime.random.next() * 0.5), () => {
      if (!this.#open.has(batch)) return;
      counters.add('request resent');
      // Who is not answered looks for another region.
      const others = [...this.#world.regions.keys()].filter((region) => region !== this.region);
      if (claims && hit(runtime, 0.15)) this.move(others[Math.floor(runtime.random.next() * others.length)]!);
      else this.#send(batch);
    });
  }

  #arrive(batch: SentBatch, name: string, via: { readonly via?: readonly string[] }): void {
    const { runtime } = this.#world;
    const region = this.#world.regions.get(name)!;
    // Connections to a process that stands still are not closed.
    const [zombie] = region.zombies;
    const life = zombie !== undefined && runtime.random.next() < 0.4 ? zombie : region.current;
    if (life === null) return;
    life.process.run(() => this.#submit(batch, life, via));
  }

  #submit(sent: SentBatch, life: Life, via: { readonly via?: readonly string[] }): void {
    const { runtime, counters, faults } = this.#world;
    if (!life.started) return;
    if (sent.reached.size === 0) {
      const { mutedViewers, mutedDevices } = life.plane.policyOf(this.stream);
      const held = mutedViewers.get(this.viewer) ?? mutedDevices.get(this.device ?? '');
      if (held !== undefined && (held.liftedAt ?? held.until) !== null) sent.heardEnd = life;
    }
    sent.reached.add(life.region);
    sent.earliestAt = Math.min(sent.earliestAt, life.process.clock.now());
    sent.offsetMax = Math.max(sent.offsetMax, life.process.offsetMs);
    if (sent.state === 'refused') sent.mayCount = true;
    life.submit(batchOf(sent, via), (reply) => {
      const answeredAt = runtime.clock.now();
      const isFollowed = this.#world.regions.get(life.region)!.current !== life;
      if (hit(runtime, faults.loseAnswer)) return counters.add('answer lost');
      runtime.timers.after(5 + runtime.random.next() * 60, () => this.#answered(sent, reply, life.region, answeredAt, isFollowed));
    });
  }

  #answered(batch: SentBatch, reply: IngestReply, region: string, answeredAt: number, isFollowed: boolean): void {
    const { runtime, counters, violated } = this.#world;
    if (reply.kind === 'counted') {
      if (reply.duplicate) counters.add('duplicate recognised');
      if (reply.accepted + reply.clamped !== batch.taps) violated(`an answer to ${name(batch)} adds up to ${reply.accepted + reply.clamped} instead of ${batch.taps}`);
      if (batch.state === 'counted' && batch.accepted !== reply.accepted && !batch.lost && batch.reached.size === 1) {
        violated(`${name(batch)} was answered ${batch.accepted} and then ${reply.accepted}`);
      }
      if (batch.state === 'counted') return;
      if (reply.clamped > 0) counters.add('taps clamped', reply.clamped);
      if (reply.clamped > 0 && this.#world.decisionsOn(this).length === 0) violated(`${name(batch)} was clamped, though nobody taps too much and no moderator has decided about its viewer`);
      // Also of one that was given up: the answer tells the observer what the client does not hear.
      batch.state = 'counted';
      batch.accepted = reply.accepted;
      batch.answeredBy = region;
      batch.answeredAt = answeredAt;
      this.#open.delete(batch);
      return;
    }
    if (!this.#open.has(batch)) return;
    counters.add(`refused: ${reply.reason}`);
    if (reply.reason === 'overloaded' || reply.reason === 'unavailable') {
      runtime.timers.after(reply.retryAfterMs ?? 500, () => this.#send(batch));
      return;
    }
    if (reply.reason === 'stale-sequence' && !batch.lost) violated(`${name(batch)} is stale`);
    batch.state = 'refused';
    if (isFollowed) batch.mayCount = true;
    batch.answeredAt = answeredAt;
    this.#open.delete(batch);
  }
}

/** As the edge hands it to its region. */
export function batchOf({ client, session, sequence, reactions }: SentBatch, via: { readonly via?: readonly string[] }): Batch {
  return { stream: client.stream, viewer: client.viewer, device: client.device, address: null, session, sequence, reactions, ...via };
}

export function name({ session, sequence, region }: SentBatch): string {
  return `batch ${session}#${sequence} of ${region}`;
}
