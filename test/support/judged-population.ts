/** Runs a population through the judge and counts, by kind, who was limited. */

import type { EmojiId } from '../../crdt/ids.ts';
import { JUDGE_LIMITS, Judge } from '../../src/antispam/judge.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { HUMANS, type Kind, type Member, type Population } from './viewer-population.ts';

const START = 1_795_342_812_340;
const EMOJI = [...DEFAULT_POLICY.palette.keys()] as EmojiId[];

export interface Tally {
  viewers: number;
  /** Viewers of whom at least one tap did not count. */
  limited: number;
  shadowed: number;
  flagged: number;
  taps: number;
  uncounted: number;
  /** Milliseconds from the first batch to the first that was shadowed, of each viewer that was. */
  readonly delays: number[];
}

interface Trial {
  readonly firstAt: number;
  taps: number;
  uncounted: number;
  shadowedAt: number | null;
}

export type Tallies = Map<Kind, Tally>;

/** Adds a stream's population to the tallies. */
export function judgePopulation({ members, arrivals }: Population, tallies: Tallies, judge = new Judge({ ...JUDGE_LIMITS, bucketsMax: 1_000_000 }, 1)): Judge {
  const trials = new Map<Member, Trial>();
  const places = new Map<Member, number>();
  for (const { at, member, emoji, counts } of arrivals) {
    let trial = trials.get(member);
    if (trial === undefined) trials.set(member, (trial = { firstAt: at, taps: 0, uncounted: 0, shadowedAt: null }));
    const place = judge.find(0, member.viewer, places.get(member) ?? 0, START + at);
    places.set(member, place);
    const reactions = emoji.map((which, index) => [EMOJI[which]!, counts[index]!] as const);
    const taps = counts.reduce((sum, count) => sum + count, 0);
    const counted = judge.judge(0, place, { ...member, reactions }, taps, DEFAULT_POLICY.limits, START + at);
    trial.taps += taps;
    trial.uncounted += taps - counted;
    if (judge.standing(place) === 'shadow') trial.shadowedAt ??= at;
  }
  const flagged = new Set(judge.flagged(0, START).map(({ viewer }) => viewer));
  for (const member of members) {
    const tally = tallyOf(tallies, member.kind);
    const trial = trials.get(member);
    tally.viewers += 1;
    if (flagged.has(member.viewer)) tally.flagged += 1;
    if (trial === undefined) continue;
    tally.taps += trial.taps;
    tally.uncounted += trial.uncounted;
    if (trial.uncounted > 0) tally.limited += 1;
    if (trial.shadowedAt === null) continue;
    tally.shadowed += 1;
    tally.delays.push(trial.shadowedAt - trial.firstAt);
  }
  return judge;
}

export function humansOf(tallies: Tallies): Tally {
  const all = emptyTally();
  for (const kind of HUMANS) {
    const tally = tallies.get(kind) ?? emptyTally();
    for (const field of ['viewers', 'limited', 'shadowed', 'flagged', 'taps', 'uncounted'] as const) all[field] += tally[field];
    all.delays.push(...tally.delays);
  }
  return all;
}

function tallyOf(tallies: Tallies, kind: Kind): Tally {
  let tally = tallies.get(kind);
  if (tally === undefined) tallies.set(kind, (tally = emptyTally()));
  return tally;
}

function emptyTally(): Tally {
  return { viewers: 0, limited: 0, shadowed: 0, flagged: 0, taps: 0, uncounted: 0, delays: [] };
}
