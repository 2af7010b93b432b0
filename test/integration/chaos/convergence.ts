/** Waits until all taps are answered and the books balance, and go on doing so, or are within what the exception of the scenario admits. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sleep } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import { fetchBooks } from '../../../src/cli/audit/books.ts';
import { CommandFailure } from '../../../src/cli/failure.ts';
import { OVATION_COMMAND } from '../../support/region-command.ts';
import { GROUPS } from './groups.ts';
import type { Observer } from './observer.ts';
import { REGIONS, type Rig } from './rig.ts';
import type { Taps } from './taps.ts';
import { judgeScenario, type ChaosVerdict, type Exception } from './verdict.ts';

export interface ConvergenceParts {
  readonly rig: Rig;
  readonly stream: string;
  readonly taps: Taps;
  readonly seen: Observer;
  readonly exception: Exception | undefined;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface Converged {
  /** From `sinceMs` until every tap was answered, and until the books balanced for good; null when that never came. */
  readonly answeredMs: number | null;
  readonly convergedMs: number | null;
  readonly verdict: ChaosVerdict;
}

const POLL_MS = 50;
/** Between looks at books that balance. */
const CALM_POLL_MS = 250;
/** Around the loss, for what was acknowledged and is not written down here yet. */
const SAMPLE_MS = 100;
/** Within this time windows reach the database. */
const STORED_MS = 4_000;
const NOTHING = { storedLost: 0, lost: 0, double: 0 };

export class Convergence {
  readonly #parts: ConvergenceParts;
  #lossAt = Infinity;

  constructor(parts: ConvergenceParts) {
    this.#parts = parts;
  }

  /** What the exception admits is reckoned from now. */
  lossIsNow(): void {
    this.#lossAt = realRuntime.clock.now();
  }

  /** They must balance at every look for `calmMs`: a moment in which they do may be chance. */
  async wait({ sinceMs, calmMs, withinMs }: { readonly sinceMs: number; readonly calmMs: number; readonly withinMs: number }): Promise<Converged> {
    const { taps, signal, say } = this.#parts;
    let answeredMs: number | null = null;
    let balancedMs: number | null = null;
    for (;;) {
      signal.throwIfAborted();
      if (taps.rejection !== null) throw new Error(taps.rejection);
      if (answeredMs === null && taps.busyCount === 0) answeredMs = realRuntime.clock.now() - sinceMs;
      const verdict = await this.#judge();
      const elapsedMs = realRuntime.clock.now() - sinceMs;
      if (answeredMs !== null && verdict.problems.length === 0) {
        balancedMs ??= elapsedMs;
        if (elapsedMs - balancedMs >= calmMs) return { answeredMs, convergedMs: balancedMs, verdict: verdict.balanced ? verdict : await this.#judgeLater() };
      } else {
        if (balancedMs !== null) say(`the books balanced, and do not any more: ${verdict.problems[0]}`);
        balancedMs = null;
        if (elapsedMs > withinMs) return { answeredMs, convergedMs: null, verdict };
      }
      await sleep(realRuntime.timers, balancedMs === null ? POLL_MS : CALM_POLL_MS, signal);
    }
  }

  /** As an operator does it. Answers what it found. */
  async audit(expectBalanced: boolean): Promise<string[]> {
    const { rig, stream, exception, say } = this.#parts;
    const words = ['audit', '--json', '--stream', stream, '--endpoint', rig.endpoints.join(','), '--wait', '10s'];
    if (!expectBalanced && exception?.storedLostSeconds !== undefined) words.push('--no-database');
    const child = spawn(process.execPath, [OVATION_COMMAND, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(child, 'close');
    const { balanced, total, differences } = JSON.parse(text) as { balanced: boolean; total: number; differences: { text: string }[] };
    say(`ovation audit: ${balanced ? 'balanced' : 'not balanced'}, ${total} taps`);
    return balanced ? [] : differences.map(({ text: difference }) => `ovation audit: ${difference}`);
  }

  /** What an exception admits is told once nothing is on its way any more. */
  async #judgeLater(): Promise<ChaosVerdict> {
    const { signal } = this.#parts;
    await sleep(realRuntime.timers, STORED_MS, signal);
    signal.throwIfAborted();
    return this.#judge();
  }

  async #judge(): Promise<ChaosVerdict> {
    const { rig, stream, taps } = this.#parts;
    try {
      const books = await Promise.all(rig.endpoints.map((endpoint) => fetchBooks(endpoint, stream)));
      // Before the fault nothing is to be excused.
      const exception = this.#lossAt === Infinity ? undefined : this.#parts.exception;
      const verdict = judgeScenario(taps.truth, books, exception, (emoji, seconds) => this.#tapsAroundLoss(emoji, seconds));
      return { ...verdict, problems: [...verdict.problems, ...this.#openClaims()] };
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      return { balanced: false, problems: [error.message], admitted: NOTHING, counted: 0, stored: 0 };
    }
  }

  #openClaims(): string[] {
    const { seen } = this.#parts;
    return REGIONS.filter((region) => seen.now(region, 'aggregator_claims_pending') > 0).map((region) => `claims of ${region} are not settled`);
  }

  /** What the excused region acknowledged of an emoji in the last `seconds` before the loss: nothing to those at home elsewhere. */
  #tapsAroundLoss(emoji: string, seconds: number): number {
    const { seen, exception } = this.#parts;
    if (seconds === 0 || GROUPS.find((group) => group.emoji === emoji)?.home !== exception?.region) return 0;
    return seen.acknowledgedAt(emoji, this.#lossAt + SAMPLE_MS) - seen.acknowledgedAt(emoji, this.#lossAt - seconds * 1_000);
  }
}
