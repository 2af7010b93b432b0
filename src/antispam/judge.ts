/**
 * The judge: how many taps of a batch count. Pure, deterministic and bounded; it changes only its own state.
 *
 * Two questions. *How fast may anybody tap?* Token buckets of the viewer, the device and the network: what one of
 * them refuses is clamped, and none is charged for it [SPAM-1]. *Is this a person?* Small features of each viewer,
 * looked at when a cell of six seconds ends, add up to a standing: `count`, `flag` (counted and listed) or
 * `shadow` (listed, and nothing counted). The client's own timestamps are not believed and not read.
 *
 * What is known of a viewer sits in the row of the viewer's bucket: one look-up and some seventy bytes. It is lost
 * with the process, deliberately: everybody begins anew without a blemish.
 */

import type { EmojiId } from '../../crdt/ids.ts';
import type { Policy } from '../moderation/policy.ts';
import { CADENCE_COLUMNS, intervalsOf, noteBatch, sinceLastBatch, variationOf } from './cadence.ts';
import { CROWD_COLUMNS, isUniform, noteCell, viewersIn } from './crowd.ts';
import { EmojiPlaces, MIX_COLUMNS, addEmoji, onlyEmoji, topEmoji } from './emoji-mix.ts';
import { FlaggedViewers, type FlaggedViewer } from './flagged.ts';
import { CELLS, CELL_MS, RHYTHM_COLUMNS, addTaps, cellOf, cellsOf, cellsSince, dispersionOf, strayOf, tapsIn, turnTo, unbrokenMean } from './rhythm.ts';
import { StreamNorm } from './stream-norm.ts';
import { NOTICED, isForgiven, isShadowed, isUnderSuspicion, noticedOf, reasonsOf, reconsider, scoreOf, standingOf, streakOf, type Standing } from './suspicion.ts';
import { TokenBuckets } from './token-bucket.ts';

export interface JudgeLimits {
  /** Viewers who tapped lately, one for each stream; beyond it new ones are refused. */
  readonly bucketsMax: number;
  /** Devices and networks; beyond it new ones go without a limit of their own. */
  readonly devicesMax: number;
  readonly addressesMax: number;
  /** Flagged viewers with their evidence. */
  readonly flaggedMax: number;
}

export const JUDGE_LIMITS: Omit<JudgeLimits, 'bucketsMax'> = { devicesMax: 500_000, addressesMax: 250_000, flaggedMax: 20_000 };

/** Of a batch, what the judge looks at. */
export interface Taps {
  readonly viewer: string;
  readonly device: string | null;
  readonly address: string | null;
  readonly reactions: readonly (readonly [emoji: EmojiId, count: number])[];
}

/** What is noted of a viewer, from where the shared columns of the bucket's row start. */
const CADENCE = 0;
const RHYTHM = CADENCE + CADENCE_COLUMNS;
const MIX = RHYTHM + RHYTHM_COLUMNS;
const SUSPICION = MIX + MIX_COLUMNS;
/** The buckets of device and network the last time: guesses. */
const DEVICE = SUSPICION + 1;
const ADDRESS = DEVICE + 1;
/** What somebody else remembers of the viewer, beside what is touched anyway; 0 when the row is new. */
const MEMO = ADDRESS + 1;
const MEMO_COLUMNS = 4;
const VIEWER_COLUMNS = MEMO + MEMO_COLUMNS;

const CADENCE_INTERVALS_MIN = 48;
const CADENCE_VARIATION_MAX = 0.04;
/** Steady: strays by a tap, and by what one batch may hold back. */
const STEADY_TAPS_MIN = 6;
const STRAY_TAPS = 1;
const STRAY_SECONDS = 0.28;
/** Fifteen a second in three cells in a row: not what a phone sent that was offline for a while. */
const FLOOD_TAPS = 15 * (CELL_MS / 1000);
const FLOOD_CELLS = 3;
const ENDURANCE_TAPS = 9 * (CELL_MS / 1000);
const MARATHON_CELLS = 50;
const OUTLIER_CELLS = 4;
const ONE_EMOJI_TAPS_MIN = 32;
const DEVICE_VIEWERS_MIN = 5.5;
const CROWD_VIEWERS_MIN = 7.5;
/** Nobody is counted as one of a crowd before having tapped for so many cells without a pause. */
const CROWD_CELLS_MIN = 12;
/** Two minutes to be counted into a swarm, three and an even rate to be taken for one of it: honest fans are near. */
const UNBROKEN_CELLS_MIN = 20;
const SWARM_CELLS_MIN = 30;
const SWARM_DISPERSION_MAX = 1.5;

/** A row is kept so long after the last batch, and longer while there is suspicion. */
const KEPT_MS = CELLS * CELL_MS;
const SUSPICION_KEPT_MS = 10 * 60_000;
/** When room is needed, newcomers go first and those who are being watched stay [SPAM-3]. */
const NEWCOMER_CELLS = 8;
const WATCHED_KEPT_MS = 30_000;

function mayForgetViewer(rows: Int32Array, row: number, now: number, isPressed: boolean): boolean {
  const silentMs = sinceLastBatch(rows, row + CADENCE, now);
  const suspicion = rows[row + SUSPICION]!;
  if (isUnderSuspicion(suspicion)) return silentMs > SUSPICION_KEPT_MS || isForgiven(suspicion, Math.floor(silentMs / CELL_MS));
  if (!isPressed) return silentMs > KEPT_MS;
  return streakOf(suspicion) < NEWCOMER_CELLS || silentMs > WATCHED_KEPT_MS;
}

export class Judge {
  readonly #viewers: TokenBuckets;
  readonly #devices: TokenBuckets;
  readonly #addresses: TokenBuckets;
  readonly #norms = new Map<number, StreamNorm>();
  readonly #places = new EmojiPlaces();
  readonly #flagged: FlaggedViewers;
  readonly #count = { tapsLimited: 0, tapsShadowed: 0, viewersFlagged: 0, viewersShadowed: 0 };

  /** `seed` is any number that outsiders do not know. */
  constructor(limits: JudgeLimits, seed: number) {
    this.#viewers = new TokenBuckets(limits.bucketsMax, seed, VIEWER_COLUMNS, mayForgetViewer);
    this.#devices = new TokenBuckets(limits.devicesMax, seed, CROWD_COLUMNS);
    this.#addresses = new TokenBuckets(limits.addressesMax, seed, CROWD_COLUMNS);
    this.#flagged = new FlaggedViewers(limits.flaggedMax);
  }

  /** Counters, but for `buckets`, `devices`, `addresses` and `flagged`. */
  get stats(): Readonly<Record<string, number>> {
    return {
      ...this.#count,
      buckets: this.#viewers.size,
      devices: this.#devices.size,
      addresses: this.#addresses.size,
      flagged: this.#flagged.size,
    };
  }

  /**
   * The viewer's place here, −1 when there is no room for another one. `scope` is the stream's number, `guess` any
   * place, best the one that was the viewer's last time; `now` never goes back.
   */
  find(scope: number, viewer: string, guess: number, now: number): number {
    return this.#viewers.find(scope, viewer, guess, now);
  }

  /** Brings near what will be read of viewers whose places are guessed. */
  touch(count: number, guesses: Int32Array, viewers: readonly string[]): void {
    this.#viewers.touch(count, guesses, viewers);
  }

  /** All rows. Replaced when a place is made, so never to be kept. */
  get rows(): Int32Array {
    return this.#viewers.rows;
  }

  /** Where in `rows` the columns start that are not the judge's own: they live as long as the viewer has a place here. */
  memoOf(place: number): number {
    return this.#viewers.row(place) + MEMO;
  }

  /** How many of the taps count. `place` is where `find` found the viewer just now, `taps` the sum of the reactions. */
  judge(scope: number, place: number, batch: Taps, taps: number, limits: Policy['limits'], now: number): number {
    const rows = this.#viewers.rows;
    const row = this.#viewers.row(place);
    const device = batch.device === null ? -1 : this.#devices.find(scope, batch.device, rows[row + DEVICE]!, now);
    const address = batch.address === null ? -1 : this.#addresses.find(scope, batch.address, rows[row + ADDRESS]!, now);
    rows[row + DEVICE] = device;
    rows[row + ADDRESS] = address;
    const cell = cellOf(now);
    if (cellsSince(rows, row + RHYTHM, cell) !== 0) this.#closeCell(scope, row, place, batch, device, address, cell, now);
    const elapsedMs = noteBatch(rows, row + CADENCE, taps, now);
    addTaps(rows, row + RHYTHM, taps);
    // By index: an iterator would cost as much as all the rest of this line.
    for (let index = 0; index < batch.reactions.length; index++) {
      const reaction = batch.reactions[index]!;
      addEmoji(rows, row + MIX, this.#places.of(reaction[0]), reaction[1]);
    }

    const suspicion = rows[row + SUSPICION]!;
    const isSilenced = isShadowed(suspicion);
    if (isUnderSuspicion(suspicion)) this.#flagged.noteBatch(scope, batch.viewer, elapsedMs, isSilenced ? taps : 0);
    if (isSilenced) {
      this.#count.tapsShadowed += taps;
      return 0;
    }
    const counted = this.#take(place, device, address, taps, limits, now);
    this.#count.tapsLimited += taps - counted;
    return counted;
  }

  standing(place: number): Standing {
    return standingOf(this.#viewers.rows[this.#viewers.row(place) + SUSPICION]!);
  }

  /** The flagged viewers of a stream with the evidence, highest score first. */
  flagged(scope: number, now: number): FlaggedViewer[] {
    return this.#flagged.list(scope, now);
  }

  /** The stream is no more. Rows of its viewers go by themselves, as they are idle from now on. */
  forget(scope: number): void {
    this.#norms.delete(scope);
    this.#flagged.forget(scope);
  }

  /** Looks at the next so many rows of each kind and forgets those of whom nothing need be known any more. */
  sweep(count: number, now: number): void {
    for (const buckets of [this.#viewers, this.#devices, this.#addresses]) buckets.sweep(count, now);
  }

  #take(place: number, device: number, address: number, taps: number, limits: Policy['limits'], now: number): number {
    let counted = this.#viewers.available(place, taps, now, limits.viewer);
    if (device >= 0) counted = this.#devices.available(device, counted, now, limits.device);
    if (address >= 0) counted = this.#addresses.available(address, counted, now, limits.address);
    if (counted === 0) return 0;
    if (device >= 0) this.#devices.take(device, counted, now, limits.device);
    if (address >= 0) this.#addresses.take(address, counted, now, limits.address);
    return this.#viewers.take(place, counted, now, limits.viewer);
  }

  #closeCell(scope: number, row: number, place: number, batch: Taps, device: number, address: number, cell: number, now: number): void {
    const rows = this.#viewers.rows;
    const before = rows[row + SUSPICION]!;
    const passed = cellsSince(rows, row + RHYTHM, cell);
    const closed = (cell - passed) & 0xffff;
    const taps = turnTo(rows, row + RHYTHM, cell);
    if (taps === 0) return;
    // The open cell before this one ended without a gap exactly when a streak was kept.
    const streak = streakOf(before) + 1;
    const only = onlyEmoji(rows, row + MIX, ONE_EMOJI_TAPS_MIN);
    const norm = this.#normOf(scope, streak);
    this.#noteInCrowds(place, device, address, closed, taps, streak);
    if (norm !== undefined && streak >= UNBROKEN_CELLS_MIN && !isShadowed(before)) {
      norm.noteUnbroken(place, closed, taps, unbrokenMean(rows, row + RHYTHM), only);
    }
    let noticed = this.#noticeAlone(row, streak);
    if (norm !== undefined) noticed |= this.#noticeBeside(row, streak, device, address, only, norm);
    if (norm !== undefined && !isUnderSuspicion(before)) norm.note(taps, topEmoji(rows, row + MIX));
    const after = reconsider(before, noticed, passed === 1 ? streak : 0, passed - 1);
    rows[row + SUSPICION] = after;
    if (isUnderSuspicion(before | after)) this.#list(scope, row, batch, before, after, now);
  }

  /** What the viewer's own taps show. */
  #noticeAlone(row: number, streak: number): number {
    const rows = this.#viewers.rows;
    let noticed = streak >= MARATHON_CELLS ? NOTICED.marathon : 0;
    if (intervalsOf(rows, row + CADENCE) >= CADENCE_INTERVALS_MIN && variationOf(rows, row + CADENCE) <= CADENCE_VARIATION_MAX) {
      noticed |= NOTICED.cadence;
    }
    if (streak >= FLOOD_CELLS && this.#isFasterFor(row, FLOOD_CELLS, FLOOD_TAPS)) noticed |= NOTICED.flood;
    if (streak < CELLS) return noticed;
    const mean = unbrokenMean(rows, row + RHYTHM);
    if (mean >= ENDURANCE_TAPS) noticed |= NOTICED.endurance;
    const strayMax = STRAY_TAPS + (STRAY_SECONDS * mean * 1000) / CELL_MS;
    if (mean >= STEADY_TAPS_MIN && strayOf(rows, row + RHYTHM, mean) <= strayMax) noticed |= NOTICED.steadiness;
    return noticed;
  }

  /** What shows only beside others. */
  #noticeBeside(row: number, streak: number, device: number, address: number, only: number, norm: StreamNorm): number {
    let noticed = streak >= OUTLIER_CELLS && this.#isFasterFor(row, OUTLIER_CELLS, norm.outlierTaps) ? NOTICED.outlier : 0;
    if (only >= 0 && norm.isVaried()) noticed |= NOTICED['one-emoji'];
    if (streak >= CROWD_CELLS_MIN) {
      if (device >= 0 && viewersIn(this.#devices.rows, this.#devices.row(device)) >= DEVICE_VIEWERS_MIN) noticed |= NOTICED['shared-device'];
      if (isCrowd(this.#devices, device) || isCrowd(this.#addresses, address)) noticed |= NOTICED.crowd;
    }
    if (only >= 0 && streak >= SWARM_CELLS_MIN && this.#isOfSwarm(row + RHYTHM, only, norm)) noticed |= NOTICED.swarm;
    return noticed;
  }

  #isOfSwarm(rhythm: number, only: number, norm: StreamNorm): boolean {
    const rows = this.#viewers.rows;
    const mean = unbrokenMean(rows, rhythm);
    return dispersionOf(rows, rhythm, mean) <= SWARM_DISPERSION_MAX && norm.isSwarm(only, mean);
  }

  #noteInCrowds(place: number, device: number, address: number, cell: number, taps: number, streak: number): void {
    const continued = streak > 1;
    if (device >= 0) noteCell(this.#devices.rows, this.#devices.row(device), place, cell, taps, continued);
    if (address >= 0) noteCell(this.#addresses.rows, this.#addresses.row(address), place, cell, taps, continued);
  }

  #isFasterFor(row: number, cells: number, taps: number): boolean {
    for (let age = 1; age <= cells; age++) if (tapsIn(this.#viewers.rows, row + RHYTHM, age) < taps) return false;
    return true;
  }

  /** Undefined until somebody has tapped for two cells in a row: most streams and viewers never do. */
  #normOf(scope: number, streak: number): StreamNorm | undefined {
    let norm = this.#norms.get(scope);
    if (norm === undefined && streak > 1) this.#norms.set(scope, (norm = new StreamNorm()));
    return norm;
  }

  #list(scope: number, row: number, { viewer, device }: Taps, before: number, after: number, now: number): void {
    const standing = standingOf(after);
    if (standing !== 'count' && !isUnderSuspicion(before)) this.#count.viewersFlagged += 1;
    if (standing === 'shadow' && !isShadowed(before)) this.#count.viewersShadowed += 1;
    const cells = cellsOf(this.#viewers.rows, row + RHYTHM);
    this.#flagged.note(scope, viewer, { device, standing, score: scoreOf(after), reasons: reasonsOf(noticedOf(after)), cells, now });
  }
}

function isCrowd(groups: TokenBuckets, group: number): boolean {
  return group >= 0 && viewersIn(groups.rows, groups.row(group)) >= CROWD_VIEWERS_MIN && isUniform(groups.rows, groups.row(group));
}
