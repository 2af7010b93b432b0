/**
 * Regions, their sockets and their HTTP on virtual time, with faults: what a player SDK meets in bad weather.
 * Regions count by sequence windows as real ones do, and the world keeps the books: no batch may be
 * counted twice anywhere, nor change between its deliveries.
 */

import { admit, emptyWindow, verdictOf, type SequenceWindow } from '../../crdt/sequence-window.ts';
import type { Platform } from '../../src/client/client-types.ts';
import type { BatchMessage, ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { decodeClientMsgpack, encodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';
import type { SimulatedRuntime } from '../support/simulated-runtime.ts';

export const PALETTE = { heart: '❤️', fire: '🔥', clap: '👏' };
const FRAME_MS = 500;
const FETCH_MS_MAX = 8_000;
const HELLO_MS = 5_000;

export interface Faults {
  latencyMsMax: number;
  /** Chances of one message. */
  lostAck: number;
  lostBatch: number;
  doubledAck: number;
  unavailable: number;
}

export const NO_FAULTS: Faults = { latencyMsMax: 20, lostAck: 0, lostBatch: 0, doubledAck: 0, unavailable: 0 };

export class SimulatedRegion {
  readonly name: string;
  readonly totals: Record<string, number> = { heart: 0, fire: 0, clap: 0 };
  /** Of its totals, what was taken back. */
  corrected = 0;
  readonly sockets = new Set<SimulatedSocket>();
  /** Refuses everybody, and those it has are cut. */
  isDown = false;
  /** Says nothing, to anybody. */
  isSilent = false;
  /** Sends away who comes new, and watchers once they have said nothing for `HELLO_MS`. */
  isDraining = false;
  /** Answers batches with this instead of counting them. */
  refusal: { readonly code: string; readonly temporary: boolean } | null = null;
  readonly #sessions = new Map<string, { readonly window: SequenceWindow; readonly taps: Map<number, number> }>();

  constructor(name: string) {
    this.name = name;
  }

  answer(world: SimulatedWorld, sessionId: string, batch: BatchMessage): ServerMessage {
    const { seq, reactions } = batch;
    const chance = world.runtime.random.next();
    const unavailable = { type: 'error', seq, code: 'unavailable', message: '', temporary: true, retry_after_ms: 500 } as const;
    // Refused before it was counted, or counted and the answer was late: nobody can tell which.
    if (chance < world.faults.unavailable / 2) return unavailable;
    if (this.refusal !== null) return { type: 'error', seq, message: 'no', ...this.refusal };
    let session = this.#sessions.get(sessionId);
    if (session === undefined) this.#sessions.set(sessionId, (session = { window: emptyWindow(), taps: new Map() }));
    const verdict = verdictOf(session.window, seq);
    if (verdict === 'stale') return { type: 'error', seq, code: 'stale-sequence', message: '', temporary: false };
    const taps = reactions.reduce((sum, { count }) => sum + count, 0);
    if (verdict === 'new') {
      admit(session.window, seq);
      session.taps.set(seq, taps);
      if (world.counted(this.name, sessionId, batch)) {
        for (const { emoji_id, count } of reactions) this.totals[emoji_id] = (this.totals[emoji_id] ?? 0) + count;
      }
    }
    if (chance < world.faults.unavailable) return unavailable;
    return { type: 'ack', seq, accepted: session.taps.get(seq)!, clamped: 0, duplicate: verdict === 'duplicate' };
  }

  /** As a moderator, or another region's claim, makes it do. */
  takeBack(emoji: string, taps: number): void {
    this.totals[emoji]! -= taps;
    this.corrected += taps;
  }

  /** What frames and totals have of it. */
  get mark(): { corrected?: number } {
    return this.corrected === 0 ? {} : { corrected: this.corrected };
  }

  restart(code = 1006): void {
    for (const socket of Array.from(this.sockets)) socket.cut(code);
  }
}

export class SimulatedWorld {
  readonly runtime: SimulatedRuntime;
  readonly regions: ReadonlyMap<string, SimulatedRegion>;
  faults: Faults = NO_FAULTS;
  /** Host → region; an address may come to lead elsewhere. */
  readonly routes = new Map<string, string>();
  webSocketsBlocked = false;
  /** What went over HTTP, by method. */
  readonly requests: { readonly method: string; readonly url: string; readonly at: number; readonly keepalive: boolean }[] = [];
  readonly connections: { readonly host: string; readonly at: number }[] = [];
  readonly hellos: Extract<ClientMessage, { type: 'hello' }>[] = [];
  readonly sent: { readonly region: string; readonly session: string; readonly batch: BatchMessage; readonly at: number }[] = [];
  /** Batch → the regions that counted it, and by which it had come. */
  readonly #counted = new Map<string, { readonly region: string; readonly via: readonly string[] }[]>();
  #tapsCounted = 0;

  constructor(runtime: SimulatedRuntime, ...names: readonly string[]) {
    this.runtime = runtime;
    this.regions = new Map(names.map((name) => [name, new SimulatedRegion(name)]));
    for (const name of names) this.routes.set(`${name}.test`, name);
  }

  get tapsCounted(): number {
    return this.#tapsCounted;
  }

  region(name: string): SimulatedRegion {
    return this.regions.get(name)!;
  }

  /** The region that a URL leads to now; null when nobody is there. */
  at(url: string): SimulatedRegion | null {
    const region = this.regions.get(this.routes.get(new URL(url).host) ?? '');
    return region === undefined || region.isDown ? null : region;
  }

  chance(probability: number): boolean {
    return this.runtime.random.next() < probability;
  }

  later(call: () => void): void {
    this.runtime.timers.after(1 + this.runtime.random.next() * this.faults.latencyMsMax, call);
  }

  /**
   * Whether it counts: of two regions that count a batch the one with the later sending gives it back, if that says that it
   * was at the other. @throws when it does not, and nobody could know
   */
  counted(region: string, session: string, { seq, reactions, via = [] }: BatchMessage): boolean {
    const key = `${session} ${seq}`;
    const before = this.#counted.get(key) ?? [];
    for (const other of before) {
      const [later, earlier] = via.length > other.via.length ? [{ region, via }, other] : [other, { region, via }];
      if (!later.via.includes(earlier.region)) throw new Error(`${key} was counted in ${other.region} and in ${region}`);
    }
    this.#counted.set(key, [...before, { region, via }]);
    if (before.length > 0) return false;
    for (const { count } of reactions) this.#tapsCounted += count;
    return true;
  }

  /** @throws when a batch is not what it was */
  received(region: string, session: string, batch: BatchMessage): void {
    this.sent.push({ region, session, batch, at: this.runtime.clock.now() });
    const first = this.sent.find((other) => other.session === session && other.batch.seq === batch.seq)!;
    const contentOf = ({ seq, timestamp, reactions }: BatchMessage): string => JSON.stringify([seq, timestamp, reactions]);
    if (contentOf(first.batch) !== contentOf(batch)) throw new Error(`batch ${batch.seq} changed`);
  }

  platform(): Partial<Platform> {
    return {
      runtime: this.runtime,
      WebSocket: SimulatedSocket.bind(null, this),
      fetch: (url, init) => this.#fetch(url, init),
      page: undefined,
    };
  }

  #fetch(url: string, init: RequestInit): Promise<Response> {
    this.requests.push({ method: init.method ?? 'GET', url, at: this.runtime.clock.now(), keepalive: init.keepalive === true });
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new TypeError('fetch failed'));
      this.later(() => {
        const region = this.at(url);
        if (region === null) return fail();
        if (region.isSilent) return void this.runtime.timers.after(FETCH_MS_MAX, fail);
        const response = init.method === 'POST' ? this.#post(region, url, String(init.body)) : this.#totals(region);
        if (this.chance(this.faults.lostAck)) fail();
        else this.later(() => resolve(response));
      });
    });
  }

  #post(region: SimulatedRegion, url: string, body: string): Response {
    const wanted = new URL(url).searchParams.get('region');
    const problem = { type: 'urn:ovation:problem:wrong-region', detail: 'no', status: 421 };
    if (wanted !== null && wanted !== region.name) return Response.json(problem, { status: 421 });
    const items = JSON.parse(body) as { session_id: string; seq: number; timestamp: number; via?: string[]; reactions: { emoji_id: string; count_since_last: number }[] }[];
    const results = items.map(({ session_id, seq, timestamp, reactions, via }) => {
      const batch: BatchMessage = {
        type: 'batch',
        seq,
        reactions: reactions.map(({ emoji_id, count_since_last }) => ({ emoji_id, count: count_since_last })),
        timestamp,
        ...(via === undefined ? {} : { via }),
      };
      this.received(region.name, session_id, batch);
      const answer = region.answer(this, session_id, batch);
      if (answer.type !== 'error') return answer;
      return { seq, problem: { type: `urn:ovation:problem:${answer.code}`, detail: 'no', status: answer.temporary ? 503 : 422 } };
    });
    return Response.json({ results }, { status: 202 });
  }

  #totals({ name, totals, mark }: SimulatedRegion): Response {
    const at = this.runtime.clock.now();
    return Response.json({ region: name, at, palette: PALETTE, level: 'exact', totals, rates: {}, viewers: 1, staleness: {}, ...mark });
  }
}

export class SimulatedSocket {
  binaryType = 'blob';
  readyState = 0;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly #world: SimulatedWorld;
  #region: SimulatedRegion | null = null;
  #isLate = false;
  /** Empty before the hello. */
  #session = '';

  constructor(world: SimulatedWorld, url: string) {
    this.#world = world;
    world.connections.push({ host: new URL(url).host, at: world.runtime.clock.now() });
    world.later(() => {
      const region = world.webSocketsBlocked ? null : world.at(url);
      if (this.readyState !== 0) return;
      if (region === null) return this.cut(1006);
      if (region.isSilent) return;
      this.readyState = 1;
      this.#region = region;
      region.sockets.add(this);
      this.#isLate = region.isDraining;
      world.later(() => this.#welcome(region));
    });
  }

  #welcome(region: SimulatedRegion): void {
    if (this.readyState !== 1 || region.isSilent) return;
    this.deliver({ type: 'welcome', region: region.name, palette: PALETTE, batch_ms: 250, frame_ms: FRAME_MS, totals: region.totals });
    this.#tick();
    if (!this.#isLate) return;
    this.#world.runtime.timers.after(HELLO_MS, () => {
      if (this.#session === '' && this.readyState === 1) this.cut(4423, 'The stream drains');
    });
  }

  send(bytes: Uint8Array): void {
    const message = decodeClientMsgpack(bytes);
    const region = this.#region;
    if (message.type === 'hello') {
      if (this.#isLate && message.unacked_from === undefined) return this.cut(4423, 'The stream drains');
      this.#session = message.session_id;
      this.#world.hellos.push(message);
      return;
    }
    if (this.#session === '') return this.cut(4400, 'say hello first');
    const { faults } = this.#world;
    const session = this.#session;
    if (this.#world.chance(faults.lostBatch)) return;
    // What was sent may arrive after the connection was given up.
    this.#world.later(() => {
      if (region === null || region.isDown || region.isSilent) return;
      this.#world.received(region.name, session, message);
      const answer = region.answer(this.#world, session, message);
      if (!this.#world.chance(faults.lostAck)) this.#world.later(() => this.deliver(answer));
      if (this.#world.chance(faults.doubledAck)) this.#world.later(() => this.deliver(answer));
    });
  }

  deliver(message: ServerMessage): void {
    this.raw(encodeServerMsgpack(message).slice().buffer);
  }

  raw(data: unknown): void {
    if (this.readyState === 1 && this.#region?.isSilent === false) this.onmessage?.({ data } as never);
  }

  close(): void {
    this.readyState = 3;
    this.#region?.sockets.delete(this);
  }

  cut(code: number, reason = ''): void {
    this.close();
    this.onclose?.({ code, reason } as never);
  }

  #tick(): void {
    this.#world.runtime.timers.after(FRAME_MS, () => {
      if (this.readyState !== 1 || this.#region === null) return;
      const { name, totals, mark } = this.#region;
      const at = Math.floor(this.#world.runtime.clock.now());
      this.deliver({ type: 'frame', region: name, at, level: 'exact', totals, rates: {}, hints: {}, viewers: 1, staleness: {}, ...mark });
      this.#tick();
    });
  }
}
