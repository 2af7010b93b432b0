/**
 * The cells that changed since changes were taken, with the names that their records need: where names are kept otherwise is far
 * away in memory. In columns that are filled again and again, so that a commit of thousands of cells leaves no garbage here; they
 * are as long as the most that changed in one commit.
 */

import { ACTOR, CHANGED, EMOJI } from './contribution-cell.ts';
import type { ContributionRing } from './contribution-ring.ts';

/** Beside the ids: six integers and two headers. */
export const CONTRIBUTION_BYTES = 9 + 5 + 5 + 5 + 5 + 2 * 2;

export class ChangedCells {
  /** An upper bound of the encoded size, but for streams and emoji. */
  bytes = 0;
  /** The second of the first change; Infinity when there is none. */
  since = Infinity;
  #size = 0;
  readonly #positions: number[] = [];
  readonly #scopes: number[] = [];
  readonly #viewers: string[] = [];
  readonly #devices: (string | null)[] = [];
  /** Cells that were forgotten before their change was taken: a later life must still hear of it. */
  #forgotten: Int32Array[] = [];

  /** A cell that had not changed has changed in this second. */
  add(position: number, cells: Int32Array, at: number, scope: number, viewer: string, device: string | null, second: number): void {
    cells[at + EMOJI]! |= CHANGED;
    if (this.#size === 0) this.since = second;
    const place = this.#size++;
    this.#positions[place] = position;
    this.#scopes[place] = scope;
    this.#viewers[place] = viewer;
    this.#devices[place] = device;
    this.bytes += CONTRIBUTION_BYTES + viewer.length + (device?.length ?? 0);
  }

  /** The ring drops this cell. */
  forget(cells: Int32Array, at: number): void {
    if ((cells[at + EMOJI]! & CHANGED) !== 0) this.#forgotten.push(cells.slice(at, at + ACTOR + 1));
  }

  /**
   * Tells each cell once. Its viewer is null when cells were forgotten in between: then positions may have been given to
   * other cells than those that are named here.
   */
  take(ring: ContributionRing, tell: (cells: Int32Array, at: number, scope: number, viewer: string | null, device: string | null) => void): void {
    for (const cells of this.#forgotten) tell(cells, 0, 0, null, null);
    const isAllThere = this.#forgotten.length === 0;
    for (let place = 0; place < this.#size; place++) {
      const position = this.#positions[place]!;
      if (!isAllThere && !ring.holds(position)) continue;
      const cells = ring.cellsAt(position);
      const at = ring.offsetOf(position);
      // A position that was given to another cell in between stands here twice.
      if ((cells[at + EMOJI]! & CHANGED) === 0) continue;
      cells[at + EMOJI]! &= ~CHANGED;
      if (isAllThere) tell(cells, at, this.#scopes[place]!, this.#viewers[place]!, this.#devices[place]!);
      else tell(cells, at, 0, null, null);
    }
    this.#forgotten = [];
    this.#size = 0;
    this.bytes = 0;
    this.since = Infinity;
  }
}
