/**
 * Tells the feed how many viewers this edge has on each stream.
 *
 * The first viewer is told at once, because frames come only while somebody watches; later changes
 * are gathered, because a crowd that arrives is thousands of them.
 */

import type { StreamId } from '../../crdt/ids.ts';
import type { Timers } from '../../regions/runtime.ts';

const GATHER_MS = 250;

export class ViewerCounts {
  readonly #timers: Timers;
  readonly #tell: (stream: StreamId, viewers: number) => void;
  readonly #told = new Map<StreamId, number>();
  readonly #changed = new Map<StreamId, number>();
  #waiting = false;

  constructor(timers: Timers, tell: (stream: StreamId, viewers: number) => void) {
    this.#timers = timers;
    this.#tell = tell;
  }

  set(stream: StreamId, viewers: number): void {
    if (viewers > 0 && !this.#told.has(stream)) {
      this.#changed.delete(stream);
      this.#report(stream, viewers);
      return;
    }
    this.#changed.set(stream, viewers);
    if (this.#waiting) return;
    this.#waiting = true;
    this.#timers.after(GATHER_MS, () => this.flush());
  }

  flush(): void {
    this.#waiting = false;
    for (const [stream, viewers] of this.#changed) {
      if (this.#told.get(stream) !== viewers) this.#report(stream, viewers);
    }
    this.#changed.clear();
  }

  #report(stream: StreamId, viewers: number): void {
    if (viewers > 0) this.#told.set(stream, viewers);
    else if (!this.#told.delete(stream)) return;
    this.#tell(stream, viewers);
  }
}
