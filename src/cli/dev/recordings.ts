/**
 * Recordings that a dev can replay: one made up here, and those that the live page sends as CSV.
 *
 * One that is sent is read through before it starts, so that a malformed line is told at once.
 */

import { Readable } from 'node:stream';
import { CommandFailure } from '../failure.ts';
import { parseTrace, type TraceEvent } from '../load/trace.ts';

export interface Recording {
  readonly name: string;
  readonly lengthMs: number;
  events(): AsyncIterable<TraceEvent>;
}

/** Of a CSV, in UTF-16 code units. */
export const CSV_LENGTH_MAX = 8 * 1024 * 1024;
export const REPLAY_VIEWERS_MAX = 20_000;
const EVENTS_AT_ONCE = 2_000;

/** @throws MalformedTrace, CommandFailure when it is beyond what a dev replays */
export async function recordingOf(name: string, csv: string, breathe: () => Promise<void>): Promise<Recording> {
  const events = (): AsyncIterable<TraceEvent> => parseTrace(name, Readable.from([csv], { objectMode: false }));
  const viewers = new Set<string>();
  let lengthMs = 0;
  let count = 0;
  for await (const { atMs, viewer } of events()) {
    viewers.add(viewer);
    lengthMs = atMs;
    if (viewers.size > REPLAY_VIEWERS_MAX) {
      throw new CommandFailure('usage', `${name} has more than ${REPLAY_VIEWERS_MAX} viewers; replay it with \`ovation load --trace\``);
    }
    // The links of the regions run through this process and must not stand still meanwhile.
    if (++count % EVENTS_AT_ONCE === 0) await breathe();
  }
  return { name, lengthMs, events };
}

const FINAL_MS = 90_000;
const FINAL_VIEWERS = 360;
const STEP_MS = 100;

/** What happens in the final: when, how long it stirs, how many taps a second at its height, and which. */
const MOMENTS = [
  { atMs: 0, lastsMs: 9_000, height: 90, emoji: ['clap', 'heart'] },
  { atMs: 14_000, lastsMs: 6_000, height: 160, emoji: ['wow', 'fire'] },
  { atMs: 27_000, lastsMs: 12_000, height: 620, emoji: ['fire', 'heart', 'clap'] },
  { atMs: 45_000, lastsMs: 7_000, height: 240, emoji: ['laugh', 'wow'] },
  { atMs: 57_000, lastsMs: 9_000, height: 380, emoji: ['sad', 'wow'] },
  { atMs: 71_000, lastsMs: 18_000, height: 1_100, emoji: ['heart', 'fire', 'clap', 'laugh'] },
] as const;
const MURMUR = 12;
const MURMUR_EMOJI = ['heart', 'clap', 'laugh', 'fire'] as const;

/** A final of a minute and a half: quiet play, two goals, a miss, and the end. Always the same. */
export const FINAL: Recording = {
  name: 'a final',
  lengthMs: FINAL_MS,
  async *events() {
    let turn = 0;
    let owed = 0;
    for (let atMs = 0; atMs < FINAL_MS; atMs += STEP_MS) {
      const stirs = MOMENTS.map((moment) => ({ moment, rate: moment.height * swell((atMs - moment.atMs) / moment.lastsMs) }));
      const rate = stirs.reduce((sum, stir) => sum + stir.rate, MURMUR);
      for (owed += (rate * STEP_MS) / 1000; owed >= 1; owed -= 1) {
        turn += 1;
        const mostStirring = stirs.reduce((most, stir) => (stir.rate > most.rate ? stir : most));
        const emoji = mostStirring.rate > MURMUR ? mostStirring.moment.emoji : MURMUR_EMOJI;
        // Strides without a common factor visit all viewers, and favour the first emoji of a moment.
        const liking = ((turn * 7) % 13) / 13;
        yield { atMs, viewer: `fan-${(turn * 151) % FINAL_VIEWERS}`, emoji: emoji[Math.floor(liking * liking * emoji.length)]!, count: 1 };
      }
    }
  },
};

/** From 0 steeply up to 1 at a fifth of the time, and slowly back. */
function swell(progress: number): number {
  if (progress <= 0 || progress >= 1) return 0;
  return progress < 0.2 ? progress / 0.2 : ((1 - progress) / 0.8) ** 1.6;
}
