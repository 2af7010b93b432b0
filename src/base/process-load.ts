/** How hard this process works, from the runtime and the system: how late and how busy its event loop is, and how full its memory. */

import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

export interface ProcessSample {
  /** How much later than planned timers fired since the last sample, on average. */
  readonly loopDelayMs: number;
  /** Share of the time since then in which the event loop was busy, 0 to 1. */
  readonly loopUtilization: number;
  /** Share in use of the heap that there may be, or of the memory that the process may have. */
  readonly memoryShare: number;
}

export interface ProcessLoad {
  /** Since the last one. */
  sample(): ProcessSample;
  stop(): void;
}

const RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;

export function createProcessLoad(): ProcessLoad {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const heapBytesMax = getHeapStatistics().heap_size_limit;
  // Of a control group; without a limit a number that no process reaches, or none.
  const limit = (process as { constrainedMemory?: () => number | undefined }).constrainedMemory?.() ?? 0;
  const bytesMax = limit > 0 ? limit : Infinity;
  let utilization = performance.eventLoopUtilization();
  let sampledAt = performance.now();
  return {
    sample() {
      const before = utilization;
      utilization = performance.eventLoopUtilization();
      const now = performance.now();
      // What is measured is the time from one tick to the next. Without any tick the loop stood still all the time.
      const tickMs = delays.count === 0 ? now - sampledAt : delays.mean / NS_PER_MS;
      const loopDelayMs = Math.max(0, tickMs - RESOLUTION_MS);
      sampledAt = now;
      delays.reset();
      const { heapUsed, rss } = process.memoryUsage();
      return {
        loopDelayMs,
        loopUtilization: performance.eventLoopUtilization(utilization, before).utilization,
        memoryShare: Math.max(heapUsed / heapBytesMax, rss / bytesMax),
      };
    },
    stop: () => delays.disable(),
  };
}
