import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it, vi } from 'vitest';
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

it('[LOAD-14] memory that is garbage does not count as in use, and what is kept does once the heap was looked through', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(0);
  const load = createProcessLoad();
  const share = (): number => load.sample().memoryShare;
  const ofHeap = (bytes: number): number => bytes / getHeapStatistics().heap_size_limit;
  collect();
  // Until that is heard of, what is in use grows from one sample to the next.
  await expect.poll(() => share() === share()).toBe(true);
  const calm = share();

  let numbers: number[][] = [];
  const fill = (): void => void (numbers = Array.from({ length: 40 }, () => Array.from({ length: 100_000 }, (_, index) => index + 0.5)));
  fill();
  expect(share()).toBeLessThan(calm + ofHeap(16e6));
  collect();
  await expect.poll(share).toBeGreaterThan(calm + ofHeap(30e6));
  numbers = [];
  collect();
  await expect.poll(share).toBeLessThan(calm + ofHeap(16e6));
  load.stop();
  expect(numbers).toEqual([]);
});
