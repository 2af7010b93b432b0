/**
 * The world of one seed: regions, viewers, moderators and faults; first everything goes wrong, then nothing does,
 * and then it must all come out [SIM-1].
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { parseActorId } from '../../crdt/actor.ts';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import type { Frame } from '../../src/broadcaster/frame-feed.ts';
import { DEFAULT_BASE, type BasePolicy } from '../../src/moderation/policy.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { Client, type ClientFaults, type SentBatch } from './clients.ts';
import { scenarioOf, type Fault, type Scenario } from './faults.ts';
import { Moderator, keyOf, type Decided } from './moderators.ts';
import type { CrashPoint } from './process.ts';
import { Counters, DatabaseServer, LogServer, healthy } from './servers.ts';
import { ENDED_GRACE_MS, SHARDS_MAX, SimulatedRegion, type Life, type RegionWorld } from './simulated-region.ts';
import { truthOf } from './truth.ts';

const REGIONS = ['us', 'eu', 'ap', 'sa', 'af'];
const STREAMS = ['derby', 'opera', 'news'] as StreamId[];
const OWN_EMOJI = Array.from({ length: 12 }, (_, number) => `e${number}` as EmojiId);
const COMMON_EMOJI = ['heart', 'wow'] as EmojiId[];
const BASE: BasePolicy = {
  ...DEFAULT_BASE,
  palette: new Map([...COMMON_EMOJI, ...OWN_EMOJI].map((emoji) => [emoji, emoji] as const)),
};
/** In this long everything must have come out once nothing goes wrong any more. */
const QUIET_MS_MAX = 180_000;
/** What a region may have told nobody when it loses its disk: the gossip tick, and what was on its way. */
const UNTOLD_MS = 6_000;
/** Three heartbeats that do not agree, and some patience. */
const UNNOTICED_MS = 15_000;
const VIOLATIONS_MAX = 20;

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  readonly quietMs: number;
  readonly batches: number;
  readonly taps: number;
  /** Totals of which the truth is known to the tap, and those that have a range. */
  readonly exact: number;
  readonly ranges: number;
  /** The same for the same seed: of everything that was counted, and when. */
  readonly fingerprint: string;
}

export interface SimulationOptions {
  readonly trace?: (line: string) => void;
}

export async function simulate(scenario: Scenario, options: SimulationOptions = {}): Promise<Outcome> {
  return new World(scenario, options).run();
}

export function simulateSeed(seed: number): Promise<Outcome> {
  return simulate(scenarioOf(seed));
}

class World {
  readonly #scenario: Scenario;
  readonly #trace: (line: string) => void;
  readonly #runtime;
  readonly #startMs: number;
  readonly #counters = new Counters();
  readonly #violations: string[] = [];
  readonly #database: DatabaseServer;
  readonly #network;
  readonly #regions = new Map<string, SimulatedRegion>();
  readonly #clients: Client[] = [];
  readonly #moderators: Moderator[];
  readonly #clientFaults: ClientFaults = { loseRequest: 0, loseAnswer: 0, double: 0 };
  readonly #streams: StreamId[];
  readonly #shown = new Map<Life, Map<StreamId, Frame>>();
  readonly #lossy = new Set<string>();
  readonly #forgetful = new Set<string>();
  /** Journals that lost commits under a living process that has not written them again yet. */
  readonly #damaged = new Map<Life, { readonly shard: number; readonly journalsLost: number; readonly commits: number }[]>();
  /** When a journal was damaged under a living process: until its windows are queued, nobody else knows them. */
  readonly #damagedAt = new Map<Life, number>();
  /** Actors of which windows went with journal and process. */
  readonly #windowless = new Set<string>();
  /** What is switched on now and has to be switched off. */
  readonly #undo = new Set<() => void>();
  #healed = false;

  constructor(scenario: Scenario, { trace = () => {} }: SimulationOptions) {
    this.#scenario = scenario;
    this.#trace = trace;
    const runtime = createSimulatedRuntime(scenario.seed);
    this.#runtime = runtime;
    this.#startMs = runtime.clock.now();
    this.#network = createMemoryNetwork(runtime);
    const machine = { runtime, counters: this.#counters, network: this.#network };
    this.#database = new DatabaseServer(machine);
    const names = REGIONS.slice(0, scenario.regions);
    this.#streams = STREAMS.slice(0, 2 + (scenario.seed % 2));
    const world: RegionWorld = {
      ...machine,
      regions: names,
      streams: this.#streams,
      shardCount: scenario.shards,
      base: BASE,
      database: this.#database,
      logs: new Map(names.map((name) => [name, new LogServer(machine, name)])),
      witness: {
        frame: (life, frame) => this.#see(life, frame),
        booting: (region) => {
          // It recovers a journal that the earlier life has not mended yet.
          for (const life of this.#damaged.keys()) if (life.region === region.name) this.#loseUnlessMended(life);
        },
        ended: (life) => this.#ended(life),
        logged: (life, level, fields, message) => this.#logged(life, level, fields, message),
      },
    };
    for (const name of names) this.#regions.set(name, new SimulatedRegion(world, name));
    const violated = (what: string): void => this.#violated(what);
    const outside = { ...machine, regions: this.#regions, claims: scenario.claims, faults: this.#clientFaults, violated };
    this.#moderators = [new Moderator(outside, 0), new Moderator(outside, 1)];
    for (let number = 0; number < scenario.clients; number++) {
      const stream = this.#streams[number % this.#streams.length]!;
      this.#clients.push(new Client(outside, number, stream, names[number % names.length]!, [OWN_EMOJI[number]!, ...COMMON_EMOJI]));
    }
  }

  async run(): Promise<Outcome> {
    const { faultMs, faults } = this.#scenario;
    const onError = (error: unknown): void => this.#violated(`an error that nobody caught: ${error instanceof Error ? error.stack : String(error)}`);
    process.on('unhandledRejection', onError);
    try {
      for (const region of this.#regions.values()) region.boot();
      for (const fault of faults) this.#runtime.timers.after(fault.atMs, () => this.#happen(fault));
      await this.#runtime.runFor(faultMs);
      this.#heal();
      await this.#runtime.runFor(1_500);
      for (const client of this.#clients) client.tapping = false;
      const quietMs = await this.#settle();
      return await this.#finish(quietMs);
    } catch (error) {
      this.#violated(`the simulation itself failed: ${error instanceof Error ? error.stack : String(error)}`);
      return this.#outcome(0, 0, 0);
    } finally {
      process.off('unhandledRejection', onError);
    }
  }

  #happen(fault: Fault): void {
    if (this.#healed) return;
    const names = [...this.#regions.keys()];
    const name = names[fault.where % names.length]!;
    const peer = names.filter((other) => other !== name)[fault.other % (names.length - 1)]!;
    this.#trace(`${this.#sinceStart()} ${fault.kind} ${name} ${peer} for ${fault.forMs} ms`);
    this.#counters.add(`fault ${fault.kind}`);
    this.#carryOut(fault, name, peer);
  }

  /** Does something, and undoes it when its time is over. */
  #for(forMs: number, on: () => void, off: () => void): void {
    on();
    const once = (): void => {
      if (this.#undo.delete(once)) off();
    };
    this.#undo.add(once);
    this.#runtime.timers.after(forMs, once);
  }

  #carryOut({ kind, forMs, where, other, much }: Fault, name: string, peer: string): void {
    const network = this.#network;
    const region = this.#regions.get(name)!;
    const log = network.log(name);
    const link = region.log.link(peer);
    const journal = region.journals[other % region.shardCount]!;
    const client = this.#clients[where % this.#clients.length]!;
    const moderator = this.#moderators[(where % this.#clients.length) % 2]!;
    const downMs = Math.min(forMs, 3_000);
    const share = 0.05 + 0.5 * much;
    const reshard = (): void => {
      const shards = 1 + (other % SHARDS_MAX);
      if (shards !== region.shardCount) this.#counters.add('shards changed');
      region.shardCount = shards;
    };
    // All that they ever tapped, or what they tapped of late.
    const backMs = other % 2 === 0 ? Infinity : Math.round(5_000 * much);
    switch (kind) {
      case 'cut':
        return this.#for(forMs, () => network.cut(name, peer), () => network.heal(name, peer));
      case 'isolate':
        for (const one of this.#regions.keys()) {
          if (one === name) continue;
          this.#for(forMs, () => network.cut(name, one), () => network.heal(name, one));
          this.#for(forMs, () => network.cut(one, name), () => network.heal(one, name));
        }
        return;
      case 'flap':
        for (let atMs = 0; atMs < forMs; atMs += 600) {
          this.#runtime.timers.after(atMs, () => this.#healed || network.cut(name, peer));
          this.#runtime.timers.after(atMs + 100 + 400 * much, () => network.heal(name, peer));
        }
        return;
      case 'delay':
        return this.#for(forMs, () => network.delay(name, peer, 50 + 500 * much), () => network.delay(name, peer, 0));
      case 'lose':
      case 'double':
      case 'reorder':
      case 'stale':
        return this.#for(forMs, () => void (link[kind] = share), () => void (link[kind] = 0));
      case 'store-down':
        return this.#for(forMs, () => void (journal.faults.down = true), () => void (journal.faults.down = false));
      case 'store-unknown':
        return this.#for(forMs, () => void (journal.faults.unknown = share), () => void (journal.faults.unknown = 0));
      case 'store-late':
        return this.#for(forMs, () => void (journal.faults.late = share), () => void (journal.faults.late = 0));
      case 'store-slow':
        return this.#for(forMs, () => void (journal.faults.slowMs = 20 + 800 * much), () => void (journal.faults.slowMs = 0));
      case 'crash':
        return region.crash(downMs);
      case 'crash-commit':
      case 'crash-derived':
      case 'crash-start': {
        const point = crashPointOf(kind, other, much);
        if (kind === 'crash-start') region.nextCrashPoint = point;
        if (kind === 'crash-start') region.crash(downMs);
        else if (region.current !== null) region.current.process.crashPoint = point;
        return;
      }
      case 'restart':
        return region.restart(downMs);
      case 'pause':
        return region.pause(forMs);
      case 'zombie':
        return region.takeOver(300 + 2_000 * much, forMs, true);
      case 'twin':
        return region.takeOver(10, 0, false);
      case 'journal-wiped':
        return this.#damage(region, other, () => journal.rollBack(0));
      case 'journal-rolled-back':
        return this.#damage(region, other, () => journal.rollBack(much));
      case 'crash-journal-lost':
      case 'crash-journal-stale':
        this.#lose(region);
        region.crash(downMs);
        return journal.rollBack(kind === 'crash-journal-lost' ? 0 : much);
      case 'crash-disk-lost':
        // Peers have what they heard; what was lost on the way to them they have not noticed yet.
        this.#lose(region, UNNOTICED_MS + this.#unheardMs(name));
        region.crash(downMs);
        for (const { journal: lost } of region.journals) lost.wipe();
        return log.wipe();
      case 'log-down':
        return this.#for(forMs, () => log.setAvailable(false), () => log.setAvailable(true));
      case 'log-unknown':
        return this.#for(forMs, () => void (region.log.unknown = share), () => void (region.log.unknown = 0));
      case 'log-slow':
        return this.#for(forMs, () => void (region.log.slowMs = 20 + 800 * much), () => void (region.log.slowMs = 0));
      case 'log-wiped':
        return log.wipe();
      case 'crash-log-wiped':
        region.crash(downMs);
        return log.wipe();
      case 'log-rolled-back':
      case 'crash-log-rolled-back': {
        const snapshot = log.snapshot();
        this.#runtime.timers.after(forMs, () => {
          if (this.#healed) return;
          if (kind === 'crash-log-rolled-back') region.crash(downMs);
          log.restore(snapshot);
        });
        return;
      }
      case 'queue-down':
        return this.#for(forMs, () => void (region.queue.faults.down = true), () => void (region.queue.faults.down = false));
      case 'queue-unknown':
        return this.#for(forMs, () => void (region.queue.faults.unknown = share), () => void (region.queue.faults.unknown = 0));
      case 'queue-lost':
        return region.queue.lose();
      case 'database-down':
        return this.#for(forMs, () => void (this.#database.faults.down = true), () => void (this.#database.faults.down = false));
      case 'database-slow':
        return this.#for(forMs, () => void (this.#database.faults.slowMs = 2_000 * much), () => void (this.#database.faults.slowMs = 0));
      case 'database-unknown':
        return this.#for(forMs, () => void (this.#database.faults.unknown = share), () => void (this.#database.faults.unknown = 0));
      case 'clock-step':
        region.clockOffsetMs += Math.round((much < 0.5 ? -1 : 1) * 600_000 * (other % 3 === 0 ? 1 : 0.1 + 0.9 * ((other % 100) / 100)));
        this.#forgetful.add(name);
        return region.crash(downMs);
      case 'client-loss':
        return this.#for(
          forMs,
          () => void ((this.#clientFaults.loseRequest = share / 2), (this.#clientFaults.loseAnswer = share)),
          () => void ((this.#clientFaults.loseRequest = 0), (this.#clientFaults.loseAnswer = 0)),
        );
      case 'client-double':
        return this.#for(forMs, () => void (this.#clientFaults.double = share), () => void (this.#clientFaults.double = 0));
      case 'client-move':
        return client.move(name);
      case 'client-close':
        return client.close();
      case 'mute':
        return moderator.mute(client, 'viewer', null);
      case 'mute-back':
      case 'mute-device':
        moderator.mute(client, kind === 'mute-device' ? 'device' : 'viewer', backMs);
        if (much < 0.5) this.#for(forMs, () => {}, () => moderator.lift(client));
        return;
      case 'lift':
        return moderator.lift(client);
      case 'take-back':
      case 'take-back-device':
        return moderator.retract(client, kind === 'take-back' ? 'viewer' : 'device', backMs);
      case 'spread':
        return this.#moderators[0]!.setSpread(client.stream, 1 + (other % SHARDS_MAX));
      case 'reshard':
        return region.restart(downMs, reshard);
      case 'crash-reshard':
        // Started anew at once, so that what was under way arrives afterwards.
        region.crash(forMs / 50);
        return reshard();
      case 'zombie-reshard':
        return region.takeOver(much < 0.7 ? 20 + 500 * much : 10, forMs, much < 0.7, reshard);
      case 'end':
        // Clocks that are minutes apart forget it minutes apart.
        if (!this.#scenario.faults.some((fault) => fault.kind === 'clock-step')) this.#moderators[0]!.end(client.stream);
        return;
      case 'palette':
        return this.#for(
          forMs,
          () => moderator.setEnabled(client.stream, 'wow', false),
          () => moderator.setEnabled(client.stream, 'wow', true),
        );
    }
  }

  /** A journal loses commits: the living process writes them again, unless there is none, or it ends before. */
  #damage(region: SimulatedRegion, other: number, damage: () => void): void {
    const shard = other % region.shardCount;
    damage();
    const life = region.current;
    if (life === null || !life.started || region.zombies.size > 0) return this.#lose(region);
    const { journalsLost = 0, commits = 0 } = life.shards[shard]!.stats;
    this.#damaged.set(life, [...(this.#damaged.get(life) ?? []), { shard, journalsLost, commits }]);
    this.#damagedAt.set(life, life.process.clock.now());
    this.#counters.add('journal damaged under a living process');
  }

  #ended(life: Life): void {
    this.#shown.delete(life);
    this.#counters.add('claims judged', life.desk.stats['claimsJudged']!);
    this.#loseUnlessMended(life);
    if ((this.#damagedAt.get(life) ?? -Infinity) < life.windows.queuedBefore()) return;
    this.#counters.add('windows lost with journal and process');
    for (const actor of life.ledger.actors()) if (parseActorId(actor).region === life.region) this.#windowless.add(actor);
  }

  #loseUnlessMended(life: Life): void {
    const damages = this.#damaged.get(life) ?? [];
    const isMended = damages.every(({ shard, journalsLost, commits }) => {
      const now = life.shards[shard]!.stats;
      return now['journalsLost']! > journalsLost && now['commits']! > commits;
    });
    this.#damaged.delete(life);
    if (!isMended) this.#lose(this.#regions.get(life.region)!);
  }

  /** What the region has not told anybody is gone, and which of the latest batches it counted. */
  #lose(region: SimulatedRegion, untoldMs = UNTOLD_MS): void {
    const now = this.#runtime.clock.now();
    this.#lossy.add(region.name);
    const since = now - untoldMs - (region.current?.replicator.oldestDirtyMs() ?? 0);
    for (const batch of this.#batches()) if (batch.reached.has(region.name) && (batch.answeredAt === Infinity || batch.answeredAt > since)) batch.lost = true;
    this.#counters.add('state lost');
  }

  /** For how long no peer has heard of a region. */
  #unheardMs(region: string): number {
    return Math.min(...[...this.#regions.values()].map(({ current }) => current?.replicator.staleness()[region] ?? Infinity));
  }

  #heal(): void {
    this.#healed = true;
    for (const undo of this.#undo) undo();
    for (const { from, to } of this.#network.links()) {
      this.#network.delay(from, to, 0);
      this.#network.heal(from, to);
    }
    Object.assign(this.#clientFaults, { loseRequest: 0, loseAnswer: 0, double: 0 });
    Object.assign(this.#database.faults, healthy());
    for (const region of this.#regions.values()) {
      this.#network.log(region.name).setAvailable(true);
      Object.assign(region.log, { slowMs: 0, unknown: 0 });
      for (const link of region.log.links.values()) Object.assign(link, { lose: 0, double: 0, reorder: 0, stale: 0 });
      for (const journal of region.journals) Object.assign(journal.faults, healthy());
      Object.assign(region.queue.faults, healthy());
      region.nextCrashPoint = null;
      if (region.current !== null) region.current.process.crashPoint = null;
      for (const life of [region.current, ...region.zombies]) life?.process.resume();
    }
    this.#trace(`${this.#sinceStart()} all is healed`);
  }

  async #settle(): Promise<number> {
    const from = this.#runtime.clock.now();
    while (this.#runtime.clock.now() - from < QUIET_MS_MAX) {
      await this.#runtime.runFor(500);
      if (this.#unsettled() === null) break;
    }
    const why = this.#unsettled();
    if (why !== null) this.#violated(`not settled ${QUIET_MS_MAX / 1000} s after everything was healed: ${why}`);
    return this.#runtime.clock.now() - from;
  }

  /** What is still to come; null when nothing is. */
  #unsettled(): string | null {
    for (const { viewer, unanswered } of this.#clients) if (unanswered > 0) return `${unanswered} batches of ${viewer} are not answered`;
    const lives: Life[] = [];
    for (const region of this.#regions.values()) {
      const life = region.current;
      if (life === null || !life.serves) return `${region.name} does not serve`;
      if (region.zombies.size > 0) return `a second process of ${region.name} goes on`;
      if (this.#moderators.some((moderator) => !moderator.isHeard(region))) return `${region.name} has not heard every moderator`;
      if (life.replicator.rowsWaiting() + life.replicator.documentsWaiting() > 0) return `the log of ${region.name} lacks rows`;
      if (region.queue.depth + life.windows.stats.pendingRecords + life.windows.stats.openRecords > 0) return `windows of ${region.name} wait`;
      const { claimPages = 0, verdictPages = 0, verdictsWaiting = 0 } = life.desk.stats;
      // A verdict for who has lost its claim is kept for a day.
      const verdicts = this.#lossy.size > 0 ? 0 : verdictPages;
      if (claimPages + verdicts + verdictsWaiting > 0) return `claims of ${region.name} are not settled`;
      lives.push(life);
    }
    for (const region of this.#regions.keys()) {
      if (new Set(lives.map(({ ledger }) => ledger.regionDigest(region))).size > 1) return `regions differ about ${region}`;
    }
    return null;
  }

  async #finish(quietMs: number): Promise<Outcome> {
    await this.#runtime.runFor(2_500);
    const unsettled = this.#unsettled();
    if (unsettled !== null) this.#violated(`settled and then not any more: ${unsettled}`);
    const truth = truthOf(this.#batches(), (batch) => this.#decided(batch), { forgetful: this.#forgetful, lossy: this.#lossy });
    let exact = 0;
    let ranges = 0;
    for (const [key, { low, high }] of truth) {
      if (this.#isOver(key.split(' ')[0] as StreamId)) continue;
      if (low === high) exact += 1;
      else ranges += 1;
      for (const region of this.#regions.values()) {
        const [stream, emoji] = key.split(' ') as [StreamId, EmojiId];
        const total = region.current?.ledger.tally(stream)?.counter(emoji)?.value ?? 0;
        if (total < low || total > high) this.#violated(`${region.name} counts ${total} of ${key} instead of ${low === high ? low : `${low} to ${high}`}`);
      }
    }
    this.#checkStranger(truth);
    this.#checkWindows();
    this.#checkBounds();
    for (const { current } of this.#regions.values()) {
      this.#counters.add('claims judged', current?.desk.stats['claimsJudged'] ?? 0);
      for (const shard of current?.shards ?? []) this.#counters.add('claims of which nobody knows', shard.stats['claimsUnknown'] ?? 0);
    }
    const outcome = this.#outcome(quietMs, exact, ranges);
    await this.#checkEnded();
    for (const region of this.#regions.values()) await this.#stop(region);
    return outcome;
  }

  /** Of streams that ended, nothing is left once they are over; of the others, everything. */
  async #checkEnded(): Promise<void> {
    const ended = this.#moderators[0]!.ended;
    if (ended.size === 0) return;
    const totals = (life: Life): string =>
      [...life.ledger.tallies()].filter(({ stream }) => !ended.has(stream))
        .flatMap((tally) => Array.from(tally.counters(), ([emoji, counter]) => `${tally.stream} ${emoji} ${counter.value}`)).sort().join();
    const before = [...this.#regions.values()].map(({ current }) => (current === null ? '' : totals(current)));
    // Over at a boundary after the grace, forgotten by shards a grace after the last process has heard of it, which looks every ten seconds.
    const overAt = Math.max(...ended.values(), this.#runtime.clock.now()) + 2 * ENDED_GRACE_MS + 15_000;
    await this.#runtime.runFor(overAt - this.#runtime.clock.now());
    for (const [index, { name, current: life }] of [...this.#regions.values()].entries()) {
      if (life === null) continue;
      if (totals(life) !== before[index]) this.#violated(`${name} has changed its counts of other streams meanwhile`);
      const streams = life.shards.reduce((sum, { stats }) => sum + stats['streams']!, 0);
      const most = (this.#streams.length - ended.size) * life.shards.length;
      if (streams > most) this.#violated(`shards of ${name} hold ${streams} streams, of which ${most} go on`);
      for (const stream of ended.keys()) {
        if (life.ledger.tally(stream) !== undefined) this.#violated(`${name} still counts ${stream}, which is over`);
        const left = this.#network.log(name).snapshot().messages.filter(({ key }) => key.endsWith(`.${stream}`) && !key.startsWith('doc.'));
        if (left.length > 0) this.#violated(`the log of ${name} still holds ${left.map(({ key }) => key).join()}, which is over`);
        this.#counters.add('stream over');
      }
    }
    const unsettled = this.#unsettled();
    if (unsettled !== null) this.#violated(`not settled once streams were over: ${unsettled}`);
  }

  /** Nothing is counted that nobody tapped. */
  #checkStranger(truth: ReadonlyMap<string, unknown>): void {
    for (const region of this.#regions.values()) {
      for (const tally of region.current?.ledger.tallies() ?? []) {
        for (const [emoji] of tally.counters()) if (!truth.has(`${tally.stream} ${emoji}`)) this.#violated(`${region.name} counts ${tally.stream} ${emoji}, which nobody tapped`);
      }
    }
  }

  /** Of each actor, the windows in the database add up to its entry. */
  #checkWindows(): void {
    const sums = new Map<string, { increments: number; decrements: number }>();
    for (const { stream, emoji, actor, increments, decrements } of this.#database.rows.values()) {
      const key = `${stream} ${emoji} ${actor}`;
      const sum = sums.get(key) ?? { increments: 0, decrements: 0 };
      sums.set(key, { increments: sum.increments + increments, decrements: sum.decrements + decrements });
    }
    const ledger = [...this.#regions.values()].find(({ current }) => current !== null)?.current?.ledger;
    if (ledger === undefined) return;
    const missing = new Set(sums.keys());
    for (const tally of ledger.tallies()) {
      for (const [emoji, counter] of tally.counters()) {
        for (const [actor, { increments, decrements }] of counter.entries()) {
          const key = `${tally.stream} ${emoji} ${actor}`;
          missing.delete(key);
          if (this.#lossy.has(parseActorId(actor).region) || this.#windowless.has(actor)) continue;
          const sum = sums.get(key) ?? { increments: 0, decrements: 0 };
          if (sum.increments !== increments || sum.decrements !== decrements) {
            this.#violated(`windows of ${key} add up to +${sum.increments} −${sum.decrements} instead of +${increments} −${decrements}`);
          }
        }
      }
    }
    for (const key of missing) {
      const actor = key.split(' ')[2]!;
      if (!this.#lossy.has(actor.split('/')[0]!)) this.#violated(`windows of ${key}, which the ledger does not have`);
    }
  }

  /** What is kept is what is needed. */
  #checkBounds(): void {
    for (const region of this.#regions.values()) {
      const life = region.current;
      if (life === null) continue;
      // A claim makes a region remember also what it has never seen, and the log says for an hour that one is settled.
      const batches = [...this.#batches()].filter(({ reached }) => this.#scenario.claims || reached.has(region.name));
      const claims = 2 * (this.#counters.counts.get('batch taken along') ?? 0);
      const sessions = new Set(batches.map(({ session, client }) => `${client.stream} ${session}`)).size;
      const actors = [...life.ledger.actors()].length;
      const rows = [...life.ledger.rows()].length;
      const keys = this.#network.log(region.name).size;
      const stats = life.shards.map((shard) => shard.stats);
      const sum = (field: string): number => stats.reduce((all, each) => all + (each[field] ?? 0), 0);
      const bounds: [string, number, number][] = [
        ['batches wait', sum('inbox'), 0],
        ['sessions', sum('sessions'), sessions],
        ['contributors', sum('contributors'), 4 * this.#scenario.clients * life.shards.length],
        ['streams', sum('streams'), this.#streams.length * life.shards.length],
        ['claims pending', sum('claimsPending') + sum('claimWorks'), 0],
        ['viewers judged', sum('buckets'), this.#scenario.clients * life.shards.length],
        ['devices judged', sum('devices'), this.#scenario.clients * life.shards.length],
        ['policy documents', life.plane.stats.documents, this.#streams.length + 1],
        ['messages in the log', keys, rows + this.#streams.length + 2 + claims],
        ['actors', actors, 200],
        ['timers', life.process.pendingTimers, 40],
      ];
      for (const [what, found, most] of bounds) if (found > most) this.#violated(`${region.name} has ${found} ${what}, of which ${most} are explained`);
    }
  }

  async #stop(region: SimulatedRegion): Promise<void> {
    const life = region.current;
    if (life === null) return;
    region.current = null;
    try {
      await this.#runtime.settle(life.stop(), 30_000);
    } catch (error) {
      this.#violated(`${region.name} does not stop: ${String(error)}`);
    }
    if (life.process.pendingTimers > 0) this.#violated(`${region.name} has stopped and left ${life.process.pendingTimers} timers`);
  }

  /** No total goes down unless the frame says that as many taps were taken back. */
  #see(life: Life, frame: Frame): void {
    let streams = this.#shown.get(life);
    if (streams === undefined) this.#shown.set(life, (streams = new Map()));
    const before = streams.get(frame.stream);
    streams.set(frame.stream, frame);
    if (before === undefined || this.#isOver(frame.stream)) return;
    let down = 0;
    for (const emoji in before.totals) down += Math.max(0, before.totals[emoji]! - (frame.totals[emoji] ?? 0));
    const corrected = (frame.corrected ?? 0) - (before.corrected ?? 0);
    if (down > 0) this.#counters.add('total went down');
    if (down > corrected) this.#violated(`${life.region} shows ${down} less of ${frame.stream}, and says that ${corrected} were taken back`);
    if (corrected < 0) this.#violated(`${life.region} says that less was taken back of ${frame.stream} than before`);
  }

  #logged(life: Life, level: 'warn' | 'error', fields: object, message: string): void {
    const { error } = fields as { readonly error?: unknown };
    this.#trace(`${this.#sinceStart()} ${life.region}#${life.number} ${level}: ${message}${error instanceof Error ? ` (${error.message})` : ''}`);
    if (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) this.#violated(`${life.region} logged ${error.stack}`);
  }

  /** Ended so long ago that it may be forgotten. */
  #isOver(stream: StreamId): boolean {
    return (this.#moderators[0]!.ended.get(stream) ?? Infinity) + ENDED_GRACE_MS <= this.#runtime.clock.now();
  }

  *#batches(): Generator<SentBatch> {
    for (const client of this.#clients) yield* client.batches;
  }

  #decided({ client }: SentBatch): Decided | undefined {
    const key = keyOf(client);
    return this.#moderators.map(({ decided }) => decided.get(key)).find((found) => found !== undefined);
  }

  #violated(what: string): void {
    this.#trace(`${this.#sinceStart()} VIOLATION ${what}`);
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(what);
  }

  #sinceStart(): string {
    return `${((this.#runtime.clock.now() - this.#startMs) / 1000).toFixed(3)} s`;
  }

  #outcome(quietMs: number, exact: number, ranges: number): Outcome {
    const batches = [...this.#batches()];
    const digests = [...this.#regions.values()].map(({ current }) => [...this.#regions.keys()].map((region) => current?.ledger.regionDigest(region)).join());
    return {
      seed: this.#scenario.seed,
      violations: this.#violations,
      counts: this.#counters.counts,
      quietMs,
      batches: batches.length,
      taps: batches.reduce((sum, { taps }) => sum + taps, 0),
      exact,
      ranges,
      fingerprint: `${digests.join(' ')} ${quietMs} ${[...this.#counters.counts].map(([what, count]) => `${what}=${count}`).sort().join(' ')}`,
    };
  }
}

function crashPointOf(kind: 'crash-commit' | 'crash-start' | 'crash-derived', other: number, much: number): CrashPoint {
  const requests = { 'crash-commit': ['commit'], 'crash-start': ['recover', 'begin', 'open'], 'crash-derived': ['append', 'publish', 'store', 'queue'] }[kind];
  const phases = ['before', 'sent', 'done', 'answered'] as const;
  return { request: requests[other % requests.length]!, phase: phases[Math.floor(much * 4)]!, hops: Math.floor(other / 7) % 12 };
}
