/**
 * What every part is handed instead of reaching for it: time, timers, randomness, a log to write to.
 *
 * The real ones are in `src/base/`, the simulated ones in `test/support/`; the same code runs on both.
 */

export interface Clock {
  /** Milliseconds since the epoch. Never goes back within a process, whatever the wall clock does. */
  now(): number;
}

export type Cancel = () => void;

export interface Timers {
  /** Calls once after `delayMs`. */
  after(delayMs: number, call: () => void): Cancel;
  /** Calls about every `intervalMs` until cancelled. */
  every(intervalMs: number, call: () => void): Cancel;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

export interface Runtime {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
}

/** Structured log lines: fields first, then a sentence. pino's loggers are of this shape. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Resolves after `delayMs`, or at once when the signal is aborted. Never rejects. */
export function sleep(timers: Timers, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = (): void => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = timers.after(delayMs, finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
