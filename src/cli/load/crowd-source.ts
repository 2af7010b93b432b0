/** Where a crowd's taps come from: a random process, or a recording. */

import { hashText } from '../../../crdt/digest.ts';
import type { Cancel } from '../../../regions/runtime.ts';
import { CommandFailure } from '../failure.ts';
import type { Crowd, Player } from './crowd.ts';
import type { TraceEvent } from './trace.ts';
import type { Viewer } from './viewer.ts';

/** Taps of one viewer as a Poisson process: intervals are exponential, emoji are uniform. */
export class RandomTapper implements Player {
  turnAt = Infinity;
  readonly #crowd: Crowd;
  readonly #viewer: Viewer;
  readonly #meanIntervalMs: number;
  readonly #emoji: readonly string[];
  readonly #signal: AbortSignal;
  #nextTapAt: number;

  constructor(crowd: Crowd, viewer: Viewer, tapsPerSecond: number, emoji: readonly string[], signal: AbortSignal) {
    this.#crowd = crowd;
    this.#viewer = viewer;
    this.#meanIntervalMs = 1000 / tapsPerSecond;
    this.#emoji = emoji;
    this.#signal = signal;
    this.#nextTapAt = crowd.now() + this.#interval();
  }

  turn(nowMs: number): number {
    if (this.#signal.aborted) return Infinity;
    while (this.#nextTapAt <= nowMs) {
      const emoji = this.#emoji[Math.floor(this.#crowd.random() * this.#emoji.length)]!;
      this.#viewer.tap(emoji, 1, this.#nextTapAt);
      this.#nextTapAt += this.#interval();
    }
    return this.#nextTapAt;
  }

  #interval(): number {
    return -Math.log(1 - this.#crowd.random()) * this.#meanIntervalMs;
  }
}

/** Which region a recorded viewer belongs to: always the same one. */
export function homeOf(viewer: string, regionCount: number): number {
  return (hashText(viewer, 0x6f766174) >>> 0) % regionCount;
}

export interface Replay {
  readonly events: AsyncIterable<TraceEvent>;
  readonly speed: number;
  readonly viewersMax: number;
  readonly signal: AbortSignal;
  readonly every: (intervalMs: number, call: () => void) => Cancel;
  /** A viewer that is seen for the first time. */
  readonly join: (viewer: string) => Viewer;
}

const REPLAY_TICK_MS = 10;

/** Plays a recording in its own time, divided by `speed`. Resolves when it is over. */
export async function replay(crowd: Crowd, { events, speed, viewersMax, signal, every, join }: Replay): Promise<void> {
  const viewers = new Map<string, Viewer>();
  const startMs = crowd.now();
  const pace = createPace(every);
  try {
    for await (const event of events) {
      const dueMs = startMs + event.atMs / speed;
      while (dueMs > crowd.now() && !signal.aborted) await pace.nextTick();
      if (signal.aborted) return;
      let viewer = viewers.get(event.viewer);
      if (viewer === undefined) {
        if (viewers.size >= viewersMax) throw new CommandFailure('usage', `the trace has more than ${viewersMax} viewers`);
        viewer = join(event.viewer);
        viewers.set(event.viewer, viewer);
      }
      viewer.tap(event.emoji, event.count, dueMs);
    }
  } finally {
    pace.stop();
  }
}

/** One timer for a whole recording instead of one for each event. */
function createPace(every: Replay['every']): { nextTick(): Promise<void>; stop(): void } {
  let wake: () => void = () => undefined;
  const stop = every(REPLAY_TICK_MS, () => wake());
  return { nextTick: () => new Promise((resolve) => (wake = resolve)), stop };
}
