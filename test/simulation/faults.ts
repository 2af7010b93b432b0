/**
 * The schedule of faults: what goes wrong, where, when and for how long, drawn from a seed.
 *
 * Each seed takes some of the kinds only, so that faults are met alone as well as in company. A schedule is data:
 * dropping parts of it gives another run of the same seed, which is how a failure is made small.
 */

import { seededRandom } from '../support/simulated-runtime.ts';
import { CRASH_PHASES, type CrashPoint } from './process.ts';

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
const LATER_KINDS = [
  'mute-device', 'take-back-device', 'spread', 'reshard', 'end', 'queue-lost', 'crash-reshard', 'zombie-reshard', 'crash-at', 'crash-all', 'crash-disk-stale',
] as const;
export const FAULT_KINDS = [...FIRST_KINDS, ...LATER_KINDS] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Kinds after which a region has forgotten what it acknowledged: what it lost is documented, and then in doubt. */
export const LOSSY: ReadonlySet<FaultKind> = new Set(['crash-journal-lost', 'crash-journal-stale', 'crash-disk-lost', 'crash-disk-stale']);

export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
  /** Which region, which other, and how much, as numbers that whoever carries it out interprets. */
  readonly where: number;
  readonly other: number;
  readonly much: number;
  /** Of `crash-at`: where the process dies. */
  readonly point?: CrashPoint;
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
  /** How many times as long as usual viewers wait between taps; 1 when absent. */
  readonly calm?: number;
}

/** All that a process asks of a server: when it starts, while it counts and replicates, and when it stops. */
export const REQUESTS = {
  start: ['recover', 'begin', 'catch up', 'open'],
  run: ['commit', 'append', 'publish', 'store', 'queue', 'forget', 'remove'],
  stop: ['close'],
} as const;

/** What people do, which harms less than machines and happens more. */
const HUMAN_KINDS: ReadonlySet<FaultKind> = new Set(['client-loss', 'client-double', 'client-move', 'client-close', 'mute', 'mute-back', 'lift', 'take-back', 'palette']);

/** Clocks are among them: a journal forgets by the clock, and the log is then the only copy. */
const DISKS: readonly (readonly FaultKind[])[] = [
  ['journal-wiped', 'journal-rolled-back', 'crash-journal-lost', 'crash-journal-stale', 'crash-disk-lost', 'crash-disk-stale'],
  ['log-wiped', 'log-rolled-back', 'crash-log-wiped', 'crash-log-rolled-back'],
  ['clock-step'],
];

export function scenarioOf(seed: number, kinds: readonly FaultKind[] = FAULT_KINDS): Scenario {
  const next = seededRandom(seed ^ 0x5eed);
  const below = (limit: number): number => Math.floor(next() * limit);
  const faultMs = 6_000 + below(10_000);
  // One in six seeds loses state for good; of the others everything must come out to the tap.
  const lossy = next() < 1 / 6;
  // What is lost in two places at once is lost, so disks fail in one way a seed; in others too, where each has a region of its own.
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
  if (kinds === FAULT_KINDS) spreadDisks(seed, faults, disk, faultMs);
  const fails = (place: readonly FaultKind[]): boolean => faults.some(({ kind }) => place.includes(kind)) || chosen.some((kind) => place.includes(kind));
  const later = kinds.filter((kind) => {
    if (kind === 'crash-disk-stale') return lossy && disk === DISKS[0] && !fails(DISKS[1]!) && !fails(DISKS[2]!);
    // What is lost in a journal and a queue at once is lost, too.
    return kind !== 'queue-lost' || !(fails(DISKS[0]!) || lossy);
  });
  faults.push(...laterFaults(seed, later, faultMs));
  faults.sort((one, other) => one.atMs - other.atMs);
  return { seed, regions: 3 + (next() < 0.25 ? 1 + below(2) : 0), shards: 1 + below(2), clients: 4 + below(7), claims: next() < 0.6, faultMs, faults };
}

/** In some seeds the other disks fail as well, each kind in one region alone. Drawn apart, as `laterFaults`. */
function spreadDisks(seed: number, faults: Fault[], disk: readonly FaultKind[], faultMs: number): void {
  const next = seededRandom(seed ^ 0xd15c5);
  const below = (limit: number): number => Math.floor(next() * limit);
  if (next() >= 0.25) return;
  const first = below(3);
  // Numbers of regions are remainders by 3, 4 or 5.
  const at = (place: number): number => 60 * below(16) + ((first + place) % 3);
  for (const [place, kinds] of DISKS.entries()) {
    for (const [index, fault] of faults.entries()) if (kinds.includes(fault.kind)) faults[index] = { ...fault, where: at(place) };
    const others = kinds.filter((kind) => !LOSSY.has(kind));
    for (let times = kinds === disk ? 0 : 1 + below(2); times > 0; times--) {
      faults.push({ kind: others[below(others.length)]!, atMs: 300 + below(faultMs - 300), forMs: 200 + below(2_500), where: at(place), other: below(1_000), much: next() });
    }
  }
}

/** Of seeds: streams that end take the longest to settle, and disks are put back in few seeds only. */
const SHARES: { readonly [Kind in FaultKind]?: number } = { end: 0.1, 'crash-disk-stale': 1 };

/** Drawn apart, so that the schedule of the others stays as it is without them. */
function laterFaults(seed: number, kinds: readonly FaultKind[], faultMs: number): Fault[] {
  const next = seededRandom(seed ^ 0x1a7e5);
  const below = (limit: number): number => Math.floor(next() * limit);
  return LATER_KINDS.flatMap((kind): Fault[] => {
    const times = next() < (SHARES[kind] ?? 0.25) ? 1 + below(2) : 0;
    const faults = Array.from({ length: times }, (): Fault => {
      const fault = { kind, atMs: 300 + below(faultMs - 300), forMs: 200 + below(2_500), where: below(1_000), other: below(1_000), much: next() };
      return kind === 'crash-at' ? { ...fault, point: crashPoint(below) } : fault;
    });
    return kinds.includes(kind) ? faults : [];
  });
}

function crashPoint(below: (limit: number) => number): CrashPoint {
  const requests = Object.values(REQUESTS).flat();
  return { request: requests[below(requests.length)]!, phase: CRASH_PHASES[below(4)]!, hops: below(12), skip: below(6) };
}

export function describeFault({ kind, atMs, forMs, where, other, much, point }: Fault): string {
  const place = point === undefined ? '' : ` ${point.phase} ${point.request} ${point.skip + 1}, ${point.hops} hops`;
  return `${kind}${place} at ${atMs} ms for ${forMs} ms (where ${where}, other ${other}, much ${much.toFixed(2)})`;
}
