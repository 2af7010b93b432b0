import { afterEach, describe, expect, it, vi } from 'vitest';
import { realRuntime, wallClockAheadMs } from '../../src/base/runtime.ts';

describe('the clock of a process', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('[OBS-6] is told by how much the wall clock has moved against it', () => {
    expect(Math.abs(wallClockAheadMs(realRuntime.clock))).toBeLessThan(1_000);
    const wall = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(wall + 60_000);
    expect(wallClockAheadMs(realRuntime.clock)).toBeGreaterThan(59_000);
    expect(Math.abs(realRuntime.clock.now() - wall)).toBeLessThan(1_000);
  });
});
