/**
 * anti-spam: who is silenced, in a labelled population of people and five kinds of bots.
 *
 * Ten streams of 2,000 people and 30 bots of each kind tap for five minutes; `test/support/viewer-population.ts` says
 * how they tap and what of it is recorded, what assumed. With `--trace <csv>` (also .gz) the people's taps are those
 * of a recording, played 50 times as fast. The baseline is the rate limit alone.
 */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { humansOf, judgePopulation, type Tallies, type Tally } from '../support/judged-population.ts';
import { BOTS, population } from '../support/viewer-population.ts';
import { median, readable, type Benchmark } from './measure.ts';

const STREAMS = 10;
const HUMANS = 2_000;
const BOTS_PER_KIND = 30;
const DURATION_MS = 300_000;
const HUMANS_SILENCED_MAX = 0.001;
const RECALL_MIN = { metronome: 0.95, flood: 0.95, swarm: 0.7, devices: 0.95, replay: 0 } as const;
const SPEED_UP = 50;
const EMOJI = ['laugh', 'wow', 'sad', 'clap', 'heart', 'fire'];
/** Recorded people with fewer reactions tell nothing. */
const REACTIONS_MIN = 5;
/** Of a normal distribution: 95 % lie below. */
const Z_95 = 1.645;

export const antiSpam: Benchmark = {
  name: 'anti-spam',
  description: `${STREAMS} streams of ${HUMANS} people and ${BOTS_PER_KIND} bots of each kind, ${DURATION_MS / 60_000} minutes`,
  target: `< ${HUMANS_SILENCED_MAX * 100} % of people silenced; metronomes, floods, device farms ≥ 95 % found, swarms ≥ 70 %`,
  run({ trace = null } = {}) {
    const tallies: Tallies = new Map();
    const recorded = trace === null ? {} : { recorded: readTrace(trace) };
    for (let stream = 0; stream < STREAMS; stream++) {
      judgePopulation(population({ seed: stream + 1, humans: HUMANS, bots: BOTS_PER_KIND, durationMs: DURATION_MS, ...recorded }), tallies);
    }
    const humans = humansOf(tallies);
    const share = humans.shadowed / humans.viewers;
    const bound = upperBound(humans.shadowed, humans.viewers);
    const lines = BOTS.map((kind) => lineOf(kind, tallies.get(kind)!, humans));
    const recalls = BOTS.map((kind) => tallies.get(kind)!.shadowed / tallies.get(kind)!.viewers);
    return Promise.resolve({
      measured: [`people silenced: ${humans.shadowed} of ${readable(humans.viewers)} (${percent(share)}; with 95 % confidence below ${percent(bound)})`, header, ...lines].join('\n             '),
      baseline: `the rate limit of 20 taps a second touches no bot but the floods; of ${humans.limited - humans.shadowed} people it clamps what they tapped while their connection was away for 20 s`,
      ratio: `${percent(humans.uncounted / humans.taps)} of people's taps do not count, ${percent(uncountedOf(tallies))} of bots' taps`,
      reached: share < HUMANS_SILENCED_MAX && BOTS.every((kind, index) => recalls[index]! >= RECALL_MIN[kind]),
      figures: {
        humans: humans.viewers,
        humansShadowed: humans.shadowed,
        humansShadowedBound: bound,
        humansClamped: humans.limited - humans.shadowed,
        ...Object.fromEntries(BOTS.map((kind, index) => [`recall_${kind}`, recalls[index]!])),
      },
    });
  },
};

const header = 'kind        recall  precision  taps not counted  found after';

function lineOf(kind: string, tally: Tally, humans: Tally): string {
  const precision = tally.shadowed + humans.shadowed === 0 ? 'none' : percent(tally.shadowed / (tally.shadowed + humans.shadowed), 1);
  const delay = tally.delays.length === 0 ? 'never' : `${Math.round(median(tally.delays) / 1000)} s`;
  const recall = percent(tally.shadowed / tally.viewers, 1);
  return `${kind.padEnd(10)} ${recall.padStart(7)} ${precision.padStart(10)} ${percent(tally.uncounted / tally.taps, 1).padStart(17)} ${delay.padStart(12)}`;
}

function uncountedOf(tallies: Tallies): number {
  let [taps, uncounted] = [0, 0];
  for (const kind of BOTS) {
    taps += tallies.get(kind)!.taps;
    uncounted += tallies.get(kind)!.uncounted;
  }
  return uncounted / taps;
}

/** Wilson's upper bound of a share, one-sided. */
function upperBound(hits: number, all: number): number {
  const share = hits / all;
  const z2 = Z_95 ** 2;
  return (share + z2 / (2 * all) + Z_95 * Math.sqrt((share * (1 - share)) / all + z2 / (4 * all ** 2))) / (1 + z2 / all);
}

function percent(share: number, digits = 3): string {
  return `${(100 * share).toFixed(digits)} %`;
}

/** Of each recorded viewer the taps, faster: `t_ms,viewer,emoji,count`. */
function readTrace(path: string): { at: number; emoji: number }[][] {
  const bytes = readFileSync(path);
  const lines = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n').slice(1);
  const viewers = new Map<string, { at: number; emoji: number }[]>();
  for (const line of lines) {
    const [at, viewer, emoji, count] = line.split(',') as [string, string, string, string];
    const taps = viewers.get(viewer) ?? [];
    viewers.set(viewer, taps);
    for (let tap = 0; tap < Number(count); tap++) taps.push({ at: Number(at) / SPEED_UP + 180 * tap, emoji: Math.max(0, EMOJI.indexOf(emoji)) });
  }
  return [...viewers.values()].filter((taps) => taps.length >= REACTIONS_MIN).map((taps) => taps.sort((one, other) => one.at - other.at));
}
