/**
 * Contributions: who was counted when, and how much, as far back as is kept. Without it nothing could be
 * taken back from a viewer or a device [AGG-30].
 *
 * A cell says of one viewer, device, emoji and second how many taps were counted in it and how many of them
 * were taken back. Both only grow and a commit carries them absolute, so joining any commits, in any order
 * and number, gives the cells back [AGG-31]: what was taken back once is not taken back again. Cells of a
 * contributor are chained from the newest to the oldest, so finding what one contributed costs only that.
 * Memory is bounded by a number of cells and by age; the oldest are forgotten first [AGG-32].
 */

import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { FIRST_COLUMN, SlotTable } from '../base/slot-table.ts';
import { WINDOW_MS } from '../base/window.ts';
import { REACTIONS_PER_BATCH_MAX } from '../protocol/messages.ts';
import type { Contribution } from '../hot-store/hot-store.ts';
import { ContributionRing } from './contribution-ring.ts';

export interface ContributionLimits {
  readonly contributionsMax: number;
  readonly contributionsKeptMs: number;
}

export const CONTRIBUTION_DEFAULTS: ContributionLimits = { contributionsMax: 2_000_000, contributionsKeptMs: 60 * 60_000 };

/** Of a batch that names no device. */
export const NO_DEVICE = -1;
/** Emoji have numbers below this one. */
export const EMOJI_NUMBERS_MAX = 1 << 20;

// The columns of a cell. Contributors stand as slot + 1, positions as position + 1; 0 is none.
const SECOND = 0;
const VIEWER = 1;
const DEVICE = 2;
/** The emoji's number, the millisecond of the second in which it was counted last, and whether it changed. */
const EMOJI = 3;
const COUNTED = 4;
const RETRACTED = 5;
const OLDER_OF_VIEWER = 6;
const OLDER_OF_DEVICE = 7;
const MILLISECOND_BITS = 10;
const MILLISECOND = (1 << MILLISECOND_BITS) - 1;
const CHANGED = 1 << 30;
// The columns of a contributor.
const COLUMNS = 2;
const NEWEST = FIRST_COLUMN;
const NEWEST_SECOND = FIRST_COLUMN + 1;
const COUNT_MAX = 2 ** 31 - 1;
/** A second of one viewer with more different cells is not told apart any further. */
const CELLS_PER_SECOND_MAX = 1024;
const EXPIRED_PER_BATCH = 4;
const EXPIRED_AT_ONCE = 50_000;
/** Beside the ids: five integers and two headers. */
const CONTRIBUTION_BYTES = 9 + 5 + 5 + 5 + 2 * 2;

export class Contributions {
  /** Taps that were counted and not noted, because one viewer's second was too colourful. */
  unattributed = 0;
  readonly #keptSeconds: number;
  readonly #ring: ContributionRing;
  readonly #contributors: SlotTable;
  /** Contributors whose chains are not in the order of time, because commits were joined in another order. */
  readonly #disordered = new Set<number>();
  #changed: number[] = [];
  /** Cells that were forgotten before their change was taken: a later life must still hear of it. */
  #changedAndForgotten: Copy[] = [];
  #changedBytes = 0;
  /** Of this second and earlier ones cells have been forgotten: what is left of them is let be. */
  #forgottenUntil = 0;

  constructor({ contributionsMax, contributionsKeptMs }: ContributionLimits, seed: number) {
    const sizeMax = Math.max(contributionsMax, REACTIONS_PER_BATCH_MAX);
    this.#ring = new ContributionRing(sizeMax);
    this.#contributors = new SlotTable(2 * sizeMax, seed, COLUMNS);
    this.#keptSeconds = Math.ceil(contributionsKeptMs / WINDOW_MS);
  }

  get size(): number {
    return this.#ring.size;
  }

  get contributorCount(): number {
    return this.#contributors.size;
  }

  get changedCount(): number {
    return this.#changed.length + this.#changedAndForgotten.length;
  }

  /** An upper bound of the encoded size of what changed, but for its streams and emoji, which have rows that changed too. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  /** What was counted from this time on can be taken back, and nothing earlier. */
  get forgottenUntilMs(): number {
    return millisecondsOf(this.#forgottenUntil + 1);
  }

  /** Makes room for the cells of one batch, and lets go of a few that are too old. */
  reserve(cells: number, now: number): void {
    while (this.#ring.size + cells > this.#ring.sizeMax) this.#forgetOldest();
    this.#expire(now, EXPIRED_PER_BATCH);
  }

  /** Lets go of what is too old, as much as is worth a pause. */
  forget(now: number): void {
    this.#expire(now, EXPIRED_AT_ONCE);
  }

  /** Nothing counted until this time can be taken back from now on. */
  forgetUntil(timeMs: number): void {
    this.#forgottenUntil = Math.max(this.#forgottenUntil, secondOf(timeMs));
  }

  /** The slot of a viewer who contributes now; `guess` is any slot, best the one of the last time. */
  viewer(scope: number, viewer: string, guess: number): number {
    return this.#open(2 * scope, viewer, guess);
  }

  device(scope: number, device: string, guess: number): number {
    return this.#open(2 * scope + 1, device, guess);
  }

  /** Notes taps that are counted now. Room must have been reserved, after which slots stay what they are. */
  add(viewer: number, device: number, emoji: number, taps: number, now: number): void {
    const second = secondOf(now);
    const found = this.#find(viewer, device, emoji, second, CELLS_PER_SECOND_MAX);
    if (found === TOO_MANY) {
      this.unattributed += taps;
      return;
    }
    const position = found >= 0 ? found : this.#push(viewer, device, emoji, second);
    const cells = this.#ring.cellsAt(position);
    const at = this.#ring.offsetOf(position);
    cells[at + COUNTED] = Math.min(COUNT_MAX, cells[at + COUNTED]! + taps);
    raiseMillisecond(cells, at, now - millisecondsOf(second));
    this.#markChanged(position, cells, at);
  }

  /**
   * Calls `take` with the emoji's number, the start of the second and the taps of each cell of a viewer or device that was
   * counted from the second of `from` on and last before `to`, and of which something is left. `take` says
   * whether nothing of it is left from now on. Answers false when `take` stopped it.
   */
  retract(
    kind: 'viewer' | 'device',
    scope: number,
    id: string,
    { from, to }: { readonly from: number; readonly to: number },
    take: (emoji: number, countedAt: number, taps: number) => 'take' | 'leave' | 'stop',
  ): boolean {
    const slot = this.#contributors.find(2 * scope + (kind === 'viewer' ? 0 : 1), id);
    if (slot < 0) return true;
    const fromSecond = Math.max(Math.floor(from / WINDOW_MS) - EPOCH_SECONDS, this.#forgottenUntil + 1);
    const link = kind === 'viewer' ? OLDER_OF_VIEWER : OLDER_OF_DEVICE;
    for (let position = this.#newestOf(slot); position >= 0; position = this.#olderThan(position, link)) {
      const cells = this.#ring.cellsAt(position);
      const at = this.#ring.offsetOf(position);
      const second = cells[at + SECOND]!;
      if (second < fromSecond) {
        if (this.#disordered.has(slot)) continue;
        return true;
      }
      const left = cells[at + COUNTED]! - cells[at + RETRACTED]!;
      if (left === 0 || timeOf(cells, at) >= to) continue;
      const answer = take(emojiOf(cells, at), millisecondsOf(second), left);
      if (answer === 'stop') return false;
      if (answer === 'leave') continue;
      cells[at + RETRACTED] = cells[at + COUNTED]!;
      this.#markChanged(position, cells, at);
    }
    return true;
  }

  /** Joins what a commit said of one contribution. */
  join(scope: number, emoji: number, { viewer, device, at: time, counted, retracted }: Contribution): void {
    const second = secondOf(time);
    if (second <= this.#forgottenUntil) return;
    this.reserve(1, 0);
    // Whoever was forgotten just now may be the one whose cell this is.
    if (second <= this.#forgottenUntil) return;
    const viewerSlot = this.viewer(scope, viewer, 0);
    const deviceSlot = device === null ? NO_DEVICE : this.device(scope, device, 0);
    const found = this.#find(viewerSlot, deviceSlot, emoji, second, Infinity);
    const position = found >= 0 ? found : this.#push(viewerSlot, deviceSlot, emoji, second);
    const cells = this.#ring.cellsAt(position);
    const at = this.#ring.offsetOf(position);
    cells[at + COUNTED] = Math.max(cells[at + COUNTED]!, Math.min(COUNT_MAX, counted));
    cells[at + RETRACTED] = Math.max(cells[at + RETRACTED]!, Math.min(COUNT_MAX, retracted));
    raiseMillisecond(cells, at, time - millisecondsOf(second));
  }

  /** What changed since the last call. */
  takeChanged(streamOf: (scope: number) => StreamId, emojiIdOf: (number: number) => EmojiId): Contribution[] {
    const taken = this.#changedAndForgotten.map((copy) => contributionOf(copy, streamOf, emojiIdOf));
    for (const position of this.#changed) {
      if (!this.#ring.holds(position)) continue;
      const cells = this.#ring.cellsAt(position);
      const at = this.#ring.offsetOf(position);
      // A cell that was forgotten in between may have given its position to another one, which stands here twice.
      if ((cells[at + EMOJI]! & CHANGED) === 0) continue;
      cells[at + EMOJI]! &= ~CHANGED;
      taken.push(contributionOf(this.#copy(cells, at), streamOf, emojiIdOf));
    }
    this.#changedAndForgotten = [];
    this.#changed = [];
    this.#changedBytes = 0;
    return taken;
  }

  /** All that was counted since a time and that a later life would still listen to. */
  *records(sinceMs: number, streamOf: (scope: number) => StreamId, emojiIdOf: (number: number) => EmojiId): Generator<Contribution> {
    const since = Math.max(secondOf(sinceMs), this.#forgottenUntil + 1);
    for (const position of this.#ring.positions()) {
      const cells = this.#ring.cellsAt(position);
      const at = this.#ring.offsetOf(position);
      if (cells[at + SECOND]! >= since) yield contributionOf(this.#copy(cells, at), streamOf, emojiIdOf);
    }
  }

  #open(scope: number, id: string, guess: number): number {
    if (this.#contributors.holds(guess, scope, id)) return guess;
    const slot = this.#contributors.find(scope, id);
    return slot >= 0 ? slot : this.#contributors.insert(scope, id);
  }

  /** The viewer's cell of an emoji, device and second; −1 when there is none, TOO_MANY when it was not looked for any longer. */
  #find(viewer: number, device: number, emoji: number, second: number, looksMax: number): number {
    const row = viewer * this.#contributors.stride;
    if (second > this.#contributors.integers[row + NEWEST_SECOND]!) return -1;
    let looks = 0;
    for (let position = this.#newestOf(viewer); position >= 0; position = this.#olderThan(position, OLDER_OF_VIEWER)) {
      const cells = this.#ring.cellsAt(position);
      const at = this.#ring.offsetOf(position);
      if (cells[at + SECOND] === second) {
        if (emojiOf(cells, at) === emoji && cells[at + DEVICE] === device + 1) return position;
        looks += 1;
        if (looks >= looksMax) return TOO_MANY;
      } else if (cells[at + SECOND]! < second && !this.#disordered.has(viewer)) return -1;
    }
    return -1;
  }

  #push(viewer: number, device: number, emoji: number, second: number): number {
    const position = this.#ring.push();
    const cells = this.#ring.cellsAt(position);
    const at = this.#ring.offsetOf(position);
    cells[at + SECOND] = second;
    cells[at + VIEWER] = viewer + 1;
    cells[at + DEVICE] = device + 1;
    cells[at + EMOJI] = emoji << MILLISECOND_BITS;
    cells[at + OLDER_OF_VIEWER] = this.#link(viewer, position, second);
    if (device !== NO_DEVICE) cells[at + OLDER_OF_DEVICE] = this.#link(device, position, second);
    return position;
  }

  /** Puts a position at the head of a contributor's chain; answers what was there. */
  #link(slot: number, position: number, second: number): number {
    const { integers, stride } = this.#contributors;
    const row = slot * stride;
    const before = integers[row + NEWEST]!;
    integers[row + NEWEST] = position + 1;
    if (second >= integers[row + NEWEST_SECOND]!) integers[row + NEWEST_SECOND] = second;
    else this.#disordered.add(slot);
    return before;
  }

  #newestOf(slot: number): number {
    return this.#contributors.integers[slot * this.#contributors.stride + NEWEST]! - 1;
  }

  /** The next cell of a chain; −1 at its end, which is also where older cells have been forgotten. */
  #olderThan(position: number, link: number): number {
    const older = this.#ring.cellsAt(position)[this.#ring.offsetOf(position) + link]! - 1;
    return older >= 0 && this.#ring.isOlder(older, position) ? older : -1;
  }

  #expire(now: number, countMax: number): void {
    const kept = secondOf(now) - this.#keptSeconds;
    for (let count = 0; count < countMax && this.#ring.size > 0; count++) {
      const { oldest } = this.#ring;
      if (this.#ring.cellsAt(oldest)[this.#ring.offsetOf(oldest) + SECOND]! >= kept) return;
      this.#forgetOldest();
    }
  }

  #forgetOldest(): void {
    const position = this.#ring.oldest;
    const cells = this.#ring.cellsAt(position);
    const at = this.#ring.offsetOf(position);
    this.#forgottenUntil = Math.max(this.#forgottenUntil, cells[at + SECOND]!);
    if ((cells[at + EMOJI]! & CHANGED) !== 0) this.#changedAndForgotten.push(this.#copy(cells, at));
    this.#unlink(cells[at + VIEWER]! - 1, position);
    if (cells[at + DEVICE]! > 0) this.#unlink(cells[at + DEVICE]! - 1, position);
    this.#ring.dropOldest();
  }

  /** A contributor whose newest cell goes has no other. */
  #unlink(slot: number, position: number): void {
    if (this.#newestOf(slot) !== position) return;
    this.#contributors.remove(slot);
    this.#disordered.delete(slot);
  }

  #markChanged(position: number, cells: Int32Array, at: number): void {
    if ((cells[at + EMOJI]! & CHANGED) !== 0) return;
    cells[at + EMOJI]! |= CHANGED;
    this.#changed.push(position);
    const device = cells[at + DEVICE]! - 1;
    const viewerLength = this.#contributors.textOf(cells[at + VIEWER]! - 1).length;
    this.#changedBytes += CONTRIBUTION_BYTES + viewerLength + (device < 0 ? 0 : this.#contributors.textOf(device).length);
  }

  #copy(cells: Int32Array, at: number): Copy {
    const viewer = cells[at + VIEWER]! - 1;
    const device = cells[at + DEVICE]! - 1;
    return {
      scope: this.#contributors.scopeOf(viewer) >> 1,
      viewer: this.#contributors.textOf(viewer),
      device: device < 0 ? null : this.#contributors.textOf(device),
      emoji: emojiOf(cells, at),
      at: timeOf(cells, at),
      counted: cells[at + COUNTED]!,
      retracted: cells[at + RETRACTED]!,
    };
  }
}

/** A cell, with numbers still in the place of stream and emoji. */
type Copy = Omit<Contribution, 'stream' | 'emoji'> & { readonly scope: number; readonly emoji: number };

function contributionOf(
  { scope, emoji, ...cell }: Copy,
  streamOf: (scope: number) => StreamId,
  emojiIdOf: (number: number) => EmojiId,
): Contribution {
  return { stream: streamOf(scope), emoji: emojiIdOf(emoji), ...cell };
}

/** An upper bound of what msgpack makes of a contribution that stands alone with its stream and emoji. */
export function contributionBytesMax({ stream, viewer, device, emoji }: Contribution): number {
  return CONTRIBUTION_BYTES + viewer.length + (device?.length ?? 0) + stream.length + emoji.length + 16;
}

/** What `#find` answers when it gives up. */
const TOO_MANY = -2;
/** Seconds count from 2020, which an Int32 holds until 2088, and are never 0 or less in our time. */
const EPOCH_SECONDS = Date.UTC(2020, 0) / WINDOW_MS;

function secondOf(timeMs: number): number {
  return Math.floor(timeMs / WINDOW_MS) - EPOCH_SECONDS;
}

function millisecondsOf(second: number): number {
  return (second + EPOCH_SECONDS) * WINDOW_MS;
}

function emojiOf(cells: Int32Array, at: number): number {
  return (cells[at + EMOJI]! & ~CHANGED) >> MILLISECOND_BITS;
}

function timeOf(cells: Int32Array, at: number): number {
  return millisecondsOf(cells[at + SECOND]!) + (cells[at + EMOJI]! & MILLISECOND);
}

function raiseMillisecond(cells: Int32Array, at: number, millisecond: number): void {
  const held = cells[at + EMOJI]! & MILLISECOND;
  if (millisecond > held) cells[at + EMOJI] = (cells[at + EMOJI]! & ~MILLISECOND) | millisecond;
}
