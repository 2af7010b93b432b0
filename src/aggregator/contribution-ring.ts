/**
 * The ring of contributions: cells of eight integers in the order in which they were made, bounded.
 *
 * Positions go round, so a position that somebody remembers may since have been given to another cell;
 * `holds` only tells that there is one. Memory comes and goes in pieces, so it follows the cells that there are and not the
 * bound. What a cell means is `contributions.ts`.
 */

export const CELL_INTEGERS = 8;
const PIECE_BITS = 13;
const PIECE_CELLS = 1 << PIECE_BITS;

export class ContributionRing {
  readonly sizeMax: number;
  /** More than `sizeMax` by at least a piece, so that the newest and the oldest cell never share one. */
  readonly #positions: number;
  readonly #pieces: (Int32Array | undefined)[];
  /** One piece that was given up, for the next that is needed. */
  #spare: Int32Array | undefined;
  #oldest = 0;
  #size = 0;
  /** Cells that there ever were. */
  #pushed = 0;

  constructor(sizeMax: number) {
    this.sizeMax = sizeMax;
    const pieces = Math.ceil(sizeMax / PIECE_CELLS) + 1;
    this.#pieces = Array.from({ length: pieces }, () => undefined);
    this.#positions = pieces * PIECE_CELLS;
  }

  get size(): number {
    return this.#size;
  }

  /** Cells that there were before the oldest; the next one gets the number `pushed`. */
  get dropped(): number {
    return this.#pushed - this.#size;
  }

  get pushed(): number {
    return this.#pushed;
  }

  /** The position of the oldest cell; meaningless when there is none. */
  get oldest(): number {
    return this.#oldest;
  }

  /** The integers among which the cell's are, from `offsetOf` on. */
  cellsAt(position: number): Int32Array {
    return this.#pieces[position >> PIECE_BITS]!;
  }

  offsetOf(position: number): number {
    return (position & (PIECE_CELLS - 1)) * CELL_INTEGERS;
  }

  /** The position of the newest cell; one that holds none when there is none. */
  get newest(): number {
    return this.before((this.#oldest + this.#size) % this.#positions);
  }

  /** The position before: of the oldest cell one that holds none. */
  before(position: number): number {
    return position === 0 ? this.#positions - 1 : position - 1;
  }

  holds(position: number): boolean {
    return this.#ageRank(position) < this.#size;
  }

  /** The position of a new cell, whose integers are still to be set. There must be room. */
  push(): number {
    if (this.#size >= this.sizeMax) throw new Error('the ring is full');
    const position = this.positionAt(this.#size);
    const piece = position >> PIECE_BITS;
    this.#pieces[piece] ??= this.#newPiece();
    this.#size += 1;
    this.#pushed += 1;
    return position;
  }

  dropOldest(): void {
    const piece = this.#oldest >> PIECE_BITS;
    this.#oldest = (this.#oldest + 1) % this.#positions;
    this.#size -= 1;
    if (this.#oldest >> PIECE_BITS === piece) return;
    this.#spare = this.#pieces[piece];
    this.#pieces[piece] = undefined;
  }

  /** The position of the cell before which so many are older. */
  positionAt(rank: number): number {
    const position = this.#oldest + rank;
    return position < this.#positions ? position : position - this.#positions;
  }

  /** The position of each cell that there is now, the oldest first, but for those that are dropped before their turn. */
  *positions(): Generator<number> {
    const end = this.#pushed;
    for (let number = this.dropped; number < end; number = Math.max(number + 1, this.dropped)) yield this.positionAt(number - this.dropped);
  }

  /** Puts the cells in the order of one of their integers, which is not negative; equal ones stay in theirs. */
  sort(column: number): void {
    const size = this.#size;
    // The integer and the rank in one number: exact, and sorted without a comparison of ours.
    const keys = new Float64Array(size);
    const cells = new Int32Array(size * CELL_INTEGERS);
    for (let rank = 0; rank < size; rank++) {
      const position = this.positionAt(rank);
      copyCell(this.cellsAt(position), this.offsetOf(position), cells, rank * CELL_INTEGERS);
      keys[rank] = cells[rank * CELL_INTEGERS + column]! * size + rank;
    }
    keys.sort();
    for (let rank = 0; rank < size; rank++) {
      const position = this.positionAt(rank);
      copyCell(cells, (keys[rank]! % size) * CELL_INTEGERS, this.cellsAt(position), this.offsetOf(position));
    }
  }

  #newPiece(): Int32Array {
    const piece = this.#spare ?? new Int32Array(PIECE_CELLS * CELL_INTEGERS);
    this.#spare = undefined;
    return piece;
  }

  /** 0 of the oldest cell; `size` or more where there is none. */
  #ageRank(position: number): number {
    const rank = position - this.#oldest;
    return rank < 0 ? rank + this.#positions : rank;
  }
}

function copyCell(from: Int32Array, fromAt: number, to: Int32Array, toAt: number): void {
  for (let column = 0; column < CELL_INTEGERS; column++) to[toAt + column] = from[fromAt + column]!;
}
