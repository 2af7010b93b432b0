/** How hard this process works, from the runtime and the system: how late and how busy its event loop is, and how full its memory. */

import { PerformanceObserver, constants, monitorEventLoopDelay, performance, type NodeGCPerformanceDetail, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

export interface ProcessSample {
  /** How much later than planned timers fired since the last sample, on average. */
  readonly loopDelayMs: number;
  /** Share of the time since then in which the event loop was busy, 0 to 1. */
  readonly loopUtilization: number;
  /** Share of the heap that there may be which was still in use when it was last looked through whole, or of the memory that the process may have. */
  readonly memoryShare: number;
}

export interface ProcessLoad {
  /** Since the last one. */
  sample(): ProcessSample;
  stop(): void;
}

const RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;
/** The old generation grows by so much of itself until it is looked through again. */
const HEAP_GROWTH_PERCENT = 100;

/**
 * Lets V8 look through the old generation seldom. Left to itself it does so every second or two in a process whose connections come and go
 * quickly, however small the heap is, and each time everybody waits; the price is as much memory again as is in use.
 */
export function collectGarbageSeldom(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
}

export function createProcessLoad(): ProcessLoad {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const heapBytesMax = getHeapStatistics().heap_size_limit;
  // Of a control group; without a limit a number that no process reaches, or none.
  const limit = (process as { constrainedMemory?: () => number | undefined }).constrainedMemory?.() ?? 0;
  const bytesMax = limit > 0 ? limit : Infinity;
  // What has come since may be garbage: a heap that is full of that is not full.
  let usedBytes: number | null = null;
  const collections = new PerformanceObserver((list) => {
    if (list.getEntries().some(isMajorCollection)) usedBytes = process.memoryUsage().heapUsed;
  });
  collections.observe({ entryTypes: ['gc'] });
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
        memoryShare: Math.max((usedBytes ?? heapUsed) / heapBytesMax, rss / bytesMax),
      };
    },
    stop() {
      delays.disable();
      collections.disconnect();
    },
  };
}

/** Of the whole heap, not of the young generation alone. */
function isMajorCollection(entry: PerformanceEntry): boolean {
  return (entry as PerformanceEntry & { readonly detail: NodeGCPerformanceDetail }).detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
