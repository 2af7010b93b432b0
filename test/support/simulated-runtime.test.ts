/** The simulation is what other tests stand on, so it is tested itself. */

import { expect, test } from 'vitest';
import { sleep } from '../../regions/runtime.ts';
import { createSimulatedRuntime } from './simulated-runtime.ts';

test('timers fire in order of time, then of creation, and promises settle in between', async () => {
  const runtime = createSimulatedRuntime(1);
  const start = runtime.clock.now();
  const seen: string[] = [];
  runtime.timers.after(20, () => seen.push('second'));
  runtime.timers.after(20, () => seen.push('third'));
  void sleep(runtime.timers, 10).then(() => seen.push(`first at ${runtime.clock.now() - start}`));
  const cancel = runtime.timers.after(15, () => seen.push('never'));
  cancel();
  const stop = runtime.timers.every(30, () => seen.push(`every at ${runtime.clock.now() - start}`));
  await runtime.runFor(70);
  stop();
  expect(seen).toEqual(['first at 10', 'second', 'third', 'every at 30', 'every at 60']);
  expect(runtime.pendingTimers).toBe(0);
  expect(runtime.clock.now() - start).toBe(70);
});

test('the same seed gives the same numbers, another seed others', () => {
  const draw = (seed: number): number[] => {
    const runtime = createSimulatedRuntime(seed);
    return Array.from({ length: 5 }, () => runtime.random.next());
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7).every((value) => value >= 0 && value < 1)).toBe(true);
});

test('settle moves time as far as the promise needs, and no further than the limit', async () => {
  const runtime = createSimulatedRuntime(1);
  await runtime.settle(sleep(runtime.timers, 5000));
  await expect(runtime.settle(new Promise(() => {}), 100)).rejects.toThrow('seed 1');
});
