/** Latencies in HDR histograms: every value counts, none is sampled away. */

import { build, type Histogram } from 'hdr-histogram-js';

export interface Percentiles {
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const MICROSECONDS_MAX = 3_600_000_000;

export class Latencies {
  readonly #histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: MICROSECONDS_MAX,
    numberOfSignificantValueDigits: 3,
    autoResize: false,
    useWebAssembly: false,
  });

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(Math.max(Math.round(ms * 1000), 0), MICROSECONDS_MAX));
  }

  /** Null before the first value. */
  percentiles(): Percentiles | null {
    const histogram = this.#histogram;
    if (histogram.totalCount === 0) return null;
    const at = (percentile: number): number => round(histogram.getValueAtPercentile(percentile) / 1000);
    return { count: histogram.totalCount, p50Ms: at(50), p95Ms: at(95), p99Ms: at(99), maxMs: round(histogram.maxValue / 1000) };
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
