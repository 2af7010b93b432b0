/**
 * Lateness: which peer regions were not heard for a while, as far as frames care. Pure but for the
 * little it remembers; time is handed in.
 *
 * A region that speaks again first brings what it counted while it was cut off. Until that had time
 * to arrive it stays late, so that old reactions are not shown as applause of this very moment.
 */

/** A peer speaks every second. Beyond this it missed more than a busy machine explains: it is behind. */
const BEHIND_MS = 3_000;
/** Beyond this players should say that a region is missing. */
const LOST_MS = 10_000;
/** How long a region that is heard again counts as late. */
const CATCH_UP_MS = 2_000;

export interface Lateness {
  observe(staleness: Readonly<Record<string, number | null>>, at: number): void;
  readonly regions: ReadonlySet<string>;
  /** A text that changes when any region goes from one class of staleness to another. */
  classes(staleness: Readonly<Record<string, number | null>>): string;
}

export function createLateness(): Lateness {
  const lateUntil = new Map<string, number>();
  const regions = new Set<string>();
  return {
    regions,

    observe(staleness, at) {
      for (const [region, ageMs] of Object.entries(staleness)) {
        if (ageMs === null || ageMs > BEHIND_MS) lateUntil.set(region, at + CATCH_UP_MS);
        if (at < (lateUntil.get(region) ?? -Infinity)) regions.add(region);
        else regions.delete(region);
      }
    },

    classes(staleness) {
      return Object.entries(staleness)
        .map(([region, ageMs]) => `${region}:${classOf(ageMs)}`)
        .join(' ');
    },
  };
}

function classOf(ageMs: number | null): 'unknown' | 'fresh' | 'behind' | 'lost' {
  if (ageMs === null) return 'unknown';
  if (ageMs <= BEHIND_MS) return 'fresh';
  return ageMs <= LOST_MS ? 'behind' : 'lost';
}
