/**
 * From frames to particles: how many of each emoji to let rise, and when. Pure: time and randomness
 * are handed in.
 *
 * Driven by the rates and hints of frames, never by their number. Up to 4 reactions a second the crowd
 * is shown one to one; beyond, sublinearly, so that a million a second are 87 particles (OVL-1). What a
 * frame asks for is spread over the time until the next one (OVL-3).
 */

/** The numbers of a frame that matter here. */
export interface CrowdFrame {
  readonly level: 'exact' | 'relaxed' | 'hearts' | 'static';
  /** Emoji → smoothed reactions per second. */
  readonly rates: Readonly<Record<string, number>>;
  /** Emoji → how many reactions to show as new. */
  readonly hints: Readonly<Record<string, number>>;
}

/** Starts a particle of an emoji that should have started `ageMs` ago, or, when negative, shall start later. */
export type Emit = (emoji: string, ageMs: number) => void;

/** What `hearts` and `static` fold all emoji into. Not an emoji id, so no stream's emoji is meant by it. */
export const HEARTS = '<hearts>';
/** Particles started per second at most, all emoji together. */
export const SPAWNS_PER_SECOND_MAX = 90;
/** Emoji that are shown at the same time at most. */
export const LANES_MAX = 64;
/** At `static` hearts rise by themselves, so many a second. */
export const STATIC_PER_SECOND = 1.5;

const ONE_TO_ONE_PER_SECOND = 4;
const BEND = 7;
const INTERVAL_MS = 250;
const INTERVAL_MS_MIN = 50;
/** Longer gaps are silence, not cadence: a quiet stream has a frame every 2 s. */
const INTERVAL_MS_MAX = 1_250;
const INTERVAL_WEIGHT = 0.25;
/** A frame's share lasts so much longer than the interval, so that one that is a little late leaves no gap. */
const STRETCH = 1.25;
const DELAY_MS_MAX = 120;
/** A lone reaction starts once this much of it has come in, and what rounding adds to it starts no second one. */
const THRESHOLD = 0.25;
const ECHOES_MAX = 8;
const ECHO_MS_MAX = 3_000;

interface Lane {
  /** Particles that the frames so far still ask for. */
  credit: number;
  /** Particles per second now. */
  speed: number;
  /** Grows with the credit that is used up; a particle starts, and takes 1 off, whenever it is above 0. */
  phase: number;
  /** When the viewer's own last tap was shown ahead of its frame. */
  echoedAt: number;
}

/**
 * The sublinear law: particles per second for a crowd's reactions per second.
 *
 * `r` up to 4, then `4 + 7·ln(1 + (r − 4) / 7)`: smooth, concave, hence never more than `r`.
 * 10 → 8.3, 100 → 23, 1,000 → 39, 1,000,000 → 87.
 */
export function particlesPerSecond(ratePerSecond: number): number {
  if (!(ratePerSecond > 0)) return 0;
  if (ratePerSecond <= ONE_TO_ONE_PER_SECOND) return ratePerSecond;
  return Math.min(SPAWNS_PER_SECOND_MAX, ONE_TO_ONE_PER_SECOND + BEND * Math.log1p((ratePerSecond - ONE_TO_ONE_PER_SECOND) / BEND));
}

export class SpawnPlan {
  readonly #lanes = new Map<string, Lane>();
  readonly #random: () => number;
  #intervalMs = INTERVAL_MS;
  #frameAt = Number.NEGATIVE_INFINITY;
  #level: CrowdFrame['level'] = 'exact';

  /** `random` is uniform in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** True while nothing will start, however long one waits. */
  get idle(): boolean {
    for (const lane of this.#lanes.values()) if (lane.credit > 0) return false;
    return true;
  }

  /** Emoji that something is kept of: 128 at most. */
  get size(): number {
    return this.#lanes.size;
  }

  /** Takes a frame in that arrived at `now`, in milliseconds of any clock. */
  heed(frame: CrowdFrame, now: number): void {
    const gapMs = Math.max(INTERVAL_MS_MIN, now - this.#frameAt);
    const silent = gapMs > INTERVAL_MS_MAX;
    if (!silent) this.#intervalMs += (gapMs - this.#intervalMs) * INTERVAL_WEIGHT;
    this.#frameAt = now;
    this.#level = frame.level;
    const demands = this.#demandsOf(frame);
    this.#retire(demands, now, silent);
    if (frame.level === 'static') {
      const lane = this.#laneOf(HEARTS);
      lane.credit = Number.POSITIVE_INFINITY;
      lane.speed = STATIC_PER_SECOND;
    } else {
      this.#share(demands);
      this.#pace();
    }
  }

  /**
   * The viewer's own tap is shown at once, and the frame that brings it shall not show it again.
   * Returns what to show.
   */
  echo(emoji: string, now: number): string {
    if (this.#level === 'static') return HEARTS;
    const shown = this.#level === 'hearts' ? HEARTS : emoji;
    if (this.#lanes.size < LANES_MAX || this.#lanes.has(shown)) {
      const lane = this.#laneOf(shown);
      lane.phase = Math.max(lane.phase - 1, -ECHOES_MAX);
      lane.echoedAt = now;
    }
    return shown;
  }

  /** Lets `elapsedMs` pass. */
  advance(elapsedMs: number, emit: Emit): void {
    for (const [emoji, lane] of this.#lanes) {
      const used = Math.min(lane.credit, (lane.speed * elapsedMs) / 1000);
      if (!(used > 0)) continue;
      lane.credit -= used;
      lane.phase += used;
      const delayMs = Math.min(DELAY_MS_MAX, 800 / lane.speed);
      for (; lane.phase > 0; lane.phase -= 1) {
        emit(emoji, (lane.phase / lane.speed) * 1000 - this.#random() * delayMs);
      }
    }
  }

  /** Forgets what is still due: the stage goes dark or another stream is shown. */
  clear(): void {
    this.#lanes.clear();
    this.#level = 'exact';
    this.#frameAt = Number.NEGATIVE_INFINITY;
    this.#intervalMs = INTERVAL_MS;
  }

  /**
   * Reactions per second that the frame shows, by emoji.
   *
   * A hint is exact and comes in bursts, a rate is smooth and late. Both add up to the same number of
   * reactions in the long run, hence so does their mean, and at once half of a burst is seen.
   */
  #demandsOf({ level, rates, hints }: CrowdFrame): Map<string, number> {
    const demands = new Map<string, number>();
    if (level === 'static') return demands.set(HEARTS, STATIC_PER_SECOND);
    for (const emoji of new Set([...Object.keys(hints), ...Object.keys(rates)])) {
      const demand = (finite(hints[emoji]) * 1000) / this.#intervalMs / 2 + finite(rates[emoji]) / 2;
      if (demand <= 0) continue;
      if (level === 'hearts') demands.set(HEARTS, (demands.get(HEARTS) ?? 0) + demand);
      else if (demands.size < LANES_MAX) demands.set(emoji, demand);
    }
    return demands;
  }

  /**
   * Drops the lanes that have nothing left, and those of another rung of the ladder. After silence also
   * the fractions that are left over begin anew.
   */
  #retire(demands: ReadonlyMap<string, number>, now: number, silent: boolean): void {
    const folded = demands.has(HEARTS);
    for (const [emoji, lane] of this.#lanes) {
      const echoes = now - lane.echoedAt <= ECHO_MS_MAX;
      // What was echoed and has not come back by now was not counted; the crowd's next one is shown.
      if (!echoes && lane.phase < -1) lane.phase = -THRESHOLD;
      const endless = lane.credit === Number.POSITIVE_INFINITY;
      const waits = lane.credit > 0 || echoes;
      const wanted = demands.has(emoji);
      const goesOn = wanted ? waits || !silent : waits && !folded && this.#lanes.size <= LANES_MAX;
      if (!goesOn) this.#lanes.delete(emoji);
      else if (endless) lane.credit = 0;
    }
  }

  /**
   * Shares what the whole crowd is worth out among its emoji, each weighted as if it were alone: an
   * emoji of one tap a second is still seen beside one of a million.
   */
  #share(demands: ReadonlyMap<string, number>): void {
    let crowd = 0;
    let weights = 0;
    for (const demand of demands.values()) {
      crowd += demand;
      weights += particlesPerSecond(demand);
    }
    const due = (particlesPerSecond(crowd) * this.#intervalMs) / 1000;
    for (const [emoji, demand] of demands) this.#laneOf(emoji).credit += (due * particlesPerSecond(demand)) / weights;
  }

  /** Sets the speeds so that the credit lasts until the next frame; credit beyond the bound is forgotten. */
  #pace(): void {
    const seconds = (STRETCH * this.#intervalMs) / 1000;
    let credit = 0;
    for (const lane of this.#lanes.values()) credit += lane.credit;
    const kept = Math.min(1, (SPAWNS_PER_SECOND_MAX * seconds) / credit);
    for (const lane of this.#lanes.values()) {
      lane.credit *= kept;
      lane.speed = lane.credit / seconds;
    }
  }

  #laneOf(emoji: string): Lane {
    let lane = this.#lanes.get(emoji);
    if (lane === undefined) {
      lane = { credit: 0, speed: 0, phase: -THRESHOLD, echoedAt: Number.NEGATIVE_INFINITY };
      this.#lanes.set(emoji, lane);
    }
    return lane;
  }
}

function finite(value: number | undefined): number {
  return value !== undefined && value > 0 ? Math.min(value, Number.MAX_SAFE_INTEGER) : 0;
}
