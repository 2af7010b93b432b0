import { expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { ViewerCounts } from '../../src/edge/viewer-counts.ts';

const derby = 'derby' as StreamId;

it('[EDGE-38] the first viewer is told at once, a crowd together', () => {
  const timers: (() => void)[] = [];
  const told: [string, number][] = [];
  const counts = new ViewerCounts(
    { after: (_ms, call) => (timers.push(call), () => {}), every: () => () => {} },
    (stream, viewers) => told.push([stream, viewers]),
  );
  for (let n = 1; n <= 1000; n++) counts.set(derby, n);
  expect(told).toEqual([['derby', 1]]);
  expect(timers).toHaveLength(1);
  timers.shift()!();
  expect(told).toEqual([['derby', 1], ['derby', 1000]]);
  counts.set(derby, 0);
  counts.set(derby, 1000);
  timers.shift()!();
  expect(told).toHaveLength(2);
  counts.set(derby, 0);
  timers.shift()!();
  expect(told.at(-1)).toEqual(['derby', 0]);
});
