import { expect, it } from 'vitest';
import type { Signals } from '../../src/broadcaster/degradation.ts';
import { LADDER_GAUGES, Ladder } from '../../src/broadcaster/ladder.ts';
import type { Log } from '../../regions/runtime.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';

const CALM: Signals = { loopDelayMs: 0, loopUtilization: 0.1, commitLagMs: 0, inboxShare: 0, behindShare: 0, memoryShare: 0.2 };

it('[LOAD-3] follows what is measured, and says which level it is on, for how long it was on each, and why', async () => {
  const runtime = createSimulatedRuntime(1);
  let signals = CALM;
  const logged: object[] = [];
  const log: Log = { debug() {}, info() {}, warn: (fields) => void logged.push(fields), error() {} };
  const ladder = new Ladder(runtime, log, () => signals);
  ladder.start();
  await runtime.runFor(2_000);
  expect(ladder.stats).toMatchObject({ level: 0, changes: 0, exactMs: 2_000, loopUtilization: 0.1 });
  signals = { ...CALM, loopDelayMs: 400 };
  await runtime.runFor(10_000);
  expect(ladder.level).toBe('hearts');
  expect(ladder.stats).toMatchObject({ level: 2, changes: 2, exactMs: 3_000, relaxedMs: 1_000, heartsMs: 8_000, staticMs: 0, loopDelayMs: 400 });
  expect(logged).toEqual([
    expect.objectContaining({ from: 'exact', to: 'relaxed', loopDelayMs: 400 }),
    expect.objectContaining({ from: 'relaxed', to: 'hearts' }),
  ]);
  signals = CALM;
  await runtime.runFor(4_000);
  expect(ladder.level).toBe('exact');
  expect(Object.keys(ladder.stats)).toEqual(expect.arrayContaining([...LADDER_GAUGES]));
  ladder.stop();
  expect(runtime.pendingTimers).toBe(0);
});
