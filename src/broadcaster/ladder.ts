/** The degradation ladder at work: samples what is measured of a region and says which level it is on, since when, and why. */

import type { Cancel, Log, Runtime } from '../../regions/runtime.ts';
import { SAMPLE_MS, TOP_RUNG, climb, type Rung, type Signals } from './degradation.ts';
import { LEVELS, type Level } from './frame-feed.ts';

export interface LadderStats extends Signals {
  /** Gauges: which rung, 0 for `exact` to 3 for `static`, and the signals of the last sample. */
  level: number;
  /** Counters. */
  changes: number;
  exactMs: number;
  relaxedMs: number;
  heartsMs: number;
  staticMs: number;
}

export const LADDER_GAUGES = [
  'level', 'loopDelayMs', 'loopUtilization', 'commitLagMs', 'inboxShare', 'behindShare', 'memoryShare',
] as const satisfies readonly (keyof LadderStats)[];

const CALM: Signals = { loopDelayMs: 0, loopUtilization: 0, commitLagMs: 0, inboxShare: 0, behindShare: 0, memoryShare: 0 };

export class Ladder {
  readonly #runtime: Runtime;
  readonly #log: Log;
  readonly #signals: () => Signals;
  readonly #spentMs = { exact: 0, relaxed: 0, hearts: 0, static: 0 };
  #rung: Rung = TOP_RUNG;
  #last: Signals = CALM;
  #changes = 0;
  #sampledAt: number;
  #cancel: Cancel = () => {};

  constructor(runtime: Runtime, log: Log, signals: () => Signals) {
    this.#runtime = runtime;
    this.#log = log;
    this.#signals = signals;
    this.#sampledAt = runtime.clock.now();
  }

  get level(): Level {
    return this.#rung.level;
  }

  get stats(): Readonly<LadderStats> {
    const { exact, relaxed, hearts, static: still } = this.#spentMs;
    return {
      ...this.#last,
      level: LEVELS.indexOf(this.level),
      changes: this.#changes,
      exactMs: exact,
      relaxedMs: relaxed,
      heartsMs: hearts,
      staticMs: still,
    };
  }

  start(): void {
    // What starting cost says nothing about the crowd.
    this.#signals();
    this.#sampledAt = this.#runtime.clock.now();
    this.#cancel = this.#runtime.timers.every(SAMPLE_MS, () => this.#sample());
  }

  stop(): void {
    this.#cancel();
  }

  #sample(): void {
    const at = this.#runtime.clock.now();
    const before = this.level;
    this.#spentMs[before] += at - this.#sampledAt;
    this.#sampledAt = at;
    this.#last = this.#signals();
    this.#rung = climb(this.#rung, this.#last);
    if (this.level === before) return;
    this.#changes += 1;
    this.#log.warn({ from: before, to: this.level, ...this.#last }, 'The region changes its level.');
  }
}
