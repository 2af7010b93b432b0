/** Faults that last longer than anything is kept: resends, journals, sessions that were not heard of, streams [SIM-6]. */

import { expect, it } from 'vitest';
import type { Fault, Scenario } from './faults.ts';
import { simulate } from './world.ts';

const MINUTE_MS = 60_000;
const LIMIT_MS = 240_000;

function fault(kind: Fault['kind'], atMinutes: number, forMinutes: number, where = 0, other = 0): Fault {
  return { kind, atMs: atMinutes * MINUTE_MS, forMs: forMinutes * MINUTE_MS, where, other, much: 0.5 };
}

/** Viewers tap every half minute or so, unless `calm` says otherwise. */
function scenarioOf(seed: number, minutes: number, faults: readonly Fault[], calm = 60): Scenario {
  return { seed, regions: 3, shards: 2, clients: 6, claims: true, faultMs: minutes * MINUTE_MS, faults, calm };
}

it.each<[string, Scenario]>([
  [
    'a region is cut off for longer than journals are kept, and viewers move meanwhile',
    scenarioOf(1, 16, [fault('isolate', 1, 13), ...[2, 3, 5, 8, 11].map((at, where) => fault('client-move', at, 0, where + 3)), fault('crash', 15, 0)]),
  ],
  [
    'a process sleeps for half a minute and another takes its place',
    scenarioOf(2, 4, [fault('zombie', 1, 0.5), fault('client-loss', 0.9, 0.5), fault('zombie', 2.5, 0.5, 1)], 4),
  ],
  [
    'a process sleeps for longer than journals are kept, with claims on what it counted',
    scenarioOf(3, 20, [fault('client-loss', 0.9, 0.4), fault('pause', 1, 14), ...[1.1, 1.2, 2, 4].map((at, where) => fault('client-move', at, 0, where + 4)), fault('crash-all', 17, 0)], 30),
  ],
  [
    'two regions do not hear each other for over an hour, and viewers move both ways',
    scenarioOf(4, 75, [fault('cut', 1, 68), fault('cut', 1, 68, 1), ...[2, 9, 20, 33, 50, 66].map((at, where) => fault('client-move', at, 0, where)), fault('restart', 72, 0)], 300),
  ],
  [
    'clocks are set and processes die, a quarter of an hour apart',
    scenarioOf(5, 40, [fault('clock-step', 5, 0, 0, 3), fault('clock-step', 18, 0, 1, 4), fault('crash', 20, 0), fault('crash-all', 33, 0), fault('client-move', 19, 0, 4)], 120),
  ],
])('[SIM-6] %s', async (_, scenario) => {
  const { violations, batches } = await simulate(scenario);
  expect(violations).toEqual([]);
  expect(batches).toBeGreaterThan(50);
}, LIMIT_MS);
