/**
 * The connector: keeps one connection to one region, whichever way it travels, for as long as it is wanted.
 *
 * What to do after a loss is decided by `reconnect.ts`; this file asks for tokens, dials, waits, and, while
 * it has to make do with HTTP, looks from time to time whether a WebSocket gets through again.
 */

import type { Cancel } from '../../regions/runtime.ts';
import type { BatchMessage, Hello, ServerMessage } from '../protocol/messages.ts';
import type { Platform, ReactionsState } from './client-types.ts';
import { openHttp } from './http-link.ts';
import type { Link, LinkEvents } from './link.ts';
import type { CheckedOptions } from './options.ts';
import { Reconnect, type Attempt, type Loss } from './reconnect.ts';
import { openSocket } from './socket-link.ts';

/** A connection that stood this long was of use. */
const STABLE_MS = 5_000;
const TOKEN_MS_MAX = 10_000;
/** Over HTTP, WebSocket is tried again after this time, and then after twice of it, up to the end. */
const PROBE_MS_FIRST = 60_000;
const PROBE_MS_MAX = 600_000;

export interface ConnectorEvents {
  /** A message of the region; the first of a connection is its `welcome`. */
  message(message: ServerMessage): void;
  state(state: ReactionsState): void;
  report(code: string, message: string, temporary: boolean): void;
  /** Nothing is tried any more. */
  stopped(): void;
}

export class Connector {
  /** The token that the present connection shows. */
  token: string | undefined;
  /** True while a region that goes away answers what it has, and takes nothing new. */
  isDraining = false;
  readonly #options: CheckedOptions;
  readonly #platform: Platform;
  readonly #on: ConnectorEvents;
  readonly #reconnect: Reconnect;
  #state: ReactionsState = 'disconnected';
  #attempt: Attempt;
  #link: Link | null = null;
  #probe: Link | null = null;
  #probeMs = PROBE_MS_FIRST;
  /** Counts connections, so that what a former one began is known as such. */
  #generation = 0;
  #cancelDial: Cancel = () => {};
  #cancelProbe: Cancel = () => {};
  #welcomedAt = Infinity;
  #wasUseful = false;
  #returnAt = 0;

  constructor(options: CheckedOptions, platform: Platform, on: ConnectorEvents) {
    this.#options = options;
    this.#platform = platform;
    this.#on = on;
    this.#reconnect = new Reconnect(options.endpoints, options.transport, options.getToken !== undefined);
    this.#attempt = this.#reconnect.attempt;
  }

  get state(): ReactionsState {
    return this.#state;
  }

  /** True from the region's welcome on. */
  get isReady(): boolean {
    return this.#link !== null && this.#welcomedAt !== Infinity;
  }

  get endpoint(): string {
    return this.#attempt.endpoint;
  }

  connect(): void {
    this.#connect(this.#reconnect.attempt);
  }

  disconnect(): void {
    this.#drop();
    this.#enter('disconnected');
  }

  hello(hello: Hello): void {
    this.#link?.hello(hello);
  }

  send(batches: readonly BatchMessage[]): void {
    this.#link?.send(batches);
  }

  /** The region counted something: whatever comes next, this connection was no failure. */
  markUseful(): void {
    this.#wasUseful = true;
  }

  /** The connection ended, or is of no use any more. */
  lost(loss: Pick<Loss, 'code' | 'reason' | 'wasSilent'>): void {
    this.#drop();
    const now = this.#platform.runtime.clock.now();
    const { next, error } = this.#reconnect.lost(
      {
        ...loss,
        wasWelcomed: this.#welcomedAt !== Infinity,
        wasStable: this.#wasUseful || now - this.#welcomedAt >= STABLE_MS,
        retryAfterMs: this.isDraining ? Math.max(0, this.#returnAt - now) : null,
      },
      this.#platform.runtime.random,
    );
    const generation = this.#generation;
    if (error !== null) this.#on.report(error.code, error.message, error.temporary);
    // A listener may have ended everything.
    if (generation !== this.#generation) return;
    if (next !== null) this.#connect(next);
    else this.#on.stopped();
  }

  /** A new token, within a bounded time; undefined where none is wanted. */
  askToken(): Promise<string | undefined> {
    const { getToken } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel = this.#platform.runtime.timers.after(TOKEN_MS_MAX, () => reject(new Error('getToken did not answer')));
      // Inside of a promise, so that one that throws at once is one that rejects.
      Promise.resolve()
        .then(() => getToken?.())
        .then(resolve, reject)
        .finally(cancel);
    });
  }

  #enter(state: ReactionsState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#on.state(state);
  }

  #connect(attempt: Attempt): void {
    this.#attempt = attempt;
    const generation = ++this.#generation;
    const isCurrent = (): boolean => generation === this.#generation;
    this.#cancelDial = this.#platform.runtime.timers.after(attempt.delayMs, () => {
      const { getToken, watchOnly } = this.#options;
      if (getToken === undefined || watchOnly) return this.#dial(undefined);
      this.askToken().then(
        (token) => isCurrent() && this.#dial(token),
        (error: unknown) => isCurrent() && this.#tokenFailed(error),
      );
    });
    this.#enter('connecting');
  }

  /** No word about the region, so that it is not left. */
  #tokenFailed(error: unknown): void {
    this.#connect(this.#reconnect.withoutToken(this.#platform.runtime.random));
    this.#on.report('token', error instanceof Error ? error.message : String(error), true);
  }

  #dial(token: string | undefined): void {
    this.token = token;
    this.#welcomedAt = Infinity;
    this.#wasUseful = false;
    this.isDraining = false;
    try {
      this.#link = this.#open(this.#attempt);
    } catch (error) {
      this.lost({ code: 1006, reason: (error as Error).message, wasSilent: false });
    }
  }

  /** @throws when the platform does not take the address */
  #open({ endpoint, overHttp }: Attempt): Link {
    const { WebSocket, fetch, runtime } = this.#platform;
    const { streamId } = this.#options;
    const events: LinkEvents = {
      message: (message) => {
        if (link === this.#probe && message.type === 'welcome') this.#leaveHttp(link);
        if (link === this.#link) this.#receive(message);
      },
      lost: (loss) => {
        if (link === this.#probe) this.#planProbe();
        else if (link === this.#link) this.lost(loss);
      },
      unreadable: () => this.#on.report('malformed', 'The region sends messages that this client cannot read', true),
    };
    if (overHttp ? fetch === undefined : WebSocket === undefined) throw new Error('There is no way to connect here');
    const link: Link = overHttp
      ? openHttp(fetch!, runtime, endpoint, streamId, events)
      : openSocket(WebSocket!, runtime.timers, `${endpoint}/streams/${streamId}/reactions`, events);
    return link;
  }

  #receive(message: ServerMessage): void {
    const now = this.#platform.runtime.clock.now();
    if (message.type === 'goaway') {
      this.isDraining = true;
      this.#returnAt = now + message.retry_after_ms;
    }
    if (message.type !== 'welcome') return this.#on.message(message);
    this.#welcomedAt = now;
    if (this.#attempt.overHttp) this.#planProbe();
    this.#on.message(message);
    if (this.#link !== null) this.#enter('connected');
  }

  #drop(): void {
    this.#generation += 1;
    this.#cancelDial();
    this.#cancelProbe();
    this.#probe?.close();
    this.#link?.close();
    this.#probe = this.#link = null;
  }

  #planProbe(): void {
    this.#probe = null;
    if (this.#options.transport === 'http' || this.#platform.WebSocket === undefined) return;
    this.#cancelProbe = this.#platform.runtime.timers.after(this.#probeMs, () => {
      this.#probe = this.#open({ ...this.#attempt, overHttp: false });
    });
    this.#probeMs = Math.min(PROBE_MS_MAX, this.#probeMs * 2);
  }

  #leaveHttp(link: Link): void {
    this.#link?.close();
    this.#link = link;
    this.#probe = null;
    this.#probeMs = PROBE_MS_FIRST;
    this.#reconnect.leaveHttp();
    this.#attempt = this.#reconnect.attempt;
  }
}
