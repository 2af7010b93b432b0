/**
 * The crowd: many viewers over a bounded pool of connections, moved by one timer.
 *
 * Viewers may be more than connections: who has nothing left to say is hung up, longest idle first,
 * when somebody else needs the connection. Few connect at a time, so that a start or a region's
 * return is no stampede. What is bounded: connections, handshakes, batches unanswered per viewer.
 */

import type { Runtime } from '../../../regions/runtime.ts';
import { Latencies } from './latencies.ts';
import { TimerWheel, type Turn } from './timer-wheel.ts';
import type { MintToken } from './tokens.ts';
import { Viewer, type ViewerHost, type ViewerOptions } from './viewer.ts';
import type { Wire } from './wire.ts';

export interface CrowdOptions {
  readonly runtime: Runtime;
  readonly wire: Wire;
  readonly mintToken: MintToken | null;
  readonly connectionsMax: number;
  /** The service refused a viewer for good: the run makes no sense any more. */
  readonly onRejected: (viewer: string, code: number, reason: string) => void;
}

/** Something with turns: a viewer, or whoever taps for it. */
export interface Player extends Turn {
  /** Does what is due and answers when to come back; Infinity for never by itself. */
  turn(nowMs: number): number;
}

const TICK_MS = 5;
const HANDSHAKES_MAX = 64;

export class Crowd implements ViewerHost {
  readonly wire: Wire;
  readonly mintToken: MintToken | null;
  readonly tapToAck = new Latencies();
  readonly viewers: Viewer[] = [];
  /** Messages of the service that no codec could read. */
  unreadableCount = 0;
  readonly #runtime: Runtime;
  readonly #connectionsMax: number;
  readonly #onRejected: CrowdOptions['onRejected'];
  readonly #wheel: TimerWheel<Player>;
  readonly #connecting = new Set<Viewer>();
  readonly #open = new Set<Viewer>();
  /** Open and with nothing to say, longest first. */
  readonly #idle = new Set<Viewer>();
  /** Waiting for a connection, longest first. */
  readonly #queue = new Set<Viewer>();
  /** With taps that are not answered yet. */
  readonly #busy = new Set<Viewer>();
  readonly #stopTicking: () => void;

  constructor(options: CrowdOptions) {
    this.wire = options.wire;
    this.mintToken = options.mintToken;
    this.#runtime = options.runtime;
    this.#connectionsMax = options.connectionsMax;
    this.#onRejected = options.onRejected;
    this.#wheel = new TimerWheel<Player>(this.now());
    this.#stopTicking = options.runtime.timers.every(TICK_MS, () => this.#tick());
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Viewers whose taps are not all answered. */
  get busyCount(): number {
    return this.#busy.size;
  }

  get reconnectCount(): number {
    return this.viewers.reduce((sum, viewer) => sum + viewer.reconnects, 0);
  }

  now(): number {
    return this.#runtime.clock.now();
  }

  random(): number {
    return this.#runtime.random.next();
  }

  join(options: ViewerOptions): Viewer {
    const viewer = new Viewer(this, options);
    this.viewers.push(viewer);
    return viewer;
  }

  plan(player: Player, atMs: number): void {
    this.#wheel.plan(player, atMs);
  }

  requestConnection(viewer: Viewer): void {
    this.#queue.add(viewer);
  }

  changed(viewer: Viewer): void {
    const { state, session } = viewer;
    place(this.#connecting, viewer, state === 'connecting');
    place(this.#open, viewer, state === 'open');
    place(this.#idle, viewer, state === 'open' && session.idle && !viewer.keepsConnection);
    place(this.#busy, viewer, !session.idle);
    if (state !== 'queued') this.#queue.delete(viewer);
  }

  acknowledged(viewer: Viewer, tapToAckMs: number): void {
    // Of the crowd alone: a probe taps on a stream of its own, perhaps, and at another pace.
    if (!viewer.keepsConnection) this.tapToAck.record(tapToAckMs);
  }

  unreadable(): void {
    this.unreadableCount += 1;
  }

  rejected(viewer: Viewer, code: number, reason: string): void {
    this.#onRejected(viewer.id, code, reason);
  }

  /** Hangs up on everybody. What is unanswered is in doubt from here on. */
  disband(): void {
    this.#stopTicking();
    for (const viewer of this.viewers) {
      if (viewer.session.idle) viewer.hangUp();
      else viewer.abandon();
    }
  }

  #tick(): void {
    this.#wheel.advance(this.now(), (player) => {
      this.#wheel.plan(player, player.turn(this.now()));
    });
    this.#connectNext();
  }

  #connectNext(): void {
    for (const viewer of this.#queue) {
      if (this.#connecting.size >= HANDSHAKES_MAX) return;
      if (this.#connecting.size + this.#open.size >= this.#connectionsMax) {
        const [longestIdle] = this.#idle;
        if (longestIdle === undefined) return;
        longestIdle.hangUp();
      }
      viewer.connect();
    }
  }
}

function place<Member>(set: Set<Member>, member: Member, belongs: boolean): void {
  if (belongs) set.add(member);
  else set.delete(member);
}
