/** A child process that runs another command of this program, and says when it is ready. */

import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { startGuard } from './guard.ts';
import type { Startable } from './supervised.ts';

export interface NodeChildOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
}

const MAIN = path.join(import.meta.dirname, '..', 'main.js');
/** An embedded database alone takes seconds of a processor, and all start at once. */
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 35_000;

export class NodeChild implements Startable {
  readonly name: string;
  readonly #options: NodeChildOptions;
  #child: ChildProcess | null = null;
  #ended: Promise<string> = Promise.resolve('never started');
  #lastLine = '';

  constructor(options: NodeChildOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  ended(): Promise<string> {
    return this.#ended;
  }

  async start(): Promise<void> {
    const child = fork(MAIN, [...this.#options.args], {
      env: this.#options.environment as NodeJS.ProcessEnv,
      // A group of its own: Ctrl-C in the terminal reaches dev alone, which then stops all in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    // It hears by its channel that we are gone, and ends in order; a paused one hears nothing.
    const guard = child.pid === undefined ? undefined : startGuard(child.pid, 'TERM');
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lastLine = line;
        this.#options.onLine(line);
      });
    }
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      // "close" comes after the last line of output, "exit" may come before it.
      child.once('close', (code, signal) => {
        guard?.kill('SIGKILL');
        if (this.#child === child) this.#child = null;
        resolve(signal === null ? `exit code ${code}` : signal);
      });
    });
    await this.#whenReady(child);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGTERM');
    const forced = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await this.#ended;
    clearTimeout(forced);
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Once the command has called `reportReady`. */
  async #whenReady(child: ChildProcess): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await Promise.race([
        new Promise((resolve) => child.once('message', resolve)),
        this.#ended.then((reason) => {
          throw new Error(this.#lastLine.replace(/^ovation: /, '') || reason);
        }),
        new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new Error(`not ready after ${READY_MS_MAX / 1000} s`)), READY_MS_MAX);
        }),
      ]);
    } catch (error) {
      child.kill('SIGKILL');
      await this.#ended;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}
