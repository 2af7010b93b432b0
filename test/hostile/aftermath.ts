/** What a region has come to when the attackers are gone: its totals beside what everybody was told, and a policy that was attacked. */

import { isId } from '../../crdt/ids.ts';
import { DEFAULT_POLICY, PALETTE_MAX, SPREAD_MAX, isGlyph, isRate } from '../../src/moderation/policy.ts';
import { LEVELS_IN_ORDER, isTimestamp, isViewerId } from '../../src/protocol/message-rules.ts';
import type { RegionCommand } from '../support/region-command.ts';
import type { Books, Counts } from './answer-books.ts';
import type { Target } from './attack.ts';
import type { LegitimateCrowd } from './legitimate-crowd.ts';
import { DOCUMENT, STREAM } from './surfaces.ts';

/** Each a sentence; nothing is wrong when there is none. */
export async function lookAfter(region: RegionCommand, { moderatorToken }: Target, crowd: LegitimateCrowd, books: Books): Promise<string[]> {
  const [derby, hostile] = [await totalsOf(region, 'derby'), await totalsOf(region, STREAM)];
  const policy = await fetch(`${region.url}/control/${DOCUMENT}/policy`, { headers: { authorization: `Bearer ${moderatorToken}` } });
  const problems = [
    ...discrepancies('derby', derby, { heart: crowd.accepted }, { heart: crowd.accepted }),
    ...discrepancies(STREAM, hostile, books.least, books.most),
    ...books.faults,
    ...(policy.status === 200 ? policyProblems((await policy.json()) as PolicyAnswer) : [`the policy that was attacked is answered with ${policy.status}`]),
  ];
  if ((await fetch(`${region.adminUrl}/livez`)).status !== 200) problems.push('the region is not alive');
  return problems;
}

async function totalsOf({ url }: RegionCommand, stream: string): Promise<Counts> {
  return ((await (await fetch(`${url}/streams/${stream}/reactions`)).json()) as { readonly totals: Counts }).totals;
}

/** Every emoji of the palette, and no other, is counted as often as was said that it is. */
export function discrepancies(stream: string, totals: Counts, least: Counts, most: Counts): string[] {
  const palette: ReadonlySet<string> = new Set(DEFAULT_POLICY.palette.keys());
  const foreign = Object.keys(totals).filter((emoji) => !palette.has(emoji));
  return [
    ...foreign.map((emoji) => `${stream} counts ${JSON.stringify(emoji)}, which is no emoji of its palette`),
    ...[...palette].flatMap((emoji) => {
      const [total = 0, low = 0, high = 0] = [totals[emoji], least[emoji], most[emoji]];
      return total >= low && total <= high ? [] : [`of ${stream} ${low === high ? low : `${low} to ${high}`} taps of ${emoji} were acknowledged, the totals say ${total}`];
    }),
  ];
}

/** What a region answers that it heeds. */
export interface PolicyAnswer {
  readonly palette: Readonly<Record<string, unknown>>;
  readonly limits: Readonly<Record<'viewer' | 'device' | 'address', { readonly tapsPerSecondMax: unknown; readonly tapBurstMax: unknown }>>;
  readonly state: unknown;
  readonly ended_at: unknown;
  readonly level: unknown;
  readonly spread: unknown;
  readonly mutes: readonly Readonly<Record<'kind' | 'id' | 'until' | 'by' | 'reason' | 'retract_from' | 'at' | 'lifted_at', unknown>>[];
}

/** Whatever was written into its document, a policy holds only what a region can act upon. */
export function policyProblems({ palette, limits, state, ended_at, level, spread, mutes }: PolicyAnswer): string[] {
  const emoji = Object.entries(palette);
  const isTime = (value: unknown): boolean => value === null || isTimestamp(value);
  const rules: Readonly<Record<string, boolean>> = {
    palette: emoji.length <= PALETTE_MAX && emoji.every(([id, glyph]) => isId(id) && isGlyph(glyph)),
    limits: [limits.viewer, limits.device, limits.address].every(({ tapsPerSecondMax, tapBurstMax }) => isRate(tapsPerSecondMax) && isRate(tapBurstMax)),
    state: ['live', 'draining', 'ended'].includes(state as string) && (state === 'ended') === (ended_at !== null) && isTime(ended_at),
    level: level === null || (LEVELS_IN_ORDER as readonly unknown[]).includes(level),
    spread: Number.isInteger(spread) && (spread as number) >= 1 && (spread as number) <= SPREAD_MAX,
    mutes: mutes.every(
      ({ kind, id, until, by, reason, retract_from, at, lifted_at }) =>
        ['viewer', 'device'].includes(kind as string) && isViewerId(id) && typeof by === 'string' && typeof reason === 'string' && isTimestamp(at) && [until, retract_from, lifted_at].every(isTime),
    ),
  };
  return Object.entries(rules).flatMap(([part, isValid]) => (isValid ? [] : [`the policy that was attacked has ${part} that no region can act upon`]));
}
