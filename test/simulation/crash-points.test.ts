/** Every place at which a process can die, one by one, in a world in which nothing else goes wrong [SIM-5]. */

import { expect, it } from 'vitest';
import { REQUESTS, type Fault, type Scenario } from './faults.ts';
import { CRASH_PHASES, type CrashPoint } from './process.ts';
import { ENDED_GRACE_MS } from './simulated-region.ts';
import { simulate } from './world.ts';

const LIMIT_MS = 240_000;
/** Turns of promises after an answer, up to what the longest chain of awaits takes. */
const HOPS = [0, 2, 5, 9];

/** What comes once in the life of a process, or once in all. Of the others the second is mostly the other shard's. */
const ONCE = new Set(['open', 'remove']);

function pointsOf(request: string): CrashPoint[] {
  const skips = ONCE.has(request) ? [0] : [0, 1];
  return skips.flatMap((skip) =>
    CRASH_PHASES.flatMap((phase) => (phase === 'answered' ? HOPS : [0]).map((hops): CrashPoint => ({ request, phase, hops, skip }))),
  );
}

function fault(kind: Fault['kind'], atMs: number, forMs = 500, where = 0): Fault {
  return { kind, atMs, forMs, where, other: 0, much: 0.5 };
}

/** A shard forgets every ten seconds; rows are removed when a stream that ended is over. */
const FAULT_MS: Readonly<Record<string, number>> = { forget: 23_000, remove: 2 * ENDED_GRACE_MS + 20_000 };
const BEFORE: Readonly<Record<string, readonly Fault[]>> = { remove: [fault('end', 1_000), fault('end', 1_200, 500, 1)] };

/** `us` dies at the point. Viewers move there and away with what is unanswered, so that there are claims to settle. */
function scenarioOf(point: CrashPoint, seed: number, before: readonly Fault[] = []): Scenario {
  const moves = [1, 2, 4, 5].map((where) => fault('client-move', 700 + 200 * where, 0, where * 3));
  const faults = [fault('client-loss', 500, 1_500), ...moves, ...before, { ...fault('crash-at', 1_500), point }, ...(BEFORE[point.request] ?? [])];
  return { seed, regions: 3, shards: 2, clients: 6, claims: true, faultMs: FAULT_MS[point.request] ?? 4_500, faults: faults.sort((one, other) => one.atMs - other.atMs) };
}

it.each(Object.values(REQUESTS).flat())('[SIM-5] dying around any request to %s loses nothing and doubles nothing', async (request) => {
  const missed: string[] = [];
  for (const [index, point] of pointsOf(request).entries()) {
    const outcome = await simulate(scenarioOf(point, 1_000 + index));
    expect({ point, violations: outcome.violations }).toEqual({ point, violations: [] });
    if (!outcome.counts.has(`crash ${point.phase} ${request}`)) missed.push(JSON.stringify(point));
  }
  expect(missed).toEqual([]);
}, LIMIT_MS);

it('[SIM-5] dying around any commit of a whole state that is written anew loses nothing that was told, and doubles nothing', async () => {
  let pieces = 0;
  for (let skip = 0; skip < 8; skip++) {
    for (const phase of CRASH_PHASES) {
      const wiped = fault('journal-wiped', 1_500);
      const { violations, counts } = await simulate(scenarioOf({ request: 'commit', phase, hops: 3, skip }, 2_000 + skip, [wiped]));
      expect({ skip, phase, violations }).toEqual({ skip, phase, violations: [] });
      if (counts.has(`crash ${phase} commit`)) pieces++;
    }
  }
  expect(pieces).toBe(32);
}, LIMIT_MS);
