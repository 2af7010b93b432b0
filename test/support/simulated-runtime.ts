/**
 * The simulated runtime: time, timers and randomness from one seed, for tests without sleeps.
 *
 * Time stands still until a test moves it. Timers fire in order of their time, and of their creation
 * where times are equal; between two of them every promise that can settle does. The same seed gives
 * the same run. Nothing here may wait for real I/O: it would finish at no particular virtual time.
 */

import type { Cancel, Runtime } from '../../regions/runtime.ts';

export const SIMULATION_START_MS = Date.UTC(2026, 0, 1);

export interface SimulatedRuntime extends Runtime {
  readonly seed: number;
  /** Timers not yet fired or cancelled: 0 after a clean stop. */
  readonly pendingTimers: number;
  /** Fires everything due up to a time, which is then the time. */
  run(untilMs: number): Promise<void>;
  runFor(durationMs: number): Promise<void>;
  /** Runs until the condition holds, checked after each timer. @throws when it does not within the limit. */
  runUntil(condition: () => boolean, limitMs?: number): Promise<void>;
  /** Awaits a promise that needs time to pass. @throws when it has not settled within the limit. */
  settle<Value>(promise: Promise<Value>, limitMs?: number): Promise<Value>;
}

interface Timer {
  atMs: number;
  order: number;
  readonly call: () => void;
  readonly everyMs: number | null;
}

export function createSimulatedRuntime(seed: number, startMs = SIMULATION_START_MS): SimulatedRuntime {
  const random = seededRandom(seed);
  /** Sorted, the next one last. */
  const timers: Timer[] = [];
  let now = startMs;
  let created = 0;

  const insert = (timer: Timer): void => {
    let low = 0;
    let high = timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isLater(timers[middle]!, timer)) low = middle + 1;
      else high = middle;
    }
    timers.splice(low, 0, timer);
  };

  const add = (delayMs: number, call: () => void, everyMs: number | null): Cancel => {
    const timer: Timer = { atMs: now + Math.max(0, delayMs), order: created++, call, everyMs };
    insert(timer);
    return () => {
      const index = timers.indexOf(timer);
      if (index !== -1) timers.splice(index, 1);
    };
  };

  /** Fires the next timer due up to a time; false when there is none. */
  const fireNext = (untilMs: number): boolean => {
    const timer = timers.at(-1);
    if (timer === undefined || timer.atMs > untilMs) return false;
    timers.pop();
    now = timer.atMs;
    if (timer.everyMs !== null) {
      timer.atMs = now + timer.everyMs;
      timer.order = created++;
      insert(timer);
    }
    timer.call();
    return true;
  };

  const run = async (untilMs: number): Promise<void> => {
    await drainMicrotasks();
    while (fireNext(untilMs)) await drainMicrotasks();
    now = Math.max(now, untilMs);
  };

  const runUntil = async (condition: () => boolean, limitMs = 60_000): Promise<void> => {
    const deadline = now + limitMs;
    await drainMicrotasks();
    while (!condition()) {
      if (!fireNext(deadline)) throw new Error(`seed ${seed}: the condition did not hold within ${limitMs} ms: ${condition}`);
      await drainMicrotasks();
    }
  };

  return {
    seed,
    clock: { now: () => now },
    timers: {
      after: (delayMs, call) => add(delayMs, call, null),
      every: (intervalMs, call) => {
        if (!(intervalMs > 0)) throw new RangeError('an interval of no time would never let time pass');
        return add(intervalMs, call, intervalMs);
      },
    },
    random: { next: random },
    get pendingTimers() {
      return timers.length;
    },
    run,
    runFor: (durationMs) => run(now + durationMs),
    runUntil,
    async settle(promise, limitMs) {
      let settled = false;
      const mark = (): void => {
        settled = true;
      };
      promise.then(mark, mark);
      await runUntil(() => settled, limitMs);
      return promise;
    },
  };
}

/** sfc32 (PractRand), seeded through 15 discarded rounds. Uniform in [0, 1). */
export function seededRandom(seed: number): () => number {
  let a = 0x9e3779b9;
  let b = Math.floor(seed / 0x1_0000_0000) | 0;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let round = 0; round < 15; round++) next();
  return next;
}

function isLater(a: Timer, b: Timer): boolean {
  return a.atMs > b.atMs || (a.atMs === b.atMs && a.order > b.order);
}

/** An immediate runs only when no microtask is left. */
function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
