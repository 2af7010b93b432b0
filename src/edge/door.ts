/**
 * The door of an edge: open until its region stops. From then on whoever comes is refused with 503 and a `Retry-After`,
 * each another one, while those who are inside are shown out. So is, for the moment, who comes when too many do.
 *
 * Upgrades, too, are refused in HTTP here, other than elsewhere: nothing is wrong with them that a page would have to
 * tell, and a load balancer that reads the status can take them to another edge at once.
 */

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Random } from '../../regions/runtime.ts';
import { Problem } from './problem.ts';
import { endWithProblem } from './problem-reply.ts';

/** Over how long those who are sent away are asked to spread their return. */
const SPREAD_MS = 5_000;

export class Door {
  readonly stats = { refusedAtDoor: 0 };
  readonly #random: Random;
  #isClosed = false;

  constructor(random: Random) {
    this.#random = random;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Who is sent away at the same time must not come back at the same time. */
  retryAfterMs(): number {
    return Math.floor(this.#random.next() * SPREAD_MS);
  }

  refusal(): Problem {
    this.stats.refusedAtDoor += 1;
    const detail = this.#isClosed ? 'This region is stopping' : 'Too many come at once';
    return new Problem('unavailable', `${detail}. Send the same to another region, or here again after a while.`, this.retryAfterMs());
  }

  /** Answers an upgrade for which it is too late, or too full. */
  turnAway(raw: Duplex): void {
    raw.on('error', () => raw.destroy());
    endWithProblem(raw as Socket, this.refusal());
  }
}
