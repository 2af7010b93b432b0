/** The real clock, timers and randomness. */

import type { Clock, Runtime } from '../../regions/runtime.ts';

export const realRuntime: Runtime = Object.freeze({
  clock: {
    // Anchored to the wall clock at process start and advanced by the monotonic one, so that a step of
    // the wall clock can neither reopen a closed window nor stop time.
    now: () => performance.timeOrigin + performance.now(),
  },
  timers: {
    after(delayMs: number, call: () => void) {
      const timer = setTimeout(call, delayMs);
      return () => clearTimeout(timer);
    },
    every(intervalMs: number, call: () => void) {
      const timer = setInterval(call, intervalMs);
      return () => clearInterval(timer);
    },
  },
  random: { next: Math.random },
});

/**
 * By how much the wall clock is ahead of a clock. The clock of a process keeps what the wall clock said at its start, so this grows
 * when that was wrong and has been set since, and by the time that the machine was suspended.
 */
export function wallClockAheadMs(clock: Clock): number {
  return Date.now() - clock.now();
}
