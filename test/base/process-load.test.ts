import { expect, it } from 'vitest';
import { createProcessLoad } from '../../src/base/process-load.ts';

it('[LOAD-3] a loop that stood still is late and busy, and one that rested is neither', async () => {
  const load = createProcessLoad();
  await new Promise((resolve) => setTimeout(resolve, 100));
  load.sample();
  const until = performance.now() + 150;
  while (performance.now() < until);
  const busy = load.sample();
  expect(busy.loopDelayMs).toBeGreaterThan(100);
  expect(busy.loopUtilization).toBeGreaterThan(0.9);
  await expect.poll(() => load.sample().loopUtilization, { interval: 100 }).toBeLessThan(0.9);
  expect(load.sample().memoryShare).toBeGreaterThan(0);
  expect(load.sample().memoryShare).toBeLessThan(1);
  load.stop();
});
