/**
 * One scenario on a rig: a crowd taps until the books balance once; then it taps through the fault until it is healed; then
 * everything must be answered and the books must balance again; the fault must have had its effects; all regions must count on as
 * before; and at last all of them are killed at once and must come back with the same books.
 */

import { sleep } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import { Convergence, type Converged } from './convergence.ts';
import { missingEffects } from './effects.ts';
import { Observer } from './observer.ts';
import { REGIONS, type Rig } from './rig.ts';
import type { Scenario, Stage } from './scenario.ts';
import { Taps } from './taps.ts';
import type { ChaosVerdict } from './verdict.ts';

export interface RunOptions {
  /** Faults last this share of their full time. */
  readonly pace: number;
  /** For how long all tap before the fault, and again after it. */
  readonly steadyMs: number;
  /** For how long the books must balance at every look. */
  readonly calmMs: number;
  /** At the end all regions are killed at once and must come back with the same books. */
  readonly restartsAll: boolean;
  readonly viewersPerRegion: number;
  readonly tapsPerSecond: number;
  readonly convergeMsMax: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** From the fault until all was settled. */
export interface Traffic {
  /** Resent batches that were answered as counted before. */
  readonly duplicates: number;
  readonly reconnects: number;
  /** How often viewers went to another region, and how many of the batches that they brought along were claimed and settled. */
  readonly moves: number;
  readonly claims: number;
}

export interface ScenarioOutcome extends Traffic {
  readonly scenario: string;
  readonly network: string;
  readonly tapped: number;
  readonly acknowledged: number;
  readonly clamped: number;
  readonly counted: number;
  readonly stored: number;
  /** From the heal until every tap was answered, and until the books balanced; null when that never came. */
  readonly answeredMs: number | null;
  readonly convergedMs: number | null;
  readonly verdict: 'balanced' | 'exception' | 'failed';
  /** What the documented exception had to admit. */
  readonly admitted?: ChaosVerdict['admitted'];
  readonly exception?: string;
  readonly problems: readonly string[];
}

const STEADY_MS_MAX = 60_000;
const UNTIL_MS_MAX = 60_000;
const POLL_MS = 50;
const PROBLEMS_SHOWN_MAX = 20;

export async function runScenario(rig: Rig, scenario: Scenario, options: RunOptions): Promise<ScenarioOutcome> {
  const run = new ScenarioRun(rig, scenario, options);
  try {
    return await run.play();
  } finally {
    run.end();
    await rig.network.heal();
  }
}

class ScenarioRun implements Stage {
  readonly rig: Rig;
  readonly signal: AbortSignal;
  readonly stream: string;
  readonly taps: Taps;
  readonly seen: Observer;
  readonly #scenario: Scenario;
  readonly #options: RunOptions;
  readonly #convergence: Convergence;

  constructor(rig: Rig, scenario: Scenario, options: RunOptions) {
    this.rig = rig;
    this.signal = options.signal;
    this.#scenario = scenario;
    this.#options = options;
    this.stream = `${scenario.name}-${Math.round(realRuntime.clock.now())}`;
    const { viewersPerRegion, tapsPerSecond, signal } = options;
    this.taps = new Taps({ endpointOf: (region) => rig.machine(region).servingUrl, stream: this.stream, viewersPerRegion, tapsPerSecond });
    this.seen = new Observer(rig, this.stream, this.taps);
    this.#convergence = new Convergence({ rig, stream: this.stream, taps: this.taps, seen: this.seen, exception: scenario.exception, signal, say: this.say });
  }

  async play(): Promise<ScenarioOutcome> {
    await this.taps.gather(this.signal);
    await this.#steady('before the fault');
    await this.#scenario.prepare?.(this);
    this.taps.start();
    await this.pause(this.#options.steadyMs);
    this.seen.watch();
    this.lossIsNow();
    await this.#scenario.fault(this);
    const healedAt = realRuntime.clock.now();
    this.say(`healing; ${this.taps.truth.acknowledged} taps acknowledged, ${this.taps.busyCount} viewers wait for answers`);
    await this.#scenario.heal?.(this);
    this.seen.unwatch();
    this.taps.stop();
    const { convergeMsMax, calmMs } = this.#options;
    const converged = await this.#convergence.wait({ sinceMs: healedAt, calmMs, withinMs: convergeMsMax });
    const traffic = this.#traffic();
    if (converged.convergedMs === null) return this.#outcome(converged, converged.verdict, traffic);
    const { effects } = this.#scenario;
    for (const effect of effects) this.say(`effect: ${effect.text}; seen: ${effect.found(this.seen)}`);
    const missing = missingEffects(effects, this.seen);
    const steady = await this.#steady('after the fault');
    const verdict = this.#options.restartsAll ? await this.#restartAll() : steady;
    const found = await this.#convergence.audit(verdict.balanced);
    return this.#outcome(converged, { ...verdict, problems: [...missing, ...verdict.problems, ...found] }, traffic);
  }

  end(): void {
    this.seen.end();
    this.taps.disband();
  }

  // --- what a scenario is given ---

  readonly say = (line: string): void => this.#options.say(line);

  readonly lossIsNow = (): void => this.#convergence.lossIsNow();

  readonly hold = (seconds: number, atLeastMs = 0): Promise<void> => this.pause(Math.max(atLeastMs, seconds * 1000 * this.#options.pace));

  readonly pause = async (ms: number): Promise<void> => {
    await sleep(realRuntime.timers, ms, this.signal);
    this.signal.throwIfAborted();
  };

  readonly until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    const givenUpAt = realRuntime.clock.now() + UNTIL_MS_MAX;
    while (!(await holds())) {
      if (realRuntime.clock.now() > givenUpAt) throw new Error(`waited for ${UNTIL_MS_MAX / 1000} s in vain until ${what}`);
      await this.pause(POLL_MS);
    }
  };

  // --- the course of it ---

  /** Everybody taps, everything is answered, and the books balance, within a bound. @throws when they do not */
  async #steady(when: string): Promise<ChaosVerdict> {
    this.taps.start();
    await this.pause(this.#options.steadyMs);
    this.taps.stop();
    return this.#balanced(when, 0);
  }

  /** What is counted is kept: nobody taps, all regions are killed, and their next lives have the same books. */
  async #restartAll(): Promise<ChaosVerdict> {
    const machines = REGIONS.map((region) => this.rig.machine(region));
    await Promise.all(machines.map((machine) => machine.kill()));
    await Promise.all(machines.map((machine) => machine.start()));
    return this.#balanced('after all regions were killed and started again', this.#options.calmMs);
  }

  async #balanced(when: string, calmMs: number): Promise<ChaosVerdict> {
    const { convergedMs, verdict } = await this.#convergence.wait({ sinceMs: realRuntime.clock.now(), calmMs, withinMs: STEADY_MS_MAX });
    if (convergedMs === null) throw new Error(`no steady state ${when}: ${verdict.problems.slice(0, PROBLEMS_SHOWN_MAX).join('; ')}`);
    return verdict;
  }

  /** What the fault made viewers and regions do. */
  #traffic(): Traffic {
    const { duplicates, reconnects, moves } = this.seen;
    const claims = REGIONS.reduce((sum, region) => sum + this.seen.grown(region, 'aggregator_claims_settled_total'), 0);
    return { duplicates, reconnects, moves, claims };
  }

  #outcome({ answeredMs, convergedMs }: Converged, verdict: ChaosVerdict, traffic: Traffic): ScenarioOutcome {
    const { tapped, acknowledged, clamped } = this.taps.truth;
    const failed = verdict.problems.length > 0;
    const { exception } = this.#scenario;
    return {
      scenario: this.#scenario.name,
      network: this.rig.network.means,
      tapped,
      acknowledged,
      clamped,
      ...traffic,
      counted: verdict.counted,
      stored: verdict.stored,
      answeredMs,
      convergedMs,
      verdict: failed ? 'failed' : verdict.balanced ? 'balanced' : 'exception',
      ...(verdict.balanced || exception === undefined ? {} : { admitted: verdict.admitted, exception: exception.text }),
      problems: verdict.problems.slice(0, PROBLEMS_SHOWN_MAX),
    };
  }
}
