/** Viewers who come back to their region, whatever happens to it: the crowd of `ovation load`. */

import { randomUUID } from 'node:crypto';
import { realRuntime } from '../../../src/base/runtime.ts';
import { Crowd } from '../../../src/cli/load/crowd.ts';
import { RandomTapper } from '../../../src/cli/load/crowd-source.ts';
import type { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import type { Viewer } from '../../../src/cli/load/viewer.ts';
import { WIRES } from '../../../src/cli/load/wire.ts';
import type { Party, PartyOptions } from './party.ts';

export interface HomersOptions extends PartyOptions {
  /** Where the region serves now, as behind a load balancer: asked for each connection. */
  readonly endpoint: () => string;
  readonly truth: GroundTruth;
}

export class Homers implements Party {
  readonly moves = 0;
  readonly #options: HomersOptions;
  readonly #crowd: Crowd;
  readonly #viewers: readonly Viewer[];
  #isDeaf = false;
  #tapping: AbortController | null = null;

  constructor(options: HomersOptions) {
    const { count, endpoint, stream, emoji, truth, onRejected } = options;
    this.#options = options;
    this.#crowd = new Crowd({
      runtime: realRuntime,
      // Frames are what this crowd does not listen to.
      wire: { ...WIRES.msgpack, isFrame: (bytes) => this.#isDeaf || WIRES.msgpack.isFrame(bytes) },
      mintToken: null,
      connectionsMax: count,
      onRejected: (viewer, code, reason) => onRejected(`${viewer} was turned away for good: ${code} ${reason}`),
    });
    this.#viewers = Array.from({ length: count }, (_, index) =>
      this.#crowd.join({
        id: `${emoji}-${index}`,
        sessionId: randomUUID(),
        get endpoint() {
          return endpoint();
        },
        stream,
        truth,
        stays: true,
      }),
    );
    for (const viewer of this.#viewers) viewer.watch();
  }

  get size(): number {
    return this.#viewers.length;
  }

  get connectedCount(): number {
    return this.#crowd.openCount;
  }

  get busyCount(): number {
    return this.#crowd.busyCount;
  }

  get reconnects(): number {
    return this.#crowd.reconnectCount;
  }

  start(): void {
    this.stop();
    const { emoji, tapsPerSecond } = this.#options;
    const { signal } = (this.#tapping = new AbortController());
    for (const viewer of this.#viewers) this.#crowd.plan(new RandomTapper(this.#crowd, viewer, tapsPerSecond, [emoji], signal), this.#crowd.now());
  }

  stop(): void {
    this.#tapping?.abort();
  }

  deafen(): void {
    this.#isDeaf = true;
  }

  hear(): void {
    this.#isDeaf = false;
  }

  close(): void {
    this.stop();
    this.#crowd.disband();
  }
}
