/**
 * The flagged viewers of each stream, with the evidence that a moderator looks at. Bounded: the highest scores
 * stay, and each for ten minutes after it was last heard [SPAM-9].
 *
 * Pure: times come in. Only viewers under suspicion cost anything here.
 */

import { CELL_MS } from './rhythm.ts';
import type { Reason, Standing } from './suspicion.ts';

/** Upper ends of the classes of the histogram of intervals, milliseconds; the last class has none. */
export const INTERVAL_CLASSES_MS: readonly number[] = [20, 40, 60, 80, 100, 130, 160, 200, 240, 280, 340, 420, 600, 1000, 2000];

/** Plain and serializable. */
export interface FlaggedViewer {
  readonly viewer: string;
  readonly device: string | null;
  readonly standing: Exclude<Standing, 'count'> | 'forgiven';
  /** 0 to 127: from 45 on a viewer is flagged, from 70 on not counted. */
  readonly score: number;
  /** What was noticed in the last cell that counted as evidence. */
  readonly reasons: readonly Reason[];
  /** Milliseconds since the epoch: when the standing began, and the last batch. */
  readonly since: number;
  readonly lastAt: number;
  /** Batches looked at since the viewer was flagged first. */
  readonly samples: number;
  /** Taps per second over the cells that had any. */
  readonly tapsPerSecond: number;
  /** Taps acknowledged as clamped because nobody believed them. */
  readonly shadowedTaps: number;
  /** Taps in each of the last cells of `CELL_MS`, oldest first. */
  readonly cells: readonly number[];
  /** How many intervals between batches fell in each class of `INTERVAL_CLASSES_MS`, and beyond. */
  readonly intervals: readonly number[];
}

interface Evidence {
  device: string | null;
  standing: FlaggedViewer['standing'];
  score: number;
  reasons: readonly Reason[];
  since: number;
  lastAt: number;
  samples: number;
  shadowedTaps: number;
  cells: readonly number[];
  readonly intervals: number[];
}

export interface CellVerdict {
  readonly device: string | null;
  readonly standing: Standing;
  readonly score: number;
  readonly reasons: readonly Reason[];
  readonly cells: readonly number[];
  readonly now: number;
}

const PER_STREAM_MAX = 100;
const KEPT_MS = 10 * 60_000;
/** To look through all streams takes time, and when all who are listed are fresh it is of no use. */
const PRUNE_ALL_MS = 10_000;

export class FlaggedViewers {
  readonly #allMax: number;
  readonly #streams = new Map<number, Map<string, Evidence>>();
  #size = 0;
  #prunedAllAt = -Infinity;

  /** At most so many in all streams together. */
  constructor(allMax: number) {
    this.#allMax = allMax;
  }

  get size(): number {
    return this.#size;
  }

  /** The verdict at the end of a cell. Of viewers who count, only those who did not always are kept. */
  note(scope: number, viewer: string, verdict: CellVerdict): void {
    const listed = this.#streams.get(scope);
    let evidence = listed?.get(viewer);
    if (evidence === undefined) {
      if (verdict.standing === 'count' || !this.#makeRoom(scope, verdict)) return;
      evidence = { ...verdict, standing: verdict.standing, since: verdict.now, lastAt: verdict.now, samples: 0, shadowedTaps: 0, intervals: INTERVAL_CLASSES_MS.map(() => 0).concat(0) };
      this.#of(scope).set(viewer, evidence);
      this.#size += 1;
    }
    const standing = verdict.standing === 'count' ? 'forgiven' : verdict.standing;
    if (standing !== evidence.standing) evidence.since = verdict.now;
    evidence.standing = standing;
    evidence.device = verdict.device;
    evidence.score = verdict.score;
    evidence.lastAt = verdict.now;
    evidence.cells = verdict.cells;
    if (verdict.reasons.length > 0) evidence.reasons = verdict.reasons;
  }

  /** A batch of a viewer under suspicion, so long after the one before. */
  noteBatch(scope: number, viewer: string, elapsedMs: number, shadowedTaps: number): void {
    const evidence = this.#streams.get(scope)?.get(viewer);
    if (evidence === undefined) return;
    evidence.samples += 1;
    evidence.shadowedTaps += shadowedTaps;
    let place = 0;
    while (place < INTERVAL_CLASSES_MS.length && elapsedMs > INTERVAL_CLASSES_MS[place]!) place += 1;
    evidence.intervals[place]! += 1;
  }

  /** The flagged of a stream, highest score first. */
  list(scope: number, now: number): FlaggedViewer[] {
    this.#prune(scope, now);
    const listed = [...(this.#streams.get(scope) ?? [])];
    return listed
      .map(([viewer, evidence]): FlaggedViewer => {
        const { cells } = evidence;
        const active = cells.filter((taps) => taps > 0);
        const tapsPerSecond = active.length === 0 ? 0 : active.reduce((sum, taps) => sum + taps, 0) / ((active.length * CELL_MS) / 1000);
        return { viewer, ...evidence, intervals: [...evidence.intervals], tapsPerSecond: Math.round(tapsPerSecond * 10) / 10 };
      })
      .sort((one, other) => other.score - one.score || (one.viewer < other.viewer ? -1 : 1));
  }

  forget(scope: number): void {
    this.#size -= this.#streams.get(scope)?.size ?? 0;
    this.#streams.delete(scope);
  }

  #of(scope: number): Map<string, Evidence> {
    let listed = this.#streams.get(scope);
    if (listed === undefined) this.#streams.set(scope, (listed = new Map()));
    return listed;
  }

  #makeRoom(scope: number, { score, now }: CellVerdict): boolean {
    const full = (): boolean => this.#size >= this.#allMax || (this.#streams.get(scope)?.size ?? 0) >= PER_STREAM_MAX;
    if (full()) this.#prune(scope, now);
    // Streams that nobody lists nor taps in any more would keep the room for ever.
    if (this.#size >= this.#allMax && now - this.#prunedAllAt >= PRUNE_ALL_MS) {
      this.#prunedAllAt = now;
      for (const other of this.#streams.keys()) this.#prune(other, now);
    }
    if (!full()) return true;
    const lowest = [...(this.#streams.get(scope) ?? [])].reduce<[string, Evidence] | null>(
      (least, one) => (least === null || one[1].score < least[1].score ? one : least),
      null,
    );
    if (lowest === null || lowest[1].score >= score) return false;
    this.#drop(scope, lowest[0]);
    return true;
  }

  #prune(scope: number, now: number): void {
    for (const [viewer, { lastAt }] of this.#streams.get(scope) ?? []) if (now - lastAt > KEPT_MS) this.#drop(scope, viewer);
  }

  #drop(scope: number, viewer: string): void {
    const listed = this.#streams.get(scope)!;
    listed.delete(viewer);
    this.#size -= 1;
    if (listed.size === 0) this.#streams.delete(scope);
  }
}
