/**
 * Viewers who move: the player SDK itself, with all regions as its endpoints, the nearest first. What they were told is
 * written into the ground truth.
 */

import { WebSocket } from 'ws';
import type { Cancel } from '../../../regions/runtime.ts';
import { realRuntime } from '../../../src/base/runtime.ts';
import type { GroundTruth } from '../../../src/cli/load/ground-truth.ts';
import type { Platform, Reactions } from '../../../src/client/client-types.ts';
import { createReactions } from '../../../src/client/create-reactions.ts';
import type { Party, PartyOptions } from './party.ts';

export interface MoversOptions extends PartyOptions {
  /** Nearest first. */
  readonly endpoints: readonly string[];
  readonly truth: GroundTruth;
}

interface Mover {
  readonly reactions: Reactions;
  /** Taps that are not answered yet. */
  waiting: number;
}

const TURN_MS = 50;

export class Movers implements Party {
  moves = 0;
  reconnects = 0;
  readonly #options: MoversOptions;
  readonly #movers: readonly Mover[];
  #isDeaf = false;
  #stopTapping: Cancel = () => {};

  constructor(options: MoversOptions) {
    this.#options = options;
    this.#movers = Array.from({ length: options.count }, () => this.#join());
  }

  get connectedCount(): number {
    return this.#movers.filter(({ reactions }) => reactions.state === 'connected').length;
  }

  get busyCount(): number {
    return this.#movers.filter(({ waiting }) => waiting > 0).length;
  }

  get size(): number {
    return this.#movers.length;
  }

  deafen(): void {
    this.#isDeaf = true;
  }

  hear(): void {
    this.#isDeaf = false;
  }

  start(): void {
    const { emoji, truth, tapsPerSecond } = this.#options;
    this.stop();
    this.#stopTapping = realRuntime.timers.every(TURN_MS, () => {
      for (const mover of this.#movers) {
        if (realRuntime.random.next() >= (tapsPerSecond * TURN_MS) / 1000) continue;
        const taken = mover.reactions.tap(emoji);
        mover.waiting += taken;
        truth.tap(taken);
      }
    });
  }

  stop(): void {
    this.#stopTapping();
  }

  close(): void {
    this.stop();
    for (const { reactions } of this.#movers) reactions.close();
  }

  #join(): Mover {
    const { endpoints, stream, emoji, truth, onRejected } = this.#options;
    const reactions = createReactions({ endpoints, streamId: stream, platform: { WebSocket: this.#socketClass() } });
    const mover: Mover = { reactions, waiting: 0 };
    reactions.on('ack', ({ accepted, clamped }) => {
      mover.waiting -= accepted + clamped;
      truth.acknowledge([{ emoji_id: emoji, count: accepted + clamped }], accepted, clamped, false);
    });
    reactions.on('discontinuity', ({ reason, taps }) => {
      if (reason === 'moved') this.moves += 1;
      if (reason === 'reconnected') this.reconnects += 1;
      if (reason !== 'in-doubt' && reason !== 'dropped') return;
      mover.waiting -= taps;
      truth.lose([{ emoji_id: emoji, count: taps }], reason === 'dropped' ? 'refused' : 'in-doubt', reason);
    });
    reactions.on('error', ({ code, message, temporary }) => {
      if (!temporary) onRejected(`a viewer who moves was turned away for good: ${code} ${message}`);
    });
    return mover;
  }

  #socketClass(): NonNullable<Platform['WebSocket']> {
    const home = this.#options.endpoints[0]!.replace(/^http/, 'ws');
    const isDeaf = (url: string): boolean => this.#isDeaf && url.startsWith(home);
    class HalfOpenSocket extends WebSocket {
      override emit(event: string | symbol, ...words: unknown[]): boolean {
        return event === 'message' && isDeaf(this.url) ? false : super.emit(event, ...words);
      }
    }
    return HalfOpenSocket as unknown as NonNullable<Platform['WebSocket']>;
  }
}
