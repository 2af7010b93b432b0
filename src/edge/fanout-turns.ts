/**
 * The turns of the fan-out: what is to be written to a crowd is written to some of it in each turn of the event loop.
 *
 * Between, whatever else there is gets its turn: Node accepts one connection in each, and a frame to ten thousand sockets is
 * tens of milliseconds of work. Crowds that wait take turns, too. It is counted in sockets and not in time, because a process that
 * gets little of a processor would have its time taken by others and write next to nothing. But when the rest takes long, the next turn
 * writes the more, so that frames keep their share of the time however much there is to be read.
 */

import type { Clock, Runtime, Timers } from '../../regions/runtime.ts';

/** Of a turn, for all crowds together: one or two milliseconds of work. */
export const VISITS_PER_TURN = 256;
/** For each millisecond that the rest took: about a fifth as long. */
const VISITS_PER_MS_OF_REST = 32;
/** One crowd's share, while others wait. */
const VISITS_PER_SHARE = 64;
/** About as long as a turn's visits: half of the time is for the rest, in turns as short as they come. */
const REST_MS = 1;

/** So many visits are left to be made. */
export interface Crowd {
  left: number;
}

export class Turns<C extends Crowd> {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #visitNext: (crowd: C) => void;
  /** Who has waited longest is first. */
  readonly #waiting = new Set<C>();
  #isScheduled = false;
  #restsSince = 0;

  /** `visitNext` visits one of the crowd, the next one each time. */
  constructor({ clock, timers }: Pick<Runtime, 'clock' | 'timers'>, visitNext: (crowd: C) => void) {
    this.#clock = clock;
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
    this.#restsSince = this.#clock.now();
    this.#timers.after(REST_MS, () => {
      this.#isScheduled = false;
      this.#turn();
      this.#schedule();
    });
  }

  #turn(): void {
    const restedMs = this.#clock.now() - this.#restsSince;
    let visits = Math.max(VISITS_PER_TURN, Math.floor(VISITS_PER_MS_OF_REST * restedMs));
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
