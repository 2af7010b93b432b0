/** The real clock, timers and randomness. */

import type { Runtime } from '../../regions/runtime.ts';

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
