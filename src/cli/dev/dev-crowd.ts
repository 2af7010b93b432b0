/**
 * The crowd of a dev: synthetic taps or a recording over all regions, started by the live page.
 *
 * It exists to be looked at. So it ends when nobody has asked for the status as a watcher for a
 * while, one plays at a time, and viewers, connections and recordings are bounded.
 */

import { randomUUID } from 'node:crypto';
import { sleep, type Cancel, type Runtime } from '../../../regions/runtime.ts';
import { CommandFailure, describeError } from '../failure.ts';
import { homeOf, replay } from '../load/crowd-source.ts';
import { Crowd } from '../load/crowd.ts';
import { GroundTruth } from '../load/ground-truth.ts';
import { WIRES } from '../load/wire.ts';
import type { CrowdCommand, CrowdStatus, ReplayCommand } from '../../web/live/dev-api.ts';
import { RandomCrowd } from './random-crowd.ts';
import { FINAL, REPLAY_VIEWERS_MAX, recordingOf, type Recording } from './recordings.ts';

/** So long after the last watcher asked, the crowd goes home. */
export const UNWATCHED_MS_MAX = 30_000;
const CONNECTIONS_MAX = 640;
/** How long the last taps may wait for their answers. */
const SETTLE_MS_MAX = 5_000;
const POLL_MS = 100;
const DEFAULT_STREAM = 'demo';

/** One crowd from its first tap to its last answer. */
interface Play {
  readonly stream: string;
  readonly crowd: Crowd;
  readonly truth: GroundTruth;
  readonly stopped: AbortController;
  /** Null for a recording. */
  readonly random: RandomCrowd | null;
  replay: { readonly name: string; readonly speed: number; readonly lengthMs: number; atMs: number } | null;
}

export class DevCrowd {
  readonly #endpoints: () => readonly string[];
  readonly #runtime: Runtime;
  #play: Play | null = null;
  /** Taps no more and waits for its last answers; one at most. */
  #leaving: Play | null = null;
  #tapsPerSecond = 0;
  #problem: string | null = null;
  #changes = 0;
  #cancelUnwatched: Cancel | null = null;

  constructor(endpoints: () => readonly string[], runtime: Runtime) {
    this.#endpoints = endpoints;
    this.#runtime = runtime;
  }

  status(): CrowdStatus {
    const play = this.#play;
    const replaying = play?.replay ?? null;
    return {
      mode: play === null ? 'off' : play.random === null ? 'replay' : 'random',
      stream: play?.stream ?? null,
      taps_per_second: this.#tapsPerSecond,
      viewers: play === null ? 0 : (play.random?.viewerCount ?? play.crowd.viewers.length),
      tapped: play?.truth.tapped ?? 0,
      acknowledged: play?.truth.acknowledged ?? 0,
      clamped: play?.truth.clamped ?? 0,
      refused: play?.truth.refused ?? 0,
      replay:
        replaying === null
          ? null
          : { name: replaying.name, speed: replaying.speed, at_ms: replaying.atMs, length_ms: replaying.lengthMs },
      problem: this.#problem,
    };
  }

  /** @throws CommandFailure */
  async change(command: CrowdCommand): Promise<void> {
    const change = ++this.#changes;
    const stream = command.stream ?? DEFAULT_STREAM;
    this.#problem = null;
    if ('replay' in command) {
      const recording = await this.#read(command.replay);
      // A later command came while this recording was read.
      if (change !== this.#changes) return;
      this.#leave();
      this.#startReplay(recording, command.replay.speed ?? 1, stream);
    } else {
      this.#setRate(command.taps_per_second, stream);
    }
    this.watched();
  }

  /** Somebody looks on: the crowd may go on for a while. */
  watched(): void {
    this.#cancelUnwatched?.();
    this.#cancelUnwatched = this.#play === null ? null : this.#runtime.timers.after(UNWATCHED_MS_MAX, () => this.#leave());
  }

  stop(): void {
    this.#changes += 1;
    this.#leave();
    this.#leaving?.crowd.disband();
    this.#leaving = null;
  }

  #setRate(tapsPerSecond: number, stream: string): void {
    if (this.#play !== null && (this.#play.random === null || this.#play.stream !== stream || tapsPerSecond === 0)) this.#leave();
    if (tapsPerSecond === 0) return;
    this.#tapsPerSecond = tapsPerSecond;
    this.#play ??= this.#open(stream, true);
    this.#play.random!.setRate(tapsPerSecond);
  }

  #read({ csv, name }: ReplayCommand): Recording | Promise<Recording> {
    if (csv === undefined) return FINAL;
    return recordingOf(name ?? 'the recording', csv, () => sleep(this.#runtime.timers, 0));
  }

  #startReplay(recording: Recording, speed: number, stream: string): void {
    const play = this.#open(stream, false);
    const progress = { name: recording.name, speed, lengthMs: recording.lengthMs, atMs: 0 };
    play.replay = progress;
    this.#play = play;
    const endpoints = this.#endpoints();
    const startMs = this.#runtime.clock.now();
    const tellTime = this.#runtime.timers.every(POLL_MS, () => {
      progress.atMs = Math.min(progress.lengthMs, (this.#runtime.clock.now() - startMs) * speed);
    });
    replay(play.crowd, {
      events: recording.events(),
      speed,
      viewersMax: REPLAY_VIEWERS_MAX,
      signal: play.stopped.signal,
      every: (intervalMs, call) => this.#runtime.timers.every(intervalMs, call),
      join: (viewer) =>
        play.crowd.join({
          id: viewer,
          sessionId: randomUUID(),
          endpoint: endpoints[homeOf(viewer, endpoints.length)]!,
          stream,
          truth: play.truth,
          stays: false,
        }),
    })
      .catch((error: unknown) => (this.#problem = describeError(error)))
      .finally(() => {
        tellTime();
        if (this.#play === play) this.#leave();
      });
  }

  #open(stream: string, random: boolean): Play {
    const endpoints = this.#endpoints();
    if (endpoints.length === 0) throw new CommandFailure('usage', 'there is no region to tap in');
    const truth = new GroundTruth();
    const crowd = new Crowd({
      runtime: this.#runtime,
      wire: WIRES.msgpack,
      mintToken: null,
      connectionsMax: CONNECTIONS_MAX,
      onRejected: (viewer, code, reason) => {
        this.#problem = `the service turned ${viewer} away for good: ${code} ${reason}`;
        if (this.#play?.crowd === crowd) this.#leave();
      },
    });
    return {
      stream,
      crowd,
      truth,
      stopped: new AbortController(),
      random: random ? new RandomCrowd(crowd, endpoints, stream, truth) : null,
      replay: null,
    };
  }

  /** The crowd stops tapping; its viewers leave when the last answers are there. */
  #leave(): void {
    const play = this.#play;
    if (play === null) return;
    this.#play = null;
    this.#tapsPerSecond = 0;
    this.#cancelUnwatched?.();
    this.#cancelUnwatched = null;
    play.stopped.abort();
    play.random?.setRate(0);
    this.#leaving?.crowd.disband();
    this.#leaving = play;
    void this.#seeOff(play);
  }

  async #seeOff(play: Play): Promise<void> {
    const until = this.#runtime.clock.now() + SETTLE_MS_MAX;
    while (this.#leaving === play && play.crowd.busyCount > 0 && this.#runtime.clock.now() < until) {
      await sleep(this.#runtime.timers, POLL_MS);
    }
    if (this.#leaving !== play) return;
    play.crowd.disband();
    this.#leaving = null;
  }
}
