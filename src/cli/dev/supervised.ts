/**
 * A supervised process: when it dies by itself it is started again, after a growing pause, for as
 * long as `ovation dev` runs. So a `kill -9` is something to try and not the end of the show. It can also be
 * paused where it stands, and stopped until it is wanted again.
 */

import { backoffMs } from '../../../regions/backoff.ts';
import { sleep, type Runtime } from '../../../regions/runtime.ts';

/** One process, as the supervisor sees it. */
export interface Startable {
  readonly name: string;
  readonly pid: number | null;
  /** Resolves when it is ready; rejects when it cannot be started. Nothing runs then. */
  start(): Promise<void>;
  /** Of the process that runs: resolves with why it ended. */
  ended(): Promise<string>;
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): void;
}

export type SupervisedState = 'starting' | 'running' | 'paused' | 'restarting' | 'stopped';

const BACKOFF = { minMs: 250, maxMs: 10_000 };
/** Who ran this long is not failing in a row. */
const STEADY_MS = 30_000;

export class Supervised {
  state: SupervisedState = 'starting';
  restarts = 0;
  readonly #process: Startable;
  readonly #runtime: Runtime;
  readonly #say: (line: string) => void;
  readonly #stopping = new AbortController();
  readonly #signal: (pid: number, signal: 'SIGSTOP' | 'SIGCONT') => void;
  #watching: Promise<void> = Promise.resolve();
  /** While it is not wanted: aborted when it is again. */
  #halted: AbortController | null = null;

  constructor(process: Startable, runtime: Runtime, say: (line: string) => void, signal = sendSignal) {
    this.#process = process;
    this.#runtime = runtime;
    this.#say = say;
    this.#signal = signal;
  }

  get pid(): number | null {
    return this.#process.pid;
  }

  /** Rejects when even the first start fails: then something is wrong that no restart mends. */
  async start(): Promise<void> {
    await this.#process.start();
    if (this.#stopping.signal.aborted) return this.#process.stop();
    this.state = 'running';
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.resume();
    await this.#process.stop();
    await this.#watching;
    this.state = 'stopped';
  }

  kill(): void {
    this.#process.kill();
  }

  /** SIGSTOP: it lives, holds its connections, and does nothing. */
  pause(): void {
    const { pid } = this.#process;
    if (pid === null || this.state !== 'running') return;
    this.#signal(pid, 'SIGSTOP');
    this.state = 'paused';
  }

  /** Ends it in order, and keeps it so. */
  async halt(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.resume();
    this.#halted = new AbortController();
    // What is not running yet finds out that it is not wanted before it is started.
    if (this.state === 'restarting') this.state = 'stopped';
    await this.#process.stop();
  }

  /** Undoes a pause or a halt. */
  resume(): void {
    const { pid } = this.#process;
    if (this.state === 'paused') {
      if (pid !== null) this.#signal(pid, 'SIGCONT');
      this.state = 'running';
    }
    if (this.#halted === null) return;
    this.#halted.abort();
    this.#halted = null;
    if (this.state === 'stopped') this.state = 'restarting';
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = this.#runtime.clock.now();
      const reason = await this.#process.ended();
      if (signal.aborted) return;
      if (this.#runtime.clock.now() - startedAt > STEADY_MS) failures = 0;
      this.state = 'restarting';
      this.#say(`${this.#process.name} ended (${reason})${this.#halted === null ? '; starting it again' : ', as it was told to'}`);
      failures = await this.#startAgain(failures);
    }
  }

  /** Tries until it runs or nobody wants it any more; answers how often in a row it failed. */
  async #startAgain(failuresBefore: number): Promise<number> {
    const { signal } = this.#stopping;
    for (let failures = failuresBefore; ; failures += 1) {
      do {
        await this.#wanted();
        await sleep(this.#runtime.timers, backoffMs(failures, BACKOFF, this.#runtime.random), signal);
        if (signal.aborted) return failures;
      } while (this.#halted !== null);
      try {
        await this.#process.start();
        if (signal.aborted) {
          await this.#process.stop();
          return failures;
        }
        this.state = 'running';
        this.restarts += 1;
        this.#say(`${this.#process.name} is back (pid ${this.#process.pid})`);
        return failures + 1;
      } catch (error) {
        this.#say(`${this.#process.name} could not be started: ${(error as Error).message}`);
      }
    }
  }

  async #wanted(): Promise<void> {
    while (this.#halted !== null) {
      const { signal } = this.#halted;
      this.state = 'stopped';
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    }
  }
}

/** To one that may have ended by itself in this very moment. */
function sendSignal(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
