/**
 * A limit on how many reactions a viewer may post over HTTP in a second, in constant memory.
 *
 * Viewers are hashed into a fixed number of counters that start again each second. Two viewers who
 * share a counter share the limit for that second; it is far above what a viewer's client sends.
 */

import { hashText } from '../../crdt/digest.ts';
import type { Clock } from '../../regions/runtime.ts';

const COUNTERS = 65_536;
const SEED = 0x1f3d5b79;

export class PostLimiter {
  readonly #clock: Clock;
  readonly #perSecondMax: number;
  readonly #counters = new Uint32Array(COUNTERS);
  #second = 0;

  constructor(clock: Clock, perSecondMax: number) {
    this.#clock = clock;
    this.#perSecondMax = perSecondMax;
  }

  admits(viewer: string): boolean {
    const second = Math.floor(this.#clock.now() / 1000);
    if (second !== this.#second) {
      this.#counters.fill(0);
      this.#second = second;
    }
    const slot = (hashText(viewer, SEED) >>> 0) % COUNTERS;
    const posts = this.#counters[slot]! + 1;
    this.#counters[slot] = posts;
    return posts <= this.#perSecondMax;
  }
}
