/**
 * The moderators: each has a document of its own open, edits it, and keeps it in step with some region, as the
 * console does. What was decided is never lost, because whoever decided it says it again.
 *
 * A viewer is muted at most once, and by one moderator; what such a viewer tapped may be taken back again once that has ended, by the
 * same moderator or another, as often as there is room. All of it together is taken back, and none of it twice.
 */

import * as Y from 'yjs';
import type { StreamId } from '../../crdt/ids.ts';
import { endStream, lift, mute, retract, setEmoji, setSpread } from '../../src/moderation/policy-doc.ts';
import { hit, type Counters } from './servers.ts';
import type { MuteSubject } from '../../src/moderation/mutes.ts';
import type { Client } from './clients.ts';
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
  /** What all moderators together have decided about a viewer. */
  decisionsOn(client: Client): readonly Decided[];
  violated(what: string): void;
}

const DECISIONS_MAX = 3;

export class Moderator {
  readonly decided = new Map<string, Decided[]>();
  /** Streams that were ended, and when. */
  readonly ended = new Map<StreamId, number>();
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
  mute(client: Client, kind: MuteSubject['kind'], backMs: number | null): void {
    if (this.#world.decisionsOn(client).length > 0) return;
    const at = this.#now();
    const retractFrom = backMs === null ? null : Math.max(1, at - backMs);
    mute(this.#document(client.stream), this.#subjectOf(client, kind), { by: this.#name, at, retractFrom });
    this.#decide(client, { mutedAt: at, retractFrom, endsAt: Infinity, isWhole: false });
    this.#world.counters.add(backMs === null ? 'muted' : 'muted and taken back');
  }

  lift(client: Client): void {
    const decided = this.decided.get(keyOf(client))?.find(({ endsAt }) => endsAt === Infinity);
    if (decided === undefined) return;
    const at = this.#now();
    const document = this.#document(client.stream);
    const isLifted = [subjectOf(client, 'viewer'), subjectOf(client, 'device')].map((subject) => lift(document, subject, { by: this.#name, at })).includes(true);
    if (!isLifted) return;
    decided.endsAt = at;
    this.#world.counters.add('lifted');
  }

  retract(client: Client, kind: MuteSubject['kind'], backMs: number): void {
    const decided = this.#world.decisionsOn(client);
    const own = this.decided.get(keyOf(client)) ?? [];
    if (decided.length === DECISIONS_MAX || own.some(({ endsAt }) => endsAt === Infinity)) return;
    // Who is muted in this document is taken back from until the mute ends; whether another one's mute has, it may not have heard.
    if (decided.some((one) => !one.isWhole && !own.includes(one))) return;
    const at = this.#now();
    retract(this.#document(client.stream), this.#subjectOf(client, kind), { by: this.#name, at, from: Math.max(1, at - backMs) });
    this.#decide(client, { mutedAt: at, retractFrom: Math.max(1, at - backMs), endsAt: at, isWhole: true });
    this.#world.counters.add(decided.length === 0 ? 'taken back' : 'taken back again');
  }

  #decide(client: Client, decided: Decided): void {
    const key = keyOf(client);
    this.decided.set(key, [...(this.decided.get(key) ?? []), decided]);
  }

  /** Of the next lives. */
  setSpread(stream: StreamId, spread: number): void {
    setSpread(this.#document(stream), spread, { by: this.#name, at: this.#now() });
    this.#world.counters.add('spread changed');
  }

  end(stream: StreamId): void {
    if (this.ended.has(stream)) return;
    endStream(this.#document(stream), { by: this.#name, at: this.#now() });
    this.ended.set(stream, this.#now());
    this.#world.counters.add('stream ended');
  }

  #subjectOf(client: Client, kind: MuteSubject['kind']): MuteSubject {
    const subject = subjectOf(client, kind);
    if (subject.kind === 'device') this.#world.counters.add('device named');
    return subject;
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

export function decisionsOn(moderators: readonly Moderator[], client: Client): readonly Decided[] {
  return moderators.flatMap(({ decided }) => decided.get(keyOf(client)) ?? []);
}

function keyOf({ stream, viewer }: Client): string {
  return `${stream} ${viewer}`;
}

/** Each device is one viewer's; some have none. */
function subjectOf({ viewer, device }: Client, kind: MuteSubject['kind']): MuteSubject {
  return kind === 'device' && device !== null ? { kind, id: device } : { kind: 'viewer', id: viewer };
}
