/**
 * The moderators: each has a document of its own open, edits it, and keeps it in step with some region, as the
 * console does. What was decided is never lost, because whoever decided it says it again.
 *
 * A viewer is decided about by one moderator, and muted at most once: of two who write the same key one is
 * heard, and which one is nobody's to foretell.
 */

import * as Y from 'yjs';
import type { StreamId } from '../../crdt/ids.ts';
import { lift, mute, retract, setEmoji } from '../../src/moderation/policy-doc.ts';
import { hit, type Counters } from './servers.ts';
import type { SimulatedRegion } from './simulated-region.ts';
import type { SimulatedRuntime } from '../support/simulated-runtime.ts';

/** What a moderator decided about a viewer. Times are of the true clock. */
export interface Decided {
  readonly mutedAt: number;
  readonly retractFrom: number | null;
  /** Until when it takes back, and holds. */
  endsAt: number;
  /** Nobody can hear of it without its end. */
  readonly isWhole: boolean;
}

export interface ModeratorWorld {
  readonly runtime: SimulatedRuntime;
  readonly counters: Counters;
  readonly regions: ReadonlyMap<string, SimulatedRegion>;
  violated(what: string): void;
}

export class Moderator {
  readonly decided = new Map<string, Decided>();
  readonly #world: ModeratorWorld;
  readonly #number: number;
  readonly #name: string;
  readonly #documents = new Map<string, Y.Doc>();

  constructor(world: ModeratorWorld, number: number) {
    this.#world = world;
    this.#number = number;
    this.#name = `m${number}`;
    world.runtime.timers.every(1_100 + number * 70, () => this.#sync());
  }

  /** Takes back what was counted in the last `backMs`; null takes nothing back. */
  mute(stream: StreamId, viewer: string, backMs: number | null): void {
    if (this.decided.has(`${stream} ${viewer}`)) return;
    const at = this.#now();
    const retractFrom = backMs === null ? null : Math.max(1, at - backMs);
    mute(this.#document(stream), { kind: 'viewer', id: viewer }, { by: this.#name, at, retractFrom });
    this.decided.set(`${stream} ${viewer}`, { mutedAt: at, retractFrom, endsAt: Infinity, isWhole: false });
    this.#world.counters.add(backMs === null ? 'muted' : 'muted and taken back');
  }

  lift(stream: StreamId, viewer: string): void {
    const decided = this.decided.get(`${stream} ${viewer}`);
    if (decided === undefined || decided.endsAt !== Infinity) return;
    const at = this.#now();
    if (!lift(this.#document(stream), { kind: 'viewer', id: viewer }, { by: this.#name, at })) return;
    decided.endsAt = at;
    this.#world.counters.add('lifted');
  }

  retract(stream: StreamId, viewer: string, backMs: number): void {
    if (this.decided.has(`${stream} ${viewer}`)) return;
    const at = this.#now();
    retract(this.#document(stream), { kind: 'viewer', id: viewer }, { by: this.#name, at, from: Math.max(1, at - backMs) });
    this.decided.set(`${stream} ${viewer}`, { mutedAt: at, retractFrom: Math.max(1, at - backMs), endsAt: at, isWhole: true });
    this.#world.counters.add('taken back');
  }

  setEnabled(stream: StreamId, emoji: string, enabled: boolean): void {
    setEmoji(this.#document(stream), emoji, { enabled });
    this.#world.counters.add('palette changed');
  }

  /** Whether a region holds all that this moderator wrote. */
  isHeard(region: SimulatedRegion): boolean {
    for (const [name, document] of this.#documents) {
      const state = region.current?.plane.state(name) ?? null;
      if (state === null) return false;
      const held = Y.decodeStateVector(Y.encodeStateVectorFromUpdate(state));
      for (const [client, clock] of Y.decodeStateVector(Y.encodeStateVector(document))) if ((held.get(client) ?? 0) < clock) return false;
    }
    return true;
  }

  #now(): number {
    return Math.floor(this.#world.runtime.clock.now());
  }

  #document(stream: StreamId): Y.Doc {
    const name = `stream.${stream}`;
    let document = this.#documents.get(name);
    if (document === undefined) {
      document = new Y.Doc();
      // Random by default, and it decides which of two writers is heard.
      document.clientID = 1 + Math.floor(this.#world.runtime.random.next() * 2 ** 31);
      this.#documents.set(name, document);
    }
    return document;
  }

  #sync(): void {
    const { regions, runtime, violated } = this.#world;
    const names = [...regions.keys()];
    const home = regions.get(names[this.#number % names.length]!)!.current;
    const other = regions.get(names[Math.floor(runtime.random.next() * names.length)]!)!.current;
    const life = home?.serves === true && !home.process.paused ? home : other;
    if (life === null || !life.serves || life.process.paused || hit(runtime, 0.2)) return;
    for (const [name, document] of this.#documents) {
      const held = life.plane.state(name);
      const update = held === null ? Y.encodeStateAsUpdate(document) : Y.encodeStateAsUpdate(document, Y.encodeStateVectorFromUpdate(held));
      if (update.length > 2) {
        const result = life.plane.apply(name, update, this.#name);
        if (result.kind === 'refused') violated(`${life.region} refused what a moderator wrote: ${result.message}`);
      }
      const state = life.plane.state(name);
      if (state !== null) Y.applyUpdate(document, state);
    }
  }
}
