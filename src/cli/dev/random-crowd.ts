/**
 * The synthetic crowd of a dev: so many taps a second over all regions, changed while it runs.
 *
 * Each viewer taps as a Poisson process, and none faster than a thumb. Which emoji the crowd likes
 * drifts with time, so that the charts of the live page have something to show.
 */

import { randomUUID } from 'node:crypto';
import type { Crowd, Player } from '../load/crowd.ts';
import type { GroundTruth } from '../load/ground-truth.ts';
import type { Viewer } from '../load/viewer.ts';

export const TAPS_PER_SECOND_MAX = 5_000;
const TAPS_PER_VIEWER = 8;
/** A few viewers in each region, however little they tap. */
const VIEWERS_PER_REGION_MIN = 4;
/** A viewer that has heard no welcome knows no emoji yet; one that left may still wait for answers. */
const LOOK_AGAIN_MS = 100;
const MOOD_MS = 500;

/** How many viewers share a rate. */
export function viewersFor(tapsPerSecond: number, regionCount: number): number {
  return tapsPerSecond <= 0 ? 0 : Math.max(Math.ceil(tapsPerSecond / TAPS_PER_VIEWER), VIEWERS_PER_REGION_MIN * regionCount);
}

/** The share of each of `count` emoji at a time, adding up to 1: slow waves of different lengths. */
export function moodAt(timeMs: number, count: number): number[] {
  const likings = Array.from({ length: count }, (_, index) => {
    const periodMs = 37_000 + 11_000 * index;
    return Math.exp(1.5 * Math.sin((2 * Math.PI * timeMs) / periodMs + 1.9 * index) - 0.22 * index);
  });
  const sum = likings.reduce((total, liking) => total + liking, 0);
  return likings.map((liking) => liking / sum);
}

export class RandomCrowd {
  readonly #crowd: Crowd;
  readonly #endpoints: readonly string[];
  readonly #stream: string;
  readonly #truth: GroundTruth;
  readonly #tappers: Tapper[] = [];
  #active = 0;
  #tapsPerSecond = 0;
  /** Grows with each change of the rate, so that tappers draw their next tap anew. */
  generation = 0;
  #palette: readonly string[] = [];
  #mood: readonly number[] = [];
  #moodUntil = 0;

  constructor(crowd: Crowd, endpoints: readonly string[], stream: string, truth: GroundTruth) {
    this.#crowd = crowd;
    this.#endpoints = endpoints;
    this.#stream = stream;
    this.#truth = truth;
  }

  get viewerCount(): number {
    return this.#active;
  }

  setRate(tapsPerSecond: number): void {
    this.#tapsPerSecond = tapsPerSecond;
    this.#active = viewersFor(tapsPerSecond, this.#endpoints.length);
    this.generation += 1;
    for (let index = this.#tappers.length; index < this.#active; index++) this.#tappers.push(new Tapper(this, this.#join(index), index));
    const now = this.#crowd.now();
    for (const tapper of this.#tappers) this.#crowd.plan(tapper, now);
  }

  wants(index: number): boolean {
    return index < this.#active;
  }

  /** Exponential: most taps come soon after the last one, and a few long after. */
  interval(): number {
    return (-Math.log(1 - this.#crowd.random()) * 1000 * this.#active) / this.#tapsPerSecond;
  }

  /** What the crowd feels like tapping now; null while no region has said what there is. */
  pickEmoji(nowMs: number): string | null {
    if (this.#palette.length === 0) return null;
    if (nowMs >= this.#moodUntil) {
      this.#mood = moodAt(nowMs, this.#palette.length);
      this.#moodUntil = nowMs + MOOD_MS;
    }
    let left = this.#crowd.random();
    const index = this.#mood.findIndex((share) => (left -= share) < 0);
    return this.#palette.at(index)!;
  }

  #join(index: number): Viewer {
    return this.#crowd.join({
      id: `crowd-${index}`,
      sessionId: randomUUID(),
      endpoint: this.#endpoints[index % this.#endpoints.length]!,
      stream: this.#stream,
      truth: this.#truth,
      stays: true,
      onWelcome: ({ palette }) => (this.#palette = Object.keys(palette)),
    });
  }
}

class Tapper implements Player {
  turnAt = Infinity;
  readonly #owner: RandomCrowd;
  readonly #viewer: Viewer;
  readonly #index: number;
  #generation = -1;
  #nextTapAt = 0;

  constructor(owner: RandomCrowd, viewer: Viewer, index: number) {
    this.#owner = owner;
    this.#viewer = viewer;
    this.#index = index;
  }

  turn(nowMs: number): number {
    const { generation } = this.#owner;
    if (!this.#owner.wants(this.#index)) return this.#leave(nowMs);
    if (this.#generation !== generation) {
      this.#generation = generation;
      this.#nextTapAt = nowMs + this.#owner.interval();
      this.#viewer.watch();
    }
    while (this.#nextTapAt <= nowMs) {
      const emoji = this.#owner.pickEmoji(nowMs);
      if (emoji === null) return nowMs + LOOK_AGAIN_MS;
      this.#viewer.tap(emoji, 1, this.#nextTapAt);
      this.#nextTapAt += this.#owner.interval();
    }
    return this.#nextTapAt;
  }

  #leave(nowMs: number): number {
    if (!this.#viewer.session.idle) return nowMs + LOOK_AGAIN_MS;
    if (this.#viewer.state !== 'closed') this.#viewer.hangUp();
    return Infinity;
  }
}
