/** Who taps in a scenario: groups of viewers by where they are at home, each with an emoji of its own, so that each has books of its own. */

import type { RegionName } from './rig.ts';

export interface Group {
  readonly home: RegionName;
  readonly emoji: string;
  /** True for those who move to another region when their own one is gone, as the player SDK does; the others come back to it. */
  readonly moves: boolean;
}

export const GROUPS: readonly Group[] = [
  { home: 'us', emoji: 'heart', moves: false },
  { home: 'eu', emoji: 'fire', moves: false },
  { home: 'ap', emoji: 'clap', moves: false },
  { home: 'us', emoji: 'laugh', moves: true },
  { home: 'eu', emoji: 'wow', moves: true },
];

/** @throws when there is none */
export function groupOf(home: RegionName, moves: boolean): Group {
  const group = GROUPS.find((each) => each.home === home && each.moves === moves);
  if (group === undefined) throw new Error(`no viewers of ${home} ${moves ? 'move' : 'stay'}`);
  return group;
}
