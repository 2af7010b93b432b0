/**
 * The particles of the overlay: glyphs that rise, sway and fade. Pure: time and randomness are handed in.
 *
 * So many and no more (OVL-4). One column of numbers for each property, allocated once: an animation
 * frame allocates nothing. The columns are kept in order of birth, so that none jumps before another.
 */

/** How many there are at most. At the usual pace of the spawn plan about 230 are in the air. */
export const PARTICLES_MAX = 300;
const LIFE_MS_MIN = 2_000;
const LIFE_MS_MAX = 3_200;
const SWAY_PX_MIN = 6;
const SWAY_PX_MAX = 20;
const SCALE_MIN = 0.7;
/** The largest particle, compared with a glyph. */
export const SCALE_MAX = 1.25;
const SWAYS_PER_LIFE = 1.2;
/** The share of a life in which a particle grows to its size, and that in which it fades. */
const GROWING = 0.1;
const FADING = 0.45;

export class Particles {
  readonly capacity: number;
  /** The first `count` of each column are alive. */
  count = 0;
  readonly sprite: Uint8Array;
  /** What to draw after `step`: the centre and the size in pixels, and the opacity; 0 is not drawn. */
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly size: Float32Array;
  readonly opacity: Float32Array;
  readonly #age: Float32Array;
  readonly #life: Float32Array;
  readonly #across: Float32Array;
  readonly #sway: Float32Array;
  readonly #turn: Float32Array;
  readonly #scale: Float32Array;
  readonly #random: () => number;

  /** `random` is uniform in [0, 1). */
  constructor(random: () => number, capacity = PARTICLES_MAX) {
    this.capacity = capacity;
    this.#random = random;
    this.sprite = new Uint8Array(capacity);
    const column = (): Float32Array => new Float32Array(capacity);
    [this.x, this.y, this.size, this.opacity] = [column(), column(), column(), column()];
    [this.#age, this.#life, this.#across] = [column(), column(), column()];
    [this.#sway, this.#turn, this.#scale] = [column(), column(), column()];
  }

  /**
   * Adds one; when all places are taken, the one that has the least of its life left gives way.
   *
   * `sprite` is the index of what to draw, `ageMs` negative for one that shall start later, `across` from
   * 0, left, to 1, right, and `slowness` 1 for the usual life.
   */
  spawn(sprite: number, ageMs: number, across: number, slowness = 1): void {
    const index = this.count < this.capacity ? this.count++ : this.#nearestToItsEnd();
    this.sprite[index] = sprite;
    this.opacity[index] = 0;
    this.#age[index] = ageMs;
    this.#life[index] = this.#between(LIFE_MS_MIN, LIFE_MS_MAX) * slowness;
    this.#across[index] = across;
    this.#sway[index] = this.#between(SWAY_PX_MIN, SWAY_PX_MAX);
    this.#turn[index] = this.#between(0, 2 * Math.PI);
    this.#scale[index] = this.#between(SCALE_MIN, SCALE_MAX);
  }

  /** Lets time pass, retires those whose life is over, and places the others on a stage of that size. */
  step(elapsedMs: number, width: number, height: number, glyphPx: number): void {
    let kept = 0;
    for (let index = 0; index < this.count; index++) {
      const age = this.#age[index]! + elapsedMs;
      if (age >= this.#life[index]!) continue;
      if (kept !== index) this.#move(index, kept);
      this.#age[kept] = age;
      this.#place(kept, age / this.#life[kept]!, width, height, glyphPx);
      kept++;
    }
    this.count = kept;
  }

  clear(): void {
    this.count = 0;
  }

  /** `t` is the share of its life that is over. */
  #place(index: number, t: number, width: number, height: number, glyphPx: number): void {
    if (t < 0) {
      this.opacity[index] = 0;
      return;
    }
    // Fast at first, then slower, like something light that rises.
    const risen = 1 - (1 - t) ** 1.6;
    const scale = this.#scale[index]!;
    const swing = Math.sin(this.#turn[index]! + t * SWAYS_PER_LIFE * 2 * Math.PI) * Math.min(1, t * 4);
    const full = glyphPx * scale;
    this.size[index] = full * Math.min(1, 0.3 + (0.7 * t) / GROWING);
    this.opacity[index] = Math.min(1, (1 - t) / FADING);
    this.x[index] = this.#across[index]! * width + swing * this.#sway[index]! * scale;
    // Small ones look far away and end lower, which gives the crowd some depth.
    this.y[index] = height + full / 2 - risen * (height * (0.62 + 0.3 * scale) + full / 2);
  }

  #move(from: number, to: number): void {
    this.sprite[to] = this.sprite[from]!;
    this.#life[to] = this.#life[from]!;
    this.#across[to] = this.#across[from]!;
    this.#sway[to] = this.#sway[from]!;
    this.#turn[to] = this.#turn[from]!;
    this.#scale[to] = this.#scale[from]!;
  }

  #nearestToItsEnd(): number {
    let nearest = 0;
    let leastMs = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.count; index++) {
      const leftMs = this.#life[index]! - this.#age[index]!;
      if (leftMs >= leastMs) continue;
      leastMs = leftMs;
      nearest = index;
    }
    return nearest;
  }

  #between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }
}
