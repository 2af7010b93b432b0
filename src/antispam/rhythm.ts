/**
 * Rhythm: how many taps a viewer made in each of the last 16 cells of six seconds. Pure; five integers to a viewer.
 *
 * Over a minute and a half a program keeps its rate and people do not: they pause, tire and drift. The
 * measure is the range of the summed deviations from the mean (the rescaled range of Hurst, 1951, unscaled). A
 * timer's never exceeds what the gathering into batches does, however long it goes on; that of independent
 * intervals grows with the root of their number [SPAM-5].
 */

export const CELL_MS = 6_000;
export const CELLS = 16;
const CELL_BITS = 16;
const CELL_MASK = (1 << CELL_BITS) - 1;
const CELL_TAPS_MAX = 0xffff;
/** What one byte of the ring holds: 42 taps a second, beyond what any limit lets through for long. */
const RING_TAPS_MAX = 255;

/** Columns of a row, from where the row starts. */
const OPEN = 0;
const RING = 1;
export const RHYTHM_COLUMNS = 1 + CELLS / 4;

/** The number of the cell of a time. It comes round after four days and a half. */
export function cellOf(now: number): number {
  return Math.floor(now / CELL_MS) & CELL_MASK;
}

/** Cells from the open one to that of the time: 0 while it is the same. */
export function cellsSince(rows: Int32Array, row: number, cell: number): number {
  return (cell - (rows[row + OPEN]! >>> CELL_BITS)) & CELL_MASK;
}

export function addTaps(rows: Int32Array, row: number, taps: number): void {
  const open = rows[row + OPEN]!;
  rows[row + OPEN] = (open & ~CELL_MASK) | Math.min(CELL_TAPS_MAX, (open & CELL_MASK) + taps);
}

/** Closes the open cell, puts empty ones for those that passed, and opens `cell`. Answers the taps of the closed one. */
export function turnTo(rows: Int32Array, row: number, cell: number): number {
  const open = rows[row + OPEN]!;
  const taps = open & CELL_MASK;
  const from = open >>> CELL_BITS;
  const passed = Math.min(CELLS, cellsSince(rows, row, cell));
  put(rows, row, from, Math.min(taps, RING_TAPS_MAX));
  for (let skipped = 1; skipped < passed; skipped++) put(rows, row, cell - skipped, 0);
  // When all 16 passed without a tap, also the closed one is history.
  if (cellsSince(rows, row, cell) > CELLS) put(rows, row, cell, 0);
  rows[row + OPEN] = cell << CELL_BITS;
  return taps;
}

/** The taps of a closed cell, of which 1 is the newest and 16 the oldest. */
export function tapsIn(rows: Int32Array, row: number, age: number): number {
  return at(rows, row, (rows[row + OPEN]! >>> CELL_BITS) - age);
}

/** The last 16 closed cells, oldest first. */
export function cellsOf(rows: Int32Array, row: number): number[] {
  return Array.from({ length: CELLS }, (_, index) => tapsIn(rows, row, CELLS - index));
}

/** Mean taps in the last 16 closed cells, 0 when any of them is empty: then the viewer has paused. */
export function unbrokenMean(rows: Int32Array, row: number): number {
  let sum = 0;
  for (let age = 1; age <= CELLS; age++) {
    const taps = tapsIn(rows, row, age);
    if (taps === 0) return 0;
    sum += taps;
  }
  return sum / CELLS;
}

/** How far the sum of the cells strays from an even rate, in taps. */
export function strayOf(rows: Int32Array, row: number, mean: number): number {
  let [sum, lowest, highest] = [0, 0, 0];
  for (let age = CELLS; age >= 1; age--) {
    sum += tapsIn(rows, row, age) - mean;
    lowest = Math.min(lowest, sum);
    highest = Math.max(highest, sum);
  }
  return highest - lowest;
}

/** Index of dispersion of the cells, variance by mean: 1 when taps come by chance at one rate. */
export function dispersionOf(rows: Int32Array, row: number, mean: number): number {
  let squares = 0;
  for (let age = 1; age <= CELLS; age++) squares += (tapsIn(rows, row, age) - mean) ** 2;
  return squares / (CELLS - 1) / mean;
}

function at(rows: Int32Array, row: number, cell: number): number {
  const place = cell & (CELLS - 1);
  return (rows[row + RING + (place >> 2)]! >>> ((place & 3) * 8)) & 0xff;
}

function put(rows: Int32Array, row: number, cell: number, taps: number): void {
  const place = cell & (CELLS - 1);
  const column = row + RING + (place >> 2);
  const shift = (place & 3) * 8;
  rows[column] = (rows[column]! & ~(0xff << shift)) | (taps << shift);
}
