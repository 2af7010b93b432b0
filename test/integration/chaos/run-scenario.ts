/**
 * One scenario on a rig: a crowd taps until the books balance once; then it taps through the fault until it is healed; then
 * everything must be answered and the books must balance again; and at last all regions must count on as before.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sleep } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import { fetchBooks, type Books } from '../../../src/cli/audit/books.ts';
import { CommandFailure } from '../../../src/cli/failure.ts';
import { OVATION_COMMAND } from '../../support/region-command.ts';
import { REGIONS, type Rig } from './rig.ts';
import type { Scenario, Stage } from './scenario.ts';
import { Taps } from './taps.ts';
import { judgeScenario, type ChaosVerdict, type Exception } from './verdict.ts';

export interface RunOptions {
  /** Faults last this share of their full time. */
  readonly pace: number;
  /** For how long all tap before the fault, and again after it. */
  readonly steadyMs: number;
  readonly viewersPerRegion: number;
  readonly tapsPerSecond: number;
  readonly convergeMsMax: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface ScenarioOutcome {
  readonly scenario: string;
  readonly network: string;
  readonly tapped: number;
  readonly acknowledged: number;
  readonly clamped: number;
  readonly duplicates: number;
  readonly reconnects: number;
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
const POLL_MS = 50;
const SAMPLE_MS = 100;
/** Within this time windows reach the database. */
const STORED_MS = 4_000;
const APART_MS_MAX = 1_000;
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
  readonly #scenario: Scenario;
  readonly #options: RunOptions;
  readonly #stream: string;
  readonly #taps: Taps;
  /** What was acknowledged, every tenth of a second. */
  readonly #samples: { readonly atMs: number; readonly acknowledged: number }[] = [];
  readonly #stopSampling: () => void;
  #lossAt = Infinity;

  constructor(rig: Rig, scenario: Scenario, options: RunOptions) {
    this.rig = rig;
    this.signal = options.signal;
    this.#scenario = scenario;
    this.#options = options;
    this.#stream = `${scenario.name}-${Math.round(realRuntime.clock.now())}`;
    const { viewersPerRegion, tapsPerSecond } = options;
    this.#taps = new Taps({ endpoints: rig.endpoints, stream: this.#stream, viewersPerRegion, tapsPerSecond });
    this.#stopSampling = realRuntime.timers.every(SAMPLE_MS, () => {
      this.#samples.push({ atMs: realRuntime.clock.now(), acknowledged: this.#taps.truth.acknowledged });
    });
  }

  async play(): Promise<ScenarioOutcome> {
    await this.#taps.gather(this.signal);
    await this.#steady('before');
    await this.#scenario.prepare?.(this);
    this.#taps.start();
    await this.pause(this.#options.steadyMs);
    this.lossIsNow();
    await this.#scenario.fault(this);
    const apart = await this.#apart();
    const healedAt = realRuntime.clock.now();
    this.say(`healing; ${this.#taps.truth.acknowledged} taps acknowledged, ${this.#taps.busyCount} viewers wait for answers; ${apart}`);
    await this.#scenario.heal?.(this);
    this.#taps.stop();
    const times = await this.#converge(healedAt);
    if (times.convergedMs === null) return this.#outcome(times, times.verdict);
    const verdict = await this.#steady('after');
    const problems = await this.#audit(verdict.balanced);
    return this.#outcome(times, { ...verdict, problems: [...verdict.problems, ...problems] });
  }

  end(): void {
    this.#stopSampling();
    this.#taps.disband();
  }

  // --- what a scenario is given ---

  readonly say = (line: string): void => this.#options.say(line);

  readonly lossIsNow = (): void => {
    this.#lossAt = realRuntime.clock.now();
  };

  readonly hold = (seconds: number): Promise<void> => this.pause(seconds * 1000 * this.#options.pace);

  readonly pause = async (ms: number): Promise<void> => {
    await sleep(realRuntime.timers, ms, this.signal);
    this.signal.throwIfAborted();
  };

  // --- the course of it ---

  /** Everybody taps, everything is answered, and the books balance, within a bound. @throws when they do not */
  async #steady(when: string): Promise<ChaosVerdict> {
    this.#taps.start();
    await this.pause(this.#options.steadyMs);
    this.#taps.stop();
    const { convergedMs, verdict } = await this.#converge(realRuntime.clock.now(), STEADY_MS_MAX);
    if (convergedMs === null) throw new Error(`no steady state ${when} the fault: ${verdict.problems.slice(0, PROBLEMS_SHOWN_MAX).join('; ')}`);
    return verdict;
  }

  /** How far the regions are from each other, in words: whether the fault had an effect. */
  async #apart(): Promise<string> {
    const totals = await Promise.all(this.rig.endpoints.map((endpoint) => this.#totalOf(endpoint)));
    return REGIONS.map((region, index) => `${region} ${totals[index] ?? 'does not answer'}`).join(', ');
  }

  async #totalOf(endpoint: string): Promise<number | null> {
    try {
      const response = await fetch(`${endpoint}/streams/${this.#stream}/reactions`, { signal: AbortSignal.timeout(APART_MS_MAX) });
      const { totals } = (await response.json()) as { readonly totals: Record<string, number> };
      return Object.values(totals).reduce((sum, total) => sum + total, 0);
    } catch {
      return null;
    }
  }

  async #converge(
    sinceMs: number,
    withinMs = this.#options.convergeMsMax,
  ): Promise<{ answeredMs: number | null; convergedMs: number | null; verdict: ChaosVerdict }> {
    let answeredMs: number | null = null;
    for (;;) {
      this.signal.throwIfAborted();
      if (this.#taps.rejection !== null) throw new Error(this.#taps.rejection);
      if (answeredMs === null && this.#taps.busyCount === 0) answeredMs = realRuntime.clock.now() - sinceMs;
      const verdict = await this.#judge();
      const elapsedMs = realRuntime.clock.now() - sinceMs;
      const converged = answeredMs !== null && verdict.problems.length === 0;
      if (converged) return { answeredMs, convergedMs: elapsedMs, verdict: verdict.balanced ? verdict : await this.#judgeLater() };
      if (elapsedMs > withinMs) return { answeredMs, convergedMs: null, verdict };
      await this.pause(POLL_MS);
    }
  }

  /** What an exception admits is told once nothing is on its way any more. */
  async #judgeLater(): Promise<ChaosVerdict> {
    await this.pause(STORED_MS);
    return this.#judge();
  }

  async #judge(): Promise<ChaosVerdict> {
    try {
      const books = await this.#books();
      // Before the fault nothing is to be excused.
      const exception: Exception | undefined = this.#lossAt === Infinity ? undefined : this.#scenario.exception;
      return judgeScenario(this.#taps.truth, books, exception, (seconds) => this.#tapsAroundLoss(seconds));
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      return { balanced: false, problems: [error.message], admitted: { storedLost: 0, lost: 0, double: 0 }, counted: 0, stored: 0 };
    }
  }

  #books(): Promise<Books[]> {
    return Promise.all(this.rig.endpoints.map((endpoint) => fetchBooks(endpoint, this.#stream)));
  }

  /** What was acknowledged, in all regions, in the last `seconds` before the loss. */
  #tapsAroundLoss(seconds: number): number {
    if (seconds === 0) return 0;
    const at = (ms: number): number => this.#samples.findLast(({ atMs }) => atMs <= ms)?.acknowledged ?? 0;
    return at(this.#lossAt + SAMPLE_MS) - at(this.#lossAt - seconds * 1_000);
  }

  /** As an operator does it. Answers what it found. */
  async #audit(expectBalanced: boolean): Promise<string[]> {
    const words = ['audit', '--json', '--stream', this.#stream, '--endpoint', this.rig.endpoints.join(','), '--wait', '10s'];
    if (!expectBalanced && this.#scenario.exception?.storedLostSeconds !== undefined) words.push('--no-database');
    const child = spawn(process.execPath, [OVATION_COMMAND, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(child, 'close');
    const { balanced, total, differences } = JSON.parse(text) as { balanced: boolean; total: number; differences: { text: string }[] };
    this.say(`ovation audit: ${balanced ? 'balanced' : 'not balanced'}, ${total} taps`);
    return balanced ? [] : differences.map(({ text: difference }) => `ovation audit: ${difference}`);
  }

  #outcome(times: { answeredMs: number | null; convergedMs: number | null }, verdict: ChaosVerdict): ScenarioOutcome {
    const { truth, reconnects } = this.#taps;
    const { tapped, acknowledged, clamped, duplicates } = truth;
    const failed = verdict.problems.length > 0;
    const { exception } = this.#scenario;
    return {
      scenario: this.#scenario.name,
      network: this.rig.network.means,
      tapped,
      acknowledged,
      clamped,
      duplicates,
      reconnects,
      counted: verdict.counted,
      stored: verdict.stored,
      answeredMs: times.answeredMs,
      convergedMs: times.convergedMs,
      verdict: failed ? 'failed' : verdict.balanced ? 'balanced' : 'exception',
      ...(verdict.balanced || exception === undefined ? {} : { admitted: verdict.admitted, exception: exception.text }),
      problems: verdict.problems.slice(0, PROBLEMS_SHOWN_MAX),
    };
  }
}
