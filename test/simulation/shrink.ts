/** Makes the schedule of a failing seed small: drops halves, then single faults, while it still fails. */

import type { Scenario } from './faults.ts';
import type { Outcome } from './world.ts';

/** `kept` are the places of the faults that are left. */
export async function shrink(
  scenario: Scenario,
  simulate: (scenario: Scenario) => Promise<Outcome>,
): Promise<{ readonly kept: readonly number[]; readonly outcome: Outcome }> {
  const attempt = (kept: readonly number[]): Promise<Outcome> =>
    simulate({ ...scenario, faults: scenario.faults.filter((_, index) => kept.includes(index)) });
  let kept = scenario.faults.map((_, index) => index);
  let outcome = await attempt(kept);
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length; ) {
      const fewer = [...kept.slice(0, from), ...kept.slice(from + size)];
      const next = await attempt(fewer);
      if (next.violations.length > 0) [kept, outcome] = [fewer, next];
      else from += size;
    }
  }
  return { kept, outcome };
}
