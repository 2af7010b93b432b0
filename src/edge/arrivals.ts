/**
 * Viewers who come wait here for their turn, so that a crowd that comes all at once neither starves those who are inside nor
 * itself [EDGE-74].
 *
 * Upgrades are let in for a few milliseconds at a time; between, whatever else there is gets its turn. Who left while waiting
 * is passed over: when the wait is longer than clients' patience, all who are first in line have left, and welcoming
 * them would take the time in which the next ones lose theirs. Beyond a bound who comes is refused with 503.
 */

import type { Duplex } from 'node:stream';
import type { Runtime } from '../../regions/runtime.ts';
import type { Door } from './door.ts';

const WAITING_MAX = 8_192;
/** Of a turn of the event loop, for all arrivals together. */
const TURN_MS = 4;

interface Arrival {
  readonly raw: Duplex;
  readonly enter: () => void;
  readonly round: number;
}

export class Arrivals {
  readonly stats = { arrivalsWaiting: 0, arrivalsGone: 0 };
  readonly #runtime: Runtime;
  readonly #door: Door;
  readonly #waitingMax: number;
  #line: Arrival[] = [];
  #taken = 0;
  #round = 0;
  #isScheduled = false;

  constructor(runtime: Runtime, door: Door, waitingMax = WAITING_MAX) {
    this.#runtime = runtime;
    this.#door = door;
    this.#waitingMax = waitingMax;
  }

  /** Calls `enter` when it is its turn, unless the other side has gone or the door has closed by then. */
  add(raw: Duplex, enter: () => void): void {
    raw.on('error', () => raw.destroy());
    if (this.stats.arrivalsWaiting >= this.#waitingMax) return this.#door.turnAway(raw);
    this.#line.push({ raw, enter, round: this.#round });
    this.#measure();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.stats.arrivalsWaiting === 0) return;
    this.#isScheduled = true;
    this.#runtime.timers.after(0, () => {
      this.#isScheduled = false;
      this.#turn();
      this.#schedule();
    });
  }

  #turn(): void {
    const { clock } = this.#runtime;
    const until = clock.now() + TURN_MS;
    const round = this.#round++;
    while (this.#taken < this.#line.length && clock.now() < until) {
      const { raw, enter, round: since } = this.#line[this.#taken]!;
      // That it has gone is known only once its socket was looked at again.
      if (since === round) break;
      this.#taken += 1;
      if (this.#door.isClosed) this.#door.turnAway(raw);
      else if (raw.destroyed || raw.readableEnded) this.#passOver(raw);
      else enter();
    }
    if (this.#taken === this.#line.length || this.#taken > this.#waitingMax) {
      this.#line = this.#line.slice(this.#taken);
      this.#taken = 0;
    }
    this.#measure();
  }

  #passOver(raw: Duplex): void {
    this.stats.arrivalsGone += 1;
    raw.destroy();
  }

  #measure(): void {
    this.stats.arrivalsWaiting = this.#line.length - this.#taken;
  }
}
