/**
 * Looking through the ring of contributions, from the newest, for what is to be taken back. It reads and changes nothing:
 * `contributions.ts` takes back what is found.
 */

import type { Retraction } from '../moderation/policy.ts';
import { COUNTED, DEVICE, RETRACTED, SECOND, VIEWER, secondOf, timeOf } from './contribution-cell.ts';
import type { ContributionRing } from './contribution-ring.ts';

/** What must be true from now on. */
export type Order = Retraction;

/** Orders by the slots of those whom they concern, each for itself, and how far the cells are looked through for them. */
export interface Search {
  readonly orders: ReadonlyMap<number, readonly Order[]>;
  /** The next cell to look at, from the newest to the oldest; null before the first. */
  position: number | null;
}

/** What of the ring is believed, and in what order it is. */
export interface Extent {
  /** Of this second and earlier ones nothing is found. */
  readonly forgottenUntil: number;
  /** Whether the cells are in the order of their seconds. */
  readonly isInOrder: boolean;
}

export type Answer = 'take' | 'leave' | 'stop';

/** Slots are told from each other by so much of them before a map is asked. */
const WANTED_SIZE = 1 << 16;

/**
 * Looks at no more than so many cells for those of which something is left and that orders speak of: counted from the second of
 * `from` on and last before `to`. Calls `visit` with each, until it answers 'stop'. True when all was looked through.
 */
export function lookThrough(
  ring: ContributionRing,
  { forgottenUntil, isInOrder }: Extent,
  search: Search,
  cellsMax: number,
  visit: (position: number, cells: Int32Array, at: number) => Answer,
): boolean {
  const { orders } = search;
  const from = oldestOf(orders);
  const wanted = new Uint8Array(WANTED_SIZE);
  for (const slot of orders.keys()) wanted[slot & (WANTED_SIZE - 1)] = 1;
  search.position ??= ring.newest;
  for (let looked = 0; ring.holds(search.position); search.position = ring.before(search.position)) {
    if (looked++ === cellsMax) return false;
    const cells = ring.cellsAt(search.position);
    const at = ring.offsetOf(search.position);
    const second = cells[at + SECOND]!;
    if (second <= forgottenUntil || second < from) {
      if (isInOrder) return true;
      continue;
    }
    const viewer = cells[at + VIEWER]!;
    const device = cells[at + DEVICE]!;
    // Almost always neither: this is cheaper than to ask a map.
    if (wanted[viewer & (WANTED_SIZE - 1)] === 0 && (device < 0 || wanted[device & (WANTED_SIZE - 1)] === 0)) continue;
    if (cells[at + COUNTED] === cells[at + RETRACTED]) continue;
    if (!speakOf(orders.get(viewer), cells, at) && !speakOf(orders.get(device), cells, at)) continue;
    if (visit(search.position, cells, at) === 'stop') return false;
  }
  return true;
}

/** The positions among which all cells of a second are, the oldest first: few when the cells are in order, or else all. */
export function* positionsOf(second: number, ring: ContributionRing, isInOrder: boolean): Generator<number> {
  const secondAt = (position: number): number => ring.cellsAt(position)[ring.offsetOf(position) + SECOND]!;
  let [low, high] = [0, isInOrder ? ring.size : 0];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (secondAt(ring.positionAt(middle)) < second) low = middle + 1;
    else high = middle;
  }
  for (let rank = low; rank < ring.size; rank++) {
    const position = ring.positionAt(rank);
    if (isInOrder && secondAt(position) > second) return;
    yield position;
  }
}

function oldestOf(orders: Search['orders']): number {
  let from = Infinity;
  for (const ofOne of orders.values()) for (const order of ofOne) from = Math.min(from, secondOf(order.from));
  return from;
}

/** Whether a cell lies within the time of any of the orders. */
function speakOf(orders: readonly Order[] | undefined, cells: Int32Array, at: number): boolean {
  return orders !== undefined && orders.some(({ from, to }) => cells[at + SECOND]! >= secondOf(from) && timeOf(cells, at) < to);
}
