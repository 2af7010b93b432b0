/**
 * What is normal on a stream: how fast its viewers tap and with what. Pure; a hundred bytes, made when the first
 * viewer has tapped for more than one cell, and 2 kB once somebody taps one emoji for two minutes.
 *
 * Only viewers who are under no suspicion are counted in, each once a cell. Still, a crowd of bots can move it; so
 * what is told by it weighs little and never silences anybody alone [SPAM-6].
 */

import { CROWD_COLUMNS, cellsIn, isUniform, noteCell, viewersIn } from './crowd.ts';
import { MIX_SIZE, entropyOf } from './emoji-mix.ts';

const MEMORY = 4_096;
const SAMPLES_MIN = 512;
const DEVIATIONS_MAX = 3.5;
/** Below this nobody is conspicuous, however calm the others are: three taps a second. */
const OUTLIER_TAPS_MIN = 18;
const VARIED_BITS_MIN = 1;
const SWARM_VIEWERS_MIN = 15.5;
/** A swarm that moves nothing is none, and among many who never pause some are alike by chance. */
const SWARM_SHARE_MIN = 1 / 5;
/** Within a band people differ less than anywhere, and two bands lie in one crowd. */
const SWARM_DISPERSION_MAX = 2;
/** Bands of rates, each √2 wide, from half a tap a second on. */
const BANDS = 8;
const BAND_FIRST_TAPS = 3;

export class StreamNorm {
  /** The crowd of all who never pause; then, of each emoji counter and band, of those among them who tap nothing else. */
  #crowds: Int32Array | null = null;
  readonly #mix = new Float64Array(MIX_SIZE);
  #samples = 0;
  #mean = 0;
  #variance = 0;
  /** Taps in a cell beyond which a viewer is far from all others; Infinity as long as too little is known. */
  outlierTaps = Infinity;

  note(taps: number, emojiPlace: number): void {
    this.#samples = Math.min(MEMORY, this.#samples + 1);
    const off = Math.log2(taps) - this.#mean;
    this.#mean += off / this.#samples;
    this.#variance = (1 - 1 / this.#samples) * (this.#variance + (off * off) / this.#samples);
    const keep = 1 - 1 / this.#samples;
    for (let place = 0; place < MIX_SIZE; place++) this.#mix[place]! *= keep;
    this.#mix[emojiPlace]! += 1;
    if (this.#samples < SAMPLES_MIN) return;
    this.outlierTaps = Math.max(OUTLIER_TAPS_MIN, 2 ** (this.#mean + DEVIATIONS_MAX * Math.sqrt(this.#variance)));
  }

  /** A cell of somebody who has not paused for long, with the mean of the cells before. */
  noteUnbroken(viewer: number, cell: number, taps: number, mean: number, only: number): void {
    this.#crowds ??= new Int32Array((1 + MIX_SIZE * BANDS) * CROWD_COLUMNS);
    noteCell(this.#crowds, 0, viewer, cell, taps, true);
    if (only < 0) return;
    // Into both of the nearest, so that no border divides a crowd.
    const band = bandOf(mean);
    noteCell(this.#crowds, crowdOf(only, band), viewer, cell, taps, true);
    noteCell(this.#crowds, crowdOf(only, band + 1), viewer, cell, taps, true);
  }

  /** Whether those who never pause, tap this emoji alone and this fast are many, alike, and much of all who never pause. */
  isSwarm(only: number, mean: number): boolean {
    return this.#isSwarm(crowdOf(only, bandOf(mean))) || this.#isSwarm(crowdOf(only, bandOf(mean) + 1));
  }

  #isSwarm(row: number): boolean {
    const crowds = this.#crowds;
    if (crowds === null || viewersIn(crowds, row) < SWARM_VIEWERS_MIN) return false;
    return isUniform(crowds, row, SWARM_DISPERSION_MAX) && cellsIn(crowds, row) >= SWARM_SHARE_MIN * cellsIn(crowds, 0);
  }

  /** Whether viewers here choose among emoji at all. */
  isVaried(): boolean {
    return this.#samples >= SAMPLES_MIN && entropyOf((place) => this.#mix[place]!) >= VARIED_BITS_MIN;
  }
}

function bandOf(mean: number): number {
  return Math.max(0, Math.min(BANDS - 2, Math.floor(2 * Math.log2(mean / BAND_FIRST_TAPS))));
}

function crowdOf(only: number, band: number): number {
  return (1 + only * BANDS + band) * CROWD_COLUMNS;
}
