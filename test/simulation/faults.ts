/**
 * The schedule of faults: what goes wrong, where, when and for how long, drawn from a seed.
 *
 * Each seed takes some of the kinds only, so that faults are met alone as well as in company. A schedule is data:
 * dropping parts of it gives another run of the same seed, which is how a failure is made small.
 */

import { seededRandom } from '../support/simulated-runtime.ts';

/** Those of the first schedules; seeds that found something are run with these, so that later kinds do not move them. */
export const FIRST_KINDS = [
  'cut', 'isolate', 'flap', 'delay',
  'lose', 'double', 'reorder', 'stale',
  'store-down', 'store-unknown', 'store-late', 'store-slow',
  'crash', 'crash-commit', 'crash-start', 'crash-derived', 'restart',
  'pause', 'zombie', 'twin',
  'journal-wiped', 'journal-rolled-back', 'crash-journal-lost', 'crash-journal-stale', 'crash-disk-lost',
  'log-down', 'log-unknown', 'log-slow', 'log-wiped', 'log-rolled-back', 'crash-log-wiped', 'crash-log-rolled-back',
  'queue-down', 'queue-unknown', 'database-down', 'database-slow', 'database-unknown',
  'clock-step',
  'client-loss', 'client-double', 'client-move', 'client-close',
  'mute', 'mute-back', 'lift', 'take-back', 'palette',
] as const;
const LATER_KINDS = ['mute-device', 'take-back-device', 'spread', 'reshard', 'end', 'queue-lost', 'crash-reshard', 'zombie-reshard'] as const;
export const FAULT_KINDS = [...FIRST_KINDS, ...LATER_KINDS] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Kinds after which a region has forgotten what it acknowledged: what it lost is documented, and then in doubt. */
export const LOSSY: ReadonlySet<FaultKind> = new Set(['crash-journal-lost', 'crash-journal-stale', 'crash-disk-lost']);

export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
  /** Which region, which other, and how much, as numbers that whoever carries it out interprets. */
  readonly where: number;
  readonly other: number;
  readonly much: number;
}

export interface Scenario {
  readonly seed: number;
  readonly regions: number;
  readonly shards: number;
  readonly clients: number;
  /** Viewers take what is unanswered along when they move. */
  readonly claims: boolean;
  readonly faultMs: number;
  readonly faults: readonly Fault[];
}

/** What people do, which harms less than machines and happens more. */
const HUMAN_KINDS: ReadonlySet<FaultKind> = new Set(['client-loss', 'client-double', 'client-move', 'client-close', 'mute', 'mute-back', 'lift', 'take-back', 'palette']);

/** Clocks are among them: a journal forgets by the clock, and the log is then the only copy. */
const DISKS: readonly (readonly FaultKind[])[] = [
  ['journal-wiped', 'journal-rolled-back', 'crash-journal-lost', 'crash-journal-stale', 'crash-disk-lost'],
  ['log-wiped', 'log-rolled-back', 'crash-log-wiped', 'crash-log-rolled-back'],
  ['clock-step'],
];

export function scenarioOf(seed: number, kinds: readonly FaultKind[] = FAULT_KINDS): Scenario {
  const next = seededRandom(seed ^ 0x5eed);
  const below = (limit: number): number => Math.floor(next() * limit);
  const faultMs = 6_000 + below(10_000);
  // One in six seeds loses state for good; of the others everything must come out to the tap.
  const lossy = next() < 1 / 6;
  // What is lost in two places at once is lost, so disks fail in one place a seed.
  const disk = DISKS[below(DISKS.length)]!;
  const chosen = FIRST_KINDS.filter((kind) => {
    if (!kinds.includes(kind)) return false;
    if (LOSSY.has(kind)) return lossy && disk.includes(kind);
    const share = HUMAN_KINDS.has(kind) ? 0.6 : 0.3;
    return next() < share && (disk.includes(kind) || !DISKS.some((other) => other.includes(kind)));
  });
  const faults: Fault[] = [];
  const count = chosen.length === 0 ? 0 : 4 + below(20);
  for (let index = 0; index < count; index++) {
    faults.push({
      kind: chosen[below(chosen.length)]!,
      atMs: 300 + below(faultMs - 300),
      forMs: 200 + below(next() < 0.3 ? 8_000 : 2_500),
      where: below(1_000),
      other: below(1_000),
      much: next(),
    });
  }
  // What is lost in a journal and a queue at once is lost, too.
  const later = chosen.some((kind) => DISKS[0]!.includes(kind)) ? kinds.filter((kind) => kind !== 'queue-lost') : kinds;
  faults.push(...laterFaults(seed, later, faultMs));
  faults.sort((one, other) => one.atMs - other.atMs);
  return { seed, regions: 3 + (next() < 0.25 ? 1 + below(2) : 0), shards: 1 + below(2), clients: 4 + below(7), claims: next() < 0.6, faultMs, faults };
}

/** Drawn apart, so that the schedule of the others stays as it is without them. */
function laterFaults(seed: number, kinds: readonly FaultKind[], faultMs: number): Fault[] {
  const next = seededRandom(seed ^ 0x1a7e5);
  const below = (limit: number): number => Math.floor(next() * limit);
  return LATER_KINDS.flatMap((kind): Fault[] => {
    // Streams that end take the longest to settle.
    const times = next() < (kind === 'end' ? 0.1 : 0.25) ? 1 + below(2) : 0;
    const faults = Array.from({ length: times }, () => ({
      kind, atMs: 300 + below(faultMs - 300), forMs: 200 + below(2_500), where: below(1_000), other: below(1_000), much: next(),
    }));
    return kinds.includes(kind) ? faults : [];
  });
}

export function describeFault({ kind, atMs, forMs, where, other, much }: Fault): string {
  return `${kind} at ${atMs} ms for ${forMs} ms (where ${where}, other ${other}, much ${much.toFixed(2)})`;
}
