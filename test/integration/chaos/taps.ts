/** The taps of a scenario: all groups of viewers, and the truth about what they were told. */

import { sleep } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import { GROUPS, type Group } from './groups.ts';
import { Homers } from './homers.ts';
import { Movers } from './movers.ts';
import type { Party } from './party.ts';
import { REGIONS, type RegionName } from './rig.ts';

export interface TapsOptions {
  /** Where a region serves now. */
  readonly endpointOf: (region: RegionName) => string;
  readonly stream: string;
  /** Those who come back, of each region. */
  readonly viewersPerRegion: number;
  readonly tapsPerSecond: number;
}

const CONNECT_MS_MAX = 20_000;
const POLL_MS = 20;
/** As many as come back, by this share, move. */
const MOVERS_SHARE = 0.3;

export class Taps {
  readonly truth = new GroundTruth();
  readonly #parties: ReadonlyMap<Group, Party>;
  #rejection: string | null = null;

  constructor({ endpointOf, stream, viewersPerRegion, tapsPerSecond }: TapsOptions) {
    const common = { stream, tapsPerSecond, truth: this.truth, onRejected: (reason: string) => void (this.#rejection = reason) };
    this.#parties = new Map(
      GROUPS.map((group): [Group, Party] => {
        const { home, emoji, moves } = group;
        if (!moves) return [group, new Homers({ ...common, emoji, count: viewersPerRegion, endpoint: () => endpointOf(home) })];
        const endpoints = [home, ...REGIONS.filter((region) => region !== home)].map(endpointOf);
        return [group, new Movers({ ...common, emoji, count: Math.ceil(viewersPerRegion * MOVERS_SHARE), endpoints })];
      }),
    );
  }

  get reconnects(): number {
    return this.#sum(({ reconnects }) => reconnects);
  }

  /** How often somebody went from one region to another. */
  get moves(): number {
    return this.#sum(({ moves }) => moves);
  }

  /** Viewers whose taps are not all answered. */
  get busyCount(): number {
    return this.#sum(({ busyCount }) => busyCount);
  }

  /** Why the service does not want one of them, for good. */
  get rejection(): string | null {
    return this.#rejection;
  }

  /** Taps of a group that were acknowledged as counted. */
  acknowledged({ emoji }: Group): number {
    return this.truth.byEmoji().get(emoji)?.min ?? 0;
  }

  partyOf(group: Group): Party {
    return this.#parties.get(group)!;
  }

  /** Resolves when all are connected. @throws when not all are welcomed */
  async gather(signal: AbortSignal): Promise<void> {
    const until = realRuntime.clock.now() + CONNECT_MS_MAX;
    for (const all = this.#sum(({ size }) => size); ; ) {
      const welcomed = this.#sum(({ connectedCount }) => connectedCount);
      if (welcomed === all) return;
      if (realRuntime.clock.now() > until) throw new Error(`only ${welcomed} of ${all} viewers were welcomed`);
      await sleep(realRuntime.timers, POLL_MS, signal);
      signal.throwIfAborted();
    }
  }

  start(): void {
    for (const party of this.#parties.values()) party.start();
  }

  stop(): void {
    for (const party of this.#parties.values()) party.stop();
  }

  /** What is unanswered then is in doubt. */
  disband(): void {
    for (const party of this.#parties.values()) party.close();
  }

  #sum(value: (party: Party) => number): number {
    let total = 0;
    for (const party of this.#parties.values()) total += value(party);
    return total;
  }
}
