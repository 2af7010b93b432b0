/** What scenarios do with those who do not hear their region, and with those who move. */

import { groupOf, type Group } from './groups.ts';
import { REGIONS, type RegionName } from './rig.ts';
import type { Stage } from './scenario.ts';

/** Those who come back give up a connection on which they hear nothing after ten seconds, those who move after six. */
export const HANG_UP_MS = 12_000;

export const homersOf = (home: RegionName): Group => groupOf(home, false);
export const moversOf = (home: RegionName): Group => groupOf(home, true);

/** Resolves when a group's region has counted taps that the group does not know of. It hears nothing more of it, until `hear`. */
export async function deafen({ taps, seen, until }: Stage, group: Group): Promise<void> {
  const { home, emoji } = group;
  const party = taps.partyOf(group);
  party.deafen();
  const counted = async (): Promise<boolean> => (await seen.count(home, emoji)) >= taps.acknowledged(group) + party.size;
  await until(`${home} counts ${emoji} that nobody has heard of`, counted);
}

export function hear({ taps }: Stage, ...groups: readonly Group[]): void {
  for (const group of groups) taps.partyOf(group).hear();
}

/** Resolves when those who move and are at home in these regions are in others, which claim what they brought along. */
export async function untilMovedAndClaimed(stage: Stage, homes: readonly RegionName[], claimants: readonly RegionName[]): Promise<void> {
  const { taps, seen, until, say } = stage;
  const groups = homes.map(moversOf);
  const all = groups.reduce((sum, group) => sum + taps.partyOf(group).size, 0);
  await until('all have moved', () => seen.moves >= all);
  hear(stage, ...groups);
  const pending = (region: RegionName): number => seen.now(region, 'aggregator_claims_pending');
  await until('what they brought is claimed', () => claimants.every((region) => pending(region) > 0));
  say(`claims that wait: ${REGIONS.map((region) => `${region} ${pending(region)}`).join(', ')}`);
}
