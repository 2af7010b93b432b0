/**
 * Contributions: who was counted when, and how much, as far back as is kept. Without it nothing could be
 * taken back from a viewer or a device [AGG-30].
 *
 * A cell says of one viewer, device, emoji and second how many taps were counted and how many of them were
 * taken back. Both only grow, a commit carries them absolute, and a cell has an identity for life: the actor that
 * made it and its number. So joining any commits, in any order and number, gives the cells back [AGG-31]:
 * what was taken back once is not taken back again. Counting only ever touches the end of a ring; whoever
 * wants to know what somebody contributed looks through it from there. Memory is bounded by a number of
 * cells and by age, the oldest are forgotten first [AGG-32].
 */

import type { ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { FIRST_COLUMN, SlotTable } from '../base/slot-table.ts';
import { WINDOW_MS } from '../base/window.ts';
import type { Contribution } from '../hot-store/hot-store.ts';
import { REACTIONS_PER_BATCH_MAX } from '../protocol/messages.ts';
import { CHANGED, COUNTED, COUNT_MAX, DEVICE, EMOJI, ACTOR, NUMBER, RETRACTED, SECOND, VIEWER } from './contribution-cell.ts';
import { emojiOf, isCellOf, millisecondsOf, raiseMillisecond, secondOf, setCell, timeOf } from './contribution-cell.ts';
import { CONTRIBUTION_BYTES, ChangedCells } from './changed-cells.ts';
import { ContributionRing } from './contribution-ring.ts';
import { lookThrough, positionsOf, type Answer, type Order, type Search } from './contribution-search.ts';

export interface ContributionLimits {
  readonly contributionsMax: number;
  readonly contributionsKeptMs: number;
}

export const CONTRIBUTION_DEFAULTS: ContributionLimits = { contributionsMax: 2_000_000, contributionsKeptMs: 60 * 60_000 };

/** Of a batch that names no device; of who finds no room. */
export const NOBODY = -1;
/** Taps of one viewer, device and emoji, counted in the second of a time, that another region has counted as well. */
export interface Gift {
  readonly scope: number;
  readonly viewer: string;
  readonly device: string | null;
  readonly emoji: number;
  readonly countedAt: number;
  readonly taps: number;
}

/** Numbers go round far beyond what is kept. */
const NUMBER_MASK = 2 ** 31 - 1;
const OWN_ACTOR = 0;
// The columns of a contributor.
const COLUMNS = 2;
/** The second in which a cell of it was made or changed last. */
const USED_SECOND = FIRST_COLUMN;
/** Of a viewer: the device of the last batch, a guess. */
const LAST_DEVICE = FIRST_COLUMN + 1;
const SWEPT_PER_INSERT = 4;
const EXPIRED_PER_BATCH = 4;
const EXPIRED_AT_ONCE = 50_000;
export class Contributions {
  /** Taps that were counted and not noted, because there was no room for who tapped. */
  unattributed = 0;
  /** Cells looked at, all in all, for what is given back. */
  looked = 0;
  readonly #keptSeconds: number;
  readonly #ring: ContributionRing;
  readonly #contributors: SlotTable;
  /** Who made the cells, by number; the first is this life's actor, whoever that will be. */
  readonly #actors: (ActorId | null)[] = [null];
  /** While commits are joined: actor → number of the cell → its position. Null once all are. */
  #known: KnownCells | null = new Map();
  #nextNumber = 0;
  readonly #changed = new ChangedCells();
  #nowSecond = 0;
  /** Of this second and earlier ones cells have been forgotten: what is left of them is let be. */
  #forgottenUntil = 0;
  /** The number of the last cell that is of an earlier second than the one before it; as long as both are there, the ring is not in order. */
  #lastDisorder = 0;
  #lastSecond = 0;
  readonly #isForgotten = (slot: number): boolean => {
    const usedSecond = this.#contributors.integers[slot * this.#contributors.stride + USED_SECOND]!;
    // What changed is still to be told, with the name.
    return usedSecond <= this.#forgottenUntil && usedSecond < Math.min(this.#nowSecond, this.#changed.since);
  };

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

  /** An upper bound of the encoded size of what changed, but for its streams and emoji, which have rows that changed too. */
  get changedBytes(): number {
    return this.#changed.bytes;
  }

  /** What was counted from this time on can be taken back, and nothing earlier. */
  get forgottenUntilMs(): number {
    return millisecondsOf(this.#forgottenUntil + 1);
  }

  /** Makes room for the cells of one batch, and lets go of a few that are too old. */
  reserve(cells: number, now: number): void {
    this.#nowSecond = secondOf(now);
    while (this.#ring.size + cells > this.#ring.sizeMax) this.#forgetOldest();
    this.#expire(now, EXPIRED_PER_BATCH);
  }

  /** Lets go of what is too old, as much as is worth a pause. */
  forget(now: number): void {
    this.#nowSecond = secondOf(now);
    this.#expire(now, EXPIRED_AT_ONCE);
    this.#contributors.sweep(EXPIRED_AT_ONCE, this.#isForgotten);
  }

  /** Nothing counted until this time can be taken back from now on. */
  forgetUntil(timeMs: number): void {
    this.#forgottenUntil = Math.max(this.#forgottenUntil, secondOf(timeMs));
  }

  /** The slot of a viewer who is counted now; NOBODY when there is no room. `guess` is any slot, best that of the last time. */
  viewer(scope: number, viewer: string, guess: number): number {
    return this.#contributor(2 * scope, viewer, guess);
  }

  /**
   * The slot of a viewer who is counted now, from what two integers remember of it, 0 at first: slot and second of the
   * last time. A slot stays its viewer's until that second is forgotten, so most are known without being looked at.
   */
  remembered(scope: number, viewer: string, memos: Int32Array, at: number): number {
    const second = memos[at + 1]!;
    if (second > this.#forgottenUntil) {
      if (second < this.#nowSecond) this.#touch(memos[at]!);
      else return memos[at]!;
    } else {
      memos[at] = this.viewer(scope, viewer, Math.max(0, memos[at]!));
    }
    const slot = memos[at]!;
    memos[at + 1] = slot < 0 ? 0 : this.#nowSecond;
    return slot;
  }

  /** The slot of the device that a viewer is counted with now. */
  device(scope: number, device: string, viewer: number): number {
    if (viewer === NOBODY) return NOBODY;
    const guess = viewer * this.#contributors.stride + LAST_DEVICE;
    const slot = this.#contributor(2 * scope + 1, device, this.#contributors.integers[guess]!);
    this.#contributors.integers[viewer * this.#contributors.stride + LAST_DEVICE] = Math.max(0, slot);
    return slot;
  }

  /**
   * Notes taps that are counted now, in a cell of which room was reserved, and answers its position. `guess` is
   * where the viewer's last taps were noted: within a second they come together. Whoever knows the names and the scope
   * tells them, since where they are kept here is far away in memory.
   */
  add(
    viewer: number,
    device: number,
    emoji: number,
    taps: number,
    now: number,
    guess: number,
    names: Names,
    scope: number,
  ): number {
    if (viewer === NOBODY) {
      this.unattributed += taps;
      return NOBODY;
    }
    const second = this.#nowSecond;
    let position = guess;
    if (!this.#isCellOf(guess, viewer, device, emoji, second)) {
      position = this.#push(second, viewer, device, emoji);
      this.#nextNumber = (this.#nextNumber + 1) & NUMBER_MASK;
    }
    const cells = this.#ring.cellsAt(position);
    const at = this.#ring.offsetOf(position);
    cells[at + COUNTED] = Math.min(COUNT_MAX, cells[at + COUNTED]! + taps);
    raiseMillisecond(cells, at, now - millisecondsOf(second));
    this.#markChanged(position, cells, at, names, scope);
    return position;
  }

  /** The slot of a viewer or device of whom something may be kept; NOBODY when nothing is. */
  find(kind: Order['kind'], scope: number, id: string): number {
    return this.#contributors.find(2 * scope + (kind === 'viewer' ? 0 : 1), id);
  }

  /**
   * Looks through at most so many cells for what orders speak of: counted from the second of `from` on and last
   * before `to`. Calls `take` with the scope, the emoji's number, the start of the second and the taps of each of which something
   * is left, and is told whether nothing is left of it from now on. True when all was looked through.
   */
  search(
    search: Search,
    cellsMax: number,
    now: number,
    take: (scope: number, emoji: number, countedAt: number, taps: number) => Answer,
  ): boolean {
    this.#nowSecond = secondOf(now);
    return lookThrough(this.#ring, this.#extent(), search, cellsMax, (position, cells, at) => {
      const left = cells[at + COUNTED]! - cells[at + RETRACTED]!;
      const answer = take(this.#scopeOf(cells[at + VIEWER]!), emojiOf(cells, at), millisecondsOf(cells[at + SECOND]!), left);
      if (answer === 'take') this.#takeBack(position, cells, at, left);
      return answer;
    });
  }

  /**
   * Takes back what is to be given to another region, as far as it is still there, and answers how much that was. Undefined when it
   * is not known: such taps were not noted, or that is forgotten.
   */
  giveBack({ scope, viewer, device, emoji, countedAt, taps }: Gift, now: number): number | undefined {
    this.#nowSecond = secondOf(now);
    const second = secondOf(countedAt);
    const viewerSlot = this.find('viewer', scope, viewer);
    if (second <= this.#forgottenUntil || viewerSlot < 0) return undefined;
    const deviceSlot = device === null ? NOBODY : this.find('device', scope, device);
    const given = this.#giveBack(viewerSlot, deviceSlot, emoji, second, taps);
    // A device that found no room was noted as none.
    return given === undefined && deviceSlot !== NOBODY ? this.#giveBack(viewerSlot, NOBODY, emoji, second, taps) : given;
  }

  /**
   * Joins what a commit of `actor` said of one contribution; false when there is no room for who it was. Once `joined` was called it
   * changes nothing: a living process knows more than its journal.
   */
  join(scope: number, emoji: number, contribution: Contribution, actor: ActorId): boolean {
    if (this.#known === null) return true;
    const { viewer, device, at: time, counted, retracted, number } = contribution;
    const second = secondOf(time);
    if (second <= this.#forgottenUntil) return true;
    const known = this.#knownOf(this.#known, contribution.actor ?? actor);
    let position = known.cells.get(number);
    if (position === undefined) {
      this.reserve(1, time);
      // To make room, this second may have been begun to be forgotten.
      if (second <= this.#forgottenUntil) return true;
      const viewerSlot = this.viewer(scope, viewer, 0);
      if (viewerSlot === NOBODY) return false;
      position = this.#push(second, viewerSlot, device === null ? NOBODY : this.device(scope, device, viewerSlot), emoji, known.actor, number);
      known.cells.set(number, position);
    }
    const cells = this.#ring.cellsAt(position);
    const at = this.#ring.offsetOf(position);
    cells[at + COUNTED] = Math.max(cells[at + COUNTED]!, Math.min(COUNT_MAX, counted));
    cells[at + RETRACTED] = Math.max(cells[at + RETRACTED]!, Math.min(COUNT_MAX, retracted));
    raiseMillisecond(cells, at, time - millisecondsOf(second));
    return true;
  }

  /** Nothing more is joined: what it took to know cells again is let go, and the cells are put in order, once, since nobody knows positions yet. */
  joined(): void {
    this.#known = null;
    if (this.#isInOrder) return;
    this.#ring.sort(SECOND);
    this.#lastDisorder = 0;
    this.#lastSecond = this.#ring.cellsAt(this.#ring.newest)[this.#ring.offsetOf(this.#ring.newest) + SECOND]!;
  }

  /** What changed since the last call. */
  takeChanged(streamOf: (scope: number) => StreamId, emojiIdOf: (number: number) => EmojiId): Contribution[] {
    const taken: Contribution[] = [];
    this.#changed.take(this.#ring, (cells, at, scope, viewer, device) => {
      if (viewer === null) taken.push(this.#record(cells, at, streamOf, emojiIdOf));
      else taken.push(this.#recordOf(cells, at, streamOf(scope), viewer, device, emojiIdOf));
    });
    return taken;
  }

  /** All that was counted since a time and that a later life would still listen to. */
  *records(sinceMs: number, streamOf: (scope: number) => StreamId, emojiIdOf: (number: number) => EmojiId): Generator<Contribution> {
    const since = Math.max(secondOf(sinceMs), this.#forgottenUntil + 1);
    for (const position of this.#ring.positions()) {
      const cells = this.#ring.cellsAt(position);
      const at = this.#ring.offsetOf(position);
      if (cells[at + SECOND]! >= since) yield this.#record(cells, at, streamOf, emojiIdOf);
    }
  }

  #contributor(scope: number, id: string, guess: number): number {
    const table = this.#contributors;
    let slot = table.holds(guess, scope, id) ? guess : table.find(scope, id);
    if (slot < 0) {
      table.sweep(SWEPT_PER_INSERT, this.#isForgotten);
      slot = table.insert(scope, id);
      if (slot < 0) return NOBODY;
    }
    this.#touch(slot);
    return slot;
  }

  #touch(slot: number): void {
    const { integers, stride } = this.#contributors;
    const at = slot * stride + USED_SECOND;
    if (integers[at]! < this.#nowSecond) integers[at] = this.#nowSecond;
  }

  #isCellOf(position: number, viewer: number, device: number, emoji: number, second: number): boolean {
    if (position < 0 || !this.#ring.holds(position)) return false;
    return isCellOf(this.#ring.cellsAt(position), this.#ring.offsetOf(position), viewer, device, emoji, second);
  }

  #push(second: number, viewer: number, device: number, emoji: number, actor = OWN_ACTOR, number = this.#nextNumber): number {
    const position = this.#ring.push();
    setCell(this.#ring.cellsAt(position), this.#ring.offsetOf(position), second, viewer, device, emoji, number, actor);
    if (second < this.#lastSecond) this.#lastDisorder = this.#ring.pushed - 1;
    this.#lastSecond = second;
    return position;
  }

  #knownOf(all: KnownCells, id: ActorId): { readonly actor: number; readonly cells: Map<number, number> } {
    let known = all.get(id);
    if (known === undefined) {
      const found = this.#actors.indexOf(id);
      known = { actor: found >= 0 ? found : this.#actors.push(id) - 1, cells: new Map() };
      all.set(id, known);
    }
    return known;
  }

  #giveBack(viewer: number, device: number, emoji: number, second: number, taps: number): number | undefined {
    let left = taps;
    let isNoted = false;
    for (const position of positionsOf(second, this.#ring, this.#isInOrder)) {
      if (left === 0) break;
      this.looked += 1;
      if (!this.#isCellOf(position, viewer, device, emoji, second)) continue;
      isNoted = true;
      const cells = this.#ring.cellsAt(position);
      const at = this.#ring.offsetOf(position);
      const taken = Math.min(left, cells[at + COUNTED]! - cells[at + RETRACTED]!);
      if (taken === 0) continue;
      left -= taken;
      this.#takeBack(position, cells, at, taken);
    }
    return isNoted ? taps - left : undefined;
  }

  /** Whether the cells are in the order of their seconds. */
  get #isInOrder(): boolean {
    return this.#ring.dropped >= this.#lastDisorder;
  }

  #takeBack(position: number, cells: Int32Array, at: number, taps: number): void {
    cells[at + RETRACTED]! += taps;
    this.#markChanged(position, cells, at);
    this.#touch(cells[at + VIEWER]!);
    if (cells[at + DEVICE]! >= 0) this.#touch(cells[at + DEVICE]!);
  }

  #extent(): { forgottenUntil: number; isInOrder: boolean } {
    return { forgottenUntil: this.#forgottenUntil, isInOrder: this.#isInOrder };
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
    const cells = this.#ring.cellsAt(this.#ring.oldest);
    const at = this.#ring.offsetOf(this.#ring.oldest);
    if (cells[at + SECOND]! > this.#forgottenUntil) this.#forgottenUntil = cells[at + SECOND]!;
    this.#changed.forget(cells, at);
    this.#ring.dropOldest();
  }

  #markChanged(
    position: number,
    cells: Int32Array,
    at: number,
    names: Names = this.#namesOf(cells[at + VIEWER]!, cells[at + DEVICE]!),
    scope = this.#scopeOf(cells[at + VIEWER]!),
  ): void {
    if ((cells[at + EMOJI]! & CHANGED) !== 0) return;
    // A device that found no room has a name and no slot.
    const device = cells[at + DEVICE]! < 0 ? null : names.device;
    this.#changed.add(position, cells, at, scope, names.viewer, device, this.#nowSecond);
  }

  #namesOf(viewer: number, device: number): Names {
    const table = this.#contributors;
    return { viewer: viewer < 0 ? '' : table.textOf(viewer), device: device < 0 ? null : table.textOf(device) };
  }

  #scopeOf(viewer: number): number {
    return this.#contributors.scopeOf(viewer) >> 1;
  }

  #record(cells: Int32Array, at: number, streamOf: (scope: number) => StreamId, emojiIdOf: (number: number) => EmojiId): Contribution {
    const slot = cells[at + VIEWER]!;
    const { viewer, device } = this.#namesOf(slot, cells[at + DEVICE]!);
    return this.#recordOf(cells, at, streamOf(this.#scopeOf(slot)), viewer, device, emojiIdOf);
  }

  #recordOf(
    cells: Int32Array,
    at: number,
    stream: StreamId,
    viewer: string,
    device: string | null,
    emojiIdOf: (number: number) => EmojiId,
  ): Contribution {
    return {
      stream,
      viewer,
      device,
      emoji: emojiIdOf(emojiOf(cells, at)),
      at: timeOf(cells, at),
      counted: cells[at + COUNTED]!,
      retracted: cells[at + RETRACTED]!,
      actor: this.#actors[cells[at + ACTOR]!]!,
      number: cells[at + NUMBER]!,
    };
  }
}

type KnownCells = Map<ActorId, { readonly actor: number; readonly cells: Map<number, number> }>;

/** Whose taps they are. */
export interface Names {
  readonly viewer: string;
  readonly device: string | null;
}

/** An upper bound of what msgpack makes of a contribution that stands alone with its stream, emoji and actor. */
export function contributionBytesMax({ stream, viewer, device, emoji, actor }: Contribution): number {
  return CONTRIBUTION_BYTES + viewer.length + (device?.length ?? 0) + stream.length + emoji.length + (actor?.length ?? 0) + 24;
}
