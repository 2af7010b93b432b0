/** The taps of a scenario: viewers at home in each region, as the player SDK behaves, and the truth about what they were told. */

import { randomUUID } from 'node:crypto';
import { sleep } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import { Crowd } from '../../../src/cli/load/crowd.ts';
import { RandomTapper } from '../../../src/cli/load/crowd-source.ts';
import { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import type { Viewer } from '../../../src/cli/load/viewer.ts';
import { WIRES } from '../../../src/cli/load/wire.ts';
import { DEFAULT_BASE } from '../../../src/moderation/policy.ts';

export interface TapsOptions {
  readonly endpoints: readonly string[];
  readonly stream: string;
  readonly viewersPerRegion: number;
  readonly tapsPerSecond: number;
}

const CONNECT_MS_MAX = 20_000;
const POLL_MS = 20;

export class Taps {
  readonly truth = new GroundTruth();
  readonly #crowd: Crowd;
  readonly #viewers: readonly Viewer[];
  readonly #tapsPerSecond: number;
  #rejection: string | null = null;
  #tapping: AbortController | null = null;

  constructor({ endpoints, stream, viewersPerRegion, tapsPerSecond }: TapsOptions) {
    this.#crowd = new Crowd({
      runtime: realRuntime,
      wire: WIRES.msgpack,
      mintToken: null,
      connectionsMax: endpoints.length * viewersPerRegion,
      onRejected: (viewer, code, reason) => (this.#rejection = `${viewer} was turned away for good: ${code} ${reason}`),
    });
    this.#viewers = endpoints.flatMap((endpoint, region) =>
      Array.from({ length: viewersPerRegion }, (_, index) =>
        this.#crowd.join({ id: `viewer-${region}-${index}`, sessionId: randomUUID(), endpoint, stream, truth: this.truth, stays: true }),
      ),
    );
    this.#tapsPerSecond = tapsPerSecond;
  }

  get reconnects(): number {
    return this.#crowd.reconnectCount;
  }

  /** Viewers whose taps are not all answered. */
  get busyCount(): number {
    return this.#crowd.busyCount;
  }

  /** Why the service does not want one of them, for good. */
  get rejection(): string | null {
    return this.#rejection;
  }

  /** Connects all. @throws when not all are welcomed */
  async gather(signal: AbortSignal): Promise<void> {
    for (const viewer of this.#viewers) viewer.watch();
    const until = realRuntime.clock.now() + CONNECT_MS_MAX;
    while (this.#crowd.openCount < this.#viewers.length) {
      if (realRuntime.clock.now() > until) throw new Error(`only ${this.#crowd.openCount} of ${this.#viewers.length} viewers were welcomed`);
      await sleep(realRuntime.timers, POLL_MS, signal);
      signal.throwIfAborted();
    }
  }

  start(): void {
    const tapping = new AbortController();
    this.#tapping = tapping;
    const emoji = [...DEFAULT_BASE.palette.keys()];
    for (const viewer of this.#viewers) {
      this.#crowd.plan(new RandomTapper(this.#crowd, viewer, this.#tapsPerSecond, emoji, tapping.signal), this.#crowd.now());
    }
  }

  stop(): void {
    this.#tapping?.abort();
  }

  /** What is unanswered then is in doubt. */
  disband(): void {
    this.stop();
    this.#crowd.disband();
  }
}
