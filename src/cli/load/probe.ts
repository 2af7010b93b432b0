/**
 * The probe: how long from a tap to the first frame that counts it, at home and abroad.
 *
 * In every region one viewer watches the totals and taps an emoji that nobody else uses, once at a
 * time. That emoji's total is therefore the number of taps that a frame counts, also while regions
 * are cut off from each other. Where the palette has no emoji to spare, the taps go to streams of
 * the probe's own.
 */

import { randomUUID } from 'node:crypto';
import type { FrameMessage, Welcome } from '../../protocol/messages.ts';
import type { Crowd, Player } from './crowd.ts';
import { GroundTruth } from './ground-truth.ts';
import { Latencies } from './latencies.ts';
import type { Viewer } from './viewer.ts';

const PAUSE_MS = 250;
const SEEN_MS_MAX = 10_000;
/** Taps that a region has not shown yet, at most; further ones are not measured there. */
const UNSEEN_MAX = 1024;
const STREAM_NAME_MAX = 50;

/** A viewer in each region watching one stream. */
interface Watch {
  readonly viewers: readonly Viewer[];
  readonly welcomes: (Welcome | undefined)[];
  readonly tappers: ProbeTapper[];
}

export class Probe {
  readonly tapToFrame = new Latencies();
  readonly tapToFrameAbroad = new Latencies();
  readonly #crowd: Crowd;
  readonly #endpoints: readonly string[];
  readonly #stream: string;
  readonly #watches = new Map<string, Watch>();
  #targets: { readonly stream: string; readonly emoji: string }[] = [];

  constructor(crowd: Crowd, endpoints: readonly string[], stream: string, truth: GroundTruth) {
    this.#crowd = crowd;
    this.#endpoints = endpoints;
    this.#stream = stream;
    this.#watch(stream, truth);
  }

  /** The regions that have not said welcome yet. */
  silentEndpoints(): readonly string[] {
    return this.#endpoints.filter((_, region) => [...this.#watches.values()].some(({ welcomes }) => welcomes[region] === undefined));
  }

  /**
   * Chooses what the probe taps, once every region has said welcome, and answers the emoji left for
   * the crowd. With `spare` it takes an emoji a region from the end of the palette, if there are enough.
   */
  choose(spare: boolean): readonly string[] {
    const palette = Object.keys(this.#watches.get(this.#stream)!.welcomes[0]!.palette);
    const left = palette.length - this.#endpoints.length;
    if (spare && left > 0) {
      this.#targets = palette.slice(left).map((emoji) => ({ stream: this.#stream, emoji }));
      return palette.slice(0, left);
    }
    this.#targets = this.#endpoints.map((_, region) => ({
      stream: `${this.#stream.slice(0, STREAM_NAME_MAX)}-probe-${region}`,
      emoji: palette[0]!,
    }));
    for (const { stream } of this.#targets) this.#watch(stream, new GroundTruth());
    return palette;
  }

  start(signal: AbortSignal): void {
    for (const [home, { stream, emoji }] of this.#targets.entries()) {
      const { viewers, welcomes, tappers } = this.#watches.get(stream)!;
      const total = welcomes[home]!.totals[emoji] ?? 0;
      const unseen = this.#endpoints.map(() => []);
      const record = (region: number, ms: number): void =>
        (region === home ? this.tapToFrame : this.tapToFrameAbroad).record(ms);
      const tapper = new ProbeTapper({ crowd: this.#crowd, viewer: viewers[home]!, home, emoji, total, unseen, record, signal });
      tappers.push(tapper);
      this.#crowd.plan(tapper, this.#crowd.now() + PAUSE_MS * this.#crowd.random());
    }
  }

  #watch(stream: string, truth: GroundTruth): void {
    const watch: Watch = { viewers: [], welcomes: this.#endpoints.map(() => undefined), tappers: [] };
    const viewers = this.#endpoints.map((endpoint, region) =>
      this.#crowd.join({
        id: `probe-${region}`,
        sessionId: randomUUID(),
        endpoint,
        stream,
        truth,
        stays: true,
        onWelcome: (welcome) => (watch.welcomes[region] ??= welcome),
        onFrame: (frame) => {
          for (const tapper of watch.tappers) tapper.saw(region, frame);
        },
      }),
    );
    this.#watches.set(stream, { ...watch, viewers });
    for (const viewer of viewers) viewer.watch();
  }
}

interface ProbeTapperOptions {
  readonly crowd: Crowd;
  readonly viewer: Viewer;
  readonly home: number;
  readonly emoji: string;
  /** The emoji's total so far. */
  readonly total: number;
  /** Of each region, the taps that it has not shown yet; empty. */
  readonly unseen: readonly { readonly total: number; readonly tappedAt: number }[][];
  readonly record: (region: number, ms: number) => void;
  readonly signal: AbortSignal;
}

class ProbeTapper implements Player {
  turnAt = Infinity;
  readonly #options: ProbeTapperOptions;
  /** The highest total shown at home. */
  #total: number;

  constructor(options: ProbeTapperOptions) {
    this.#options = options;
    this.#total = options.total;
  }

  turn(nowMs: number): number {
    const { signal, unseen, home, viewer, emoji, crowd } = this.#options;
    if (signal.aborted) return Infinity;
    const last = unseen[home]!.at(-1);
    if (last !== undefined && nowMs < last.tappedAt + SEEN_MS_MAX) return nowMs + PAUSE_MS;
    unseen[home]!.length = 0;
    for (const taps of unseen) {
      if (taps.length < UNSEEN_MAX) taps.push({ total: this.#total + 1, tappedAt: nowMs });
    }
    viewer.tap(emoji, 1, nowMs);
    return nowMs + PAUSE_MS * (1 + crowd.random());
  }

  saw(region: number, frame: FrameMessage): void {
    const { emoji, home, unseen, record, crowd } = this.#options;
    const total = frame.totals[emoji] ?? 0;
    if (region === home && total > this.#total) this.#total = total;
    const taps = unseen[region]!;
    while (taps.length > 0 && taps[0]!.total <= total) record(region, crowd.now() - taps.shift()!.tappedAt);
  }
}
