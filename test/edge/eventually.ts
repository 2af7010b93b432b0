/** Waits for a condition with patience for a busy machine. */

import { vi } from 'vitest';

export function eventually<Result>(check: () => Result | Promise<Result>): Promise<Result> {
  return vi.waitFor(check, { timeout: 60_000, interval: 10 });
}
