/**
 * Crowds: how alike those are who share a device, a network or an emoji. Pure; eight integers to a crowd.
 *
 * People who tap at once tap in bursts and each at a speed of their own. Copies of one program never pause, and the
 * numbers of their taps vary no more than chance asks (index of dispersion, variance by mean, near 1 or
 * below) [SPAM-7]. Neither a school nor a campus behind one address looks like that.
 */

import { CELLS } from './rhythm.ts';

/** Columns of a row, from where the row starts. Viewers are remembered as bits for one to two turns. */
const SEEN = 0;
const SEEN_BEFORE = 1;
const TURN = 2;
const CELLS_CLOSED = 3;
const CONTINUED = 4;
const SUM = 5;
const SQUARES = 6;
/** Eight, one of them spare: rows have an even number of columns. */
export const CROWD_COLUMNS = 8;

/** 16 turns of 16 cells: the least a turn's number must tell apart is itself from the next one. */
const TURN_SHIFT = Math.log2(CELLS);
const TURN_MASK = 0xfff;
/** 255² taps in each of so many cells still fit an Int32. */
const CELLS_MAX = 16_384;
/** Fewer prove nothing. */
const CONTINUED_MIN = 128;
const CONTINUED_SHARE_MIN = 0.95;
const DISPERSION_MAX = 1.6;
const TAPS_MAX = 255;
const BITS = 32;

/** Takes in a cell that a viewer has closed, with its taps, and whether the cell before it had any. */
export function noteCell(rows: Int32Array, row: number, viewer: number, cell: number, taps: number, continued: boolean): void {
  turn(rows, row, cell);
  rows[row + SEEN]! |= 1 << bitOf(viewer);
  rows[row + CELLS_CLOSED]! += 1;
  if (!continued) return;
  const counted = Math.min(taps, TAPS_MAX);
  rows[row + CONTINUED]! += 1;
  rows[row + SUM]! += counted;
  rows[row + SQUARES]! += counted * counted;
  if (rows[row + CELLS_CLOSED]! >= CELLS_MAX) halve(rows, row);
}

/** How many viewers, by linear counting (Whang et al., 1990): good to about 100. */
export function viewersIn(rows: Int32Array, row: number): number {
  let seen = rows[row + SEEN]! | rows[row + SEEN_BEFORE]!;
  let bits = 0;
  for (; seen !== 0; seen &= seen - 1) bits += 1;
  return bits === BITS ? Infinity : -BITS * Math.log1p(-bits / BITS);
}

/** Cells that followed one with taps, of lately. */
export function cellsIn(rows: Int32Array, row: number): number {
  return rows[row + CONTINUED]!;
}

/** Whether they go on without a pause, all at one rate. */
export function isUniform(rows: Int32Array, row: number, dispersionMax = DISPERSION_MAX): boolean {
  const continued = rows[row + CONTINUED]!;
  if (continued < CONTINUED_MIN || continued < CONTINUED_SHARE_MIN * rows[row + CELLS_CLOSED]!) return false;
  const mean = rows[row + SUM]! / continued;
  return rows[row + SQUARES]! / continued - mean * mean <= dispersionMax * mean;
}

/** Mixed, because numbers that follow each other would collide less than chance has it. */
function bitOf(viewer: number): number {
  let mixed = Math.imul(viewer + 1, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) & (BITS - 1);
}

function turn(rows: Int32Array, row: number, cell: number): void {
  const now = (cell >> TURN_SHIFT) & TURN_MASK;
  const passed = (now - rows[row + TURN]!) & TURN_MASK;
  if (passed === 0) return;
  rows[row + TURN] = now;
  rows[row + SEEN_BEFORE] = passed === 1 ? rows[row + SEEN]! : 0;
  rows[row + SEEN] = 0;
  if (passed === 1) halve(rows, row);
  else rows.fill(0, row + CELLS_CLOSED, row + SQUARES + 1);
}

function halve(rows: Int32Array, row: number): void {
  for (let column = CELLS_CLOSED; column <= SQUARES; column++) rows[row + column]! >>= 1;
}
