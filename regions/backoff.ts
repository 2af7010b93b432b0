/** How long to wait before trying again: grows with each failure, and is never the same for two. */

import type { Random } from './runtime.ts';

export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Uniform from min to min · 2ⁿ, at most max, after n failures in a row. */
export function backoffMs(failures: number, { minMs, maxMs }: BackoffLimits, random: Random): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(failures, 30));
  return minMs + random.next() * (ceiling - minMs);
}
