/**
 * The turns of the fan-out: what is to be written to a crowd is written to some of it in each turn of the event loop.
 *
 * Between, whatever else there is gets its turn: Node accepts one connection in each, and a frame to ten thousand sockets is
 * tens of milliseconds of work. Crowds that wait take turns, too. It is counted in sockets and not in time, because a process that
 * gets little of a processor would have its time taken by others and write next to nothing.
 */

import type { Timers } from '../../regions/runtime.ts';

/** Of a turn, for all crowds together: one or two milliseconds of work. */
export const VISITS_PER_TURN = 256;
/** One crowd's share, while others wait. */
const VISITS_PER_SHARE = 64;
/** About as long as a turn's visits: half of the time is for the rest, in turns as short as they come. */
const REST_MS = 1;

/** So many visits are left to be made. */
export interface Crowd {
  left: number;
}

export class Turns<C extends Crowd> {
  readonly #timers: Timers;
  readonly #visitNext: (crowd: C) => void;
  /** Who has waited longest is first. */
  readonly #waiting = new Set<C>();
  #isScheduled = false;

  /** `visitNext` visits one of the crowd, the next one each time. */
  constructor(timers: Timers, visitNext: (crowd: C) => void) {
    this.#timers = timers;
    this.#visitNext = visitNext;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whoever waits already keeps its place. */
  add(crowd: C): void {
    this.#waiting.add(crowd);
    this.#schedule();
  }

  remove(crowd: C): void {
    this.#waiting.delete(crowd);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#timers.after(REST_MS, () => {
      this.#isScheduled = false;
      this.#turn();
      this.#schedule();
    });
  }

  #turn(): void {
    let visits = VISITS_PER_TURN;
    // Who is put back comes up again in this same loop.
    for (const crowd of this.#waiting) {
      if (visits === 0) return;
      this.#waiting.delete(crowd);
      for (let share = Math.min(visits, VISITS_PER_SHARE); share > 0 && crowd.left > 0; share--) {
        visits -= 1;
        crowd.left -= 1;
        this.#visitNext(crowd);
      }
      if (crowd.left > 0) this.#waiting.add(crowd);
    }
  }
}
