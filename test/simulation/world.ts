/**
 * The world of one seed: regions, viewers, moderators and faults; first everything goes wrong, then nothing does,
 * and then it must all come out [SIM-1].
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import type { Frame } from '../../src/broadcaster/frame-feed.ts';
import { DEFAULT_BASE, type BasePolicy } from '../../src/moderation/policy.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { Afterlife } from './afterlife.ts';
import { Checks } from './checks.ts';
import { Client, type ClientFaults } from './clients.ts';
import { Disruptor } from './disruptor.ts';
import { scenarioOf, type Fault, type Scenario } from './faults.ts';
import { batchesOf, digestsOf, isOver, type Inhabitants } from './inhabitants.ts';
import { Losses } from './losses.ts';
import { Moderator, decisionsOn, type Decided } from './moderators.ts';
import { Counters, DatabaseServer, LogServer } from './servers.ts';
import { SimulatedRegion, type Life, type RegionWorld } from './simulated-region.ts';

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
  readonly #world: Inhabitants;
  readonly #losses: Losses;
  readonly #disruptor: Disruptor;
  readonly #checks: Checks;
  readonly #afterlife: Afterlife;

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
        booting: (region) => this.#losses.booting(region),
        ended: (life) => this.#ended(life),
        logged: (life, level, fields, message) => this.#logged(life, level, fields, message),
      },
    };
    for (const name of names) this.#regions.set(name, new SimulatedRegion(world, name));
    const violated = (what: string): void => this.#violated(what);
    const onClient = (client: Client): readonly Decided[] => decisionsOn(this.#moderators, client);
    const outside = { ...machine, regions: this.#regions, claims: scenario.claims, calm: scenario.calm ?? 1, faults: this.#clientFaults, decisionsOn: onClient, violated };
    this.#moderators = [new Moderator(outside, 0), new Moderator(outside, 1)];
    for (let number = 0; number < scenario.clients; number++) {
      const stream = this.#streams[number % this.#streams.length]!;
      this.#clients.push(new Client(outside, number, stream, names[number % names.length]!, [OWN_EMOJI[number]!, ...COMMON_EMOJI]));
    }
    this.#world = {
      ...machine,
      scenario,
      streams: this.#streams,
      database: this.#database,
      regions: this.#regions,
      clients: this.#clients,
      moderators: this.#moderators,
      clientFaults: this.#clientFaults,
      violated,
    };
    this.#losses = new Losses(this.#world);
    this.#disruptor = new Disruptor(this.#world, this.#losses);
    this.#checks = new Checks(this.#world, this.#losses);
    this.#afterlife = new Afterlife(this.#world, this.#losses, this.#checks);
  }

  async run(): Promise<Outcome> {
    const { faultMs, faults } = this.#scenario;
    const onError = (error: unknown): void => this.#violated(`an error that nobody caught: ${error instanceof Error ? error.stack : String(error)}`);
    process.on('unhandledRejection', onError);
    try {
      for (const region of this.#regions.values()) region.boot();
      for (const fault of faults) this.#runtime.timers.after(fault.atMs, () => this.#happen(fault));
      await this.#runtime.runFor(faultMs);
      this.#disruptor.heal();
      this.#trace(`${this.#sinceStart()} all is healed`);
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
    if (this.#disruptor.healed) return;
    const names = [...this.#regions.keys()];
    const name = names[fault.where % names.length]!;
    const peer = names.filter((other) => other !== name)[fault.other % (names.length - 1)]!;
    this.#trace(`${this.#sinceStart()} ${fault.kind} ${name} ${peer} for ${fault.forMs} ms`);
    this.#counters.add(`fault ${fault.kind}`);
    this.#disruptor.carryOut(fault, name, peer);
  }

  #ended(life: Life): void {
    this.#shown.delete(life);
    this.#counters.add('claims judged', life.desk.stats['claimsJudged']!);
    this.#losses.ended(life);
  }

  async #settle(): Promise<number> {
    const from = this.#runtime.clock.now();
    while (this.#runtime.clock.now() - from < QUIET_MS_MAX) {
      await this.#runtime.runFor(500);
      if (this.#checks.unsettled() === null) break;
    }
    const why = this.#checks.unsettled();
    if (why !== null) this.#violated(`not settled ${QUIET_MS_MAX / 1000} s after everything was healed: ${why}`);
    return this.#runtime.clock.now() - from;
  }

  async #finish(quietMs: number): Promise<Outcome> {
    await this.#runtime.runFor(2_500);
    const unsettled = this.#checks.unsettled();
    if (unsettled !== null) this.#violated(`settled and then not any more: ${unsettled}`);
    const { exact, ranges } = this.#checks.counts();
    for (const { current } of this.#regions.values()) {
      this.#counters.add('claims judged', current?.desk.stats['claimsJudged'] ?? 0);
      for (const shard of current?.shards ?? []) this.#counters.add('claims of which nobody knows', shard.stats['claimsUnknown'] ?? 0);
    }
    this.#checkShown();
    await this.#afterlife.check(() => this.#settle());
    const outcome = this.#outcome(quietMs, exact, ranges);
    await this.#checks.ended();
    for (const region of this.#regions.values()) await this.#stop(region);
    return outcome;
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

  /** What players see in the end is what is counted. */
  #checkShown(): void {
    for (const { name, current: life } of this.#regions.values()) {
      if (life === null) continue;
      for (const stream of this.#streams) {
        const tally = life.ledger.tally(stream);
        if (tally === undefined || isOver(this.#world, stream)) continue;
        const totals = this.#shown.get(life)?.get(stream)?.totals ?? {};
        for (const [emoji, { value }] of tally.counters()) {
          if ((totals[emoji] ?? 0) !== value) this.#violated(`${name} shows ${totals[emoji] ?? 0} of ${stream} ${emoji}, of which it counts ${value}`);
        }
      }
    }
  }

  /** No total goes down unless the frame says that as many taps were taken back. */
  #see(life: Life, frame: Frame): void {
    let streams = this.#shown.get(life);
    if (streams === undefined) this.#shown.set(life, (streams = new Map()));
    const before = streams.get(frame.stream);
    streams.set(frame.stream, frame);
    if (before === undefined || isOver(this.#world, frame.stream)) return;
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

  #violated(what: string): void {
    this.#trace(`${this.#sinceStart()} VIOLATION ${what}`);
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(what);
  }

  #sinceStart(): string {
    return `${((this.#runtime.clock.now() - this.#startMs) / 1000).toFixed(3)} s`;
  }

  #outcome(quietMs: number, exact: number, ranges: number): Outcome {
    const batches = [...batchesOf(this.#world)];
    return {
      seed: this.#scenario.seed,
      violations: this.#violations,
      counts: this.#counters.counts,
      quietMs,
      batches: batches.length,
      taps: batches.reduce((sum, { taps }) => sum + taps, 0),
      exact,
      ranges,
      fingerprint: `${digestsOf(this.#world)} ${quietMs} ${[...this.#counters.counts].map(([what, count]) => `${what}=${count}`).sort().join(' ')}`,
    };
  }
}
