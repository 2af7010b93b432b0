/**
 * The connector: keeps one connection to one region, whichever way it travels, for as long as it is wanted.
 *
 * What to do after a loss is decided by `reconnect.ts`; this file asks for tokens, dials, waits, and, while it
 * has to make do with HTTP or a further endpoint, looks from time to time whether there is a better way [SDK-17].
 */

import type { Cancel } from '../../regions/runtime.ts';
import type { BatchMessage, Hello, ServerMessage } from '../protocol/messages.ts';
import type { Platform, ReactionsState } from './client-types.ts';
import { openHttp } from './http-link.ts';
import type { Link, LinkEvents } from './link.ts';
import type { CheckedOptions } from './options.ts';
import { Reconnect, type Loss, type Way } from './reconnect.ts';
import { openSocket } from './socket-link.ts';

/** A connection that stood this long was of use. */
const STABLE_MS = 5_000;
const TOKEN_MS_MAX = 10_000;
/** A better way is looked for after about this time, and then after twice of it, up to the end. */
const PROBE_MS_FIRST = 10_000;
/** A connection that stood this long lets the pauses begin anew: who goes home to a region that soon fails goes ever more rarely. */
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
  readonly #options: CheckedOptions;
  readonly #platform: Platform;
  readonly #on: ConnectorEvents;
  readonly #reconnect: Reconnect;
  #state: ReactionsState = 'disconnected';
  #link: Link | null = null;
  #probe: Link | null = null;
  #probeMs = PROBE_MS_FIRST;
  /** Counts connections, so that what a former one began is known as such. */
  #generation = 0;
  /** Of the one timer: of the next connection, or of the next look for a better one. */
  #cancelTimer: Cancel = () => {};
  #welcomedAt = Infinity;
  #wasUseful = false;
  /** What a region that goes away asked for. */
  #retryAfterMs: number | null = null;

  constructor(options: CheckedOptions, platform: Platform, on: ConnectorEvents) {
    this.#options = options;
    this.#platform = platform;
    this.#on = on;
    const { endpoints, transport, getToken } = options;
    const canUseSocket = platform.WebSocket !== undefined || transport === 'websocket';
    this.#reconnect = new Reconnect(endpoints, canUseSocket ? transport : 'http', getToken !== undefined);
  }

  get state(): ReactionsState {
    return this.#state;
  }

  /** True from the region's welcome on. */
  get isReady(): boolean {
    return this.#link !== null && this.#welcomedAt !== Infinity;
  }

  /** True while a region that goes away answers what it has, and takes nothing new. */
  get isDraining(): boolean {
    return this.#retryAfterMs !== null;
  }

  get endpoint(): string {
    return this.#reconnect.way.endpoint;
  }

  connect(): void {
    this.#connect(0);
  }

  disconnect(): void {
    this.#drop();
    this.#enter('disconnected');
  }

  hello(hello: Hello): void {
    this.#link?.hello(hello);
  }

  send(batches: readonly BatchMessage[]): void {
    // A batch before the hello would end it for good.
    if (this.isReady) this.#link!.send(batches);
  }

  /** The region counted something: whatever comes next, this connection was no failure. */
  markUseful(): void {
    this.#wasUseful = true;
  }

  /** The connection ended, or is of no use any more. */
  lost(loss: Pick<Loss, 'code' | 'reason' | 'wasSilent'>): void {
    // A listener may have ended everything before it could be said.
    if (this.#state === 'disconnected') return;
    this.#drop();
    const stoodMs = this.#platform.runtime.clock.now() - this.#welcomedAt;
    if (stoodMs >= PROBE_MS_MAX) this.#probeMs = PROBE_MS_FIRST;
    const { delayMs, error } = this.#reconnect.lost(
      {
        ...loss,
        wasWelcomed: this.#welcomedAt !== Infinity,
        wasStable: this.#wasUseful || stoodMs >= STABLE_MS,
        // From now on, however long it drained: those whose time had passed by then would all come at once.
        retryAfterMs: this.#retryAfterMs,
      },
      this.#platform.runtime.random,
    );
    const generation = this.#generation;
    if (error !== null) this.#on.report(error.code, error.message, error.temporary);
    // A listener may have ended everything.
    if (generation !== this.#generation) return;
    if (delayMs !== null) this.#connect(delayMs);
    else this.#on.stopped();
  }

  /** A new token, within a bounded time; undefined where none is wanted. */
  askToken(): Promise<string | undefined> {
    const { getToken, watchOnly } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel = this.#platform.runtime.timers.after(TOKEN_MS_MAX, () => reject(new Error('getToken did not answer')));
      // Inside of a promise, so that one that throws at once is one that rejects.
      Promise.resolve()
        .then(() => (watchOnly ? undefined : getToken?.()))
        .then(resolve, reject)
        .finally(cancel);
    });
  }

  #enter(state: ReactionsState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#on.state(state);
  }

  #connect(delayMs: number): void {
    this.#generation += 1;
    this.#tokenAfter(delayMs, (token) => this.#dial(token), (error) => this.#tokenFailed(error));
    this.#enter('connecting');
  }

  /** Asks for a token after a time, and goes on with it, unless another connection has begun by then. */
  #tokenAfter(delayMs: number, goOn: (token: string | undefined) => void, failed: (error: unknown) => void): void {
    const generation = this.#generation;
    const isCurrent = (): boolean => generation === this.#generation;
    this.#cancelTimer = this.#platform.runtime.timers.after(delayMs, () => {
      this.askToken()
        .then((token) => isCurrent() && goOn(token))
        .catch((error: unknown) => isCurrent() && failed(error));
    });
  }

  /** No word about the region, so that it is not left. */
  #tokenFailed(error: unknown): void {
    this.#connect(this.#reconnect.withoutToken(this.#platform.runtime.random));
    this.#on.report('token', error instanceof Error ? error.message : String(error), true);
  }

  #dial(token: string | undefined): void {
    this.#begin(token);
    try {
      this.#link = this.#open(this.#reconnect.way, token);
    } catch (error) {
      this.lost({ code: 1006, reason: (error as Error).message });
    }
  }

  #begin(token: string | undefined): void {
    this.token = token;
    this.#welcomedAt = Infinity;
    this.#wasUseful = false;
    this.#retryAfterMs = null;
  }

  /** @throws when the platform does not take the address */
  #open(way: Way, token: string | undefined): Link {
    const { WebSocket, fetch, runtime } = this.#platform;
    const { streamId } = this.#options;
    const { endpoint, overHttp } = way;
    const events: LinkEvents = {
      message: (message) => {
        if (link === this.#probe && message.type === 'welcome') {
          this.#probe = null;
          this.#drop();
          this.#reconnect.take(way);
          this.#begin(token);
          this.#link = link;
        }
        if (link === this.#link) this.#receive(message);
      },
      lost: (loss) => {
        if (link === this.#probe) this.#planProbe();
        else if (link === this.#link) this.lost(loss);
      },
      unreadable: () => this.#on.report('malformed', 'The region sends unreadable messages', true),
    };
    if (overHttp ? fetch === undefined : WebSocket === undefined) throw new Error('No way to connect');
    const link: Link = overHttp
      ? openHttp(fetch!, runtime, endpoint, streamId, events)
      : openSocket(WebSocket!, runtime.timers, `${endpoint}/streams/${streamId}/reactions`, events);
    return link;
  }

  #receive(message: ServerMessage): void {
    if (message.type === 'goaway') this.#retryAfterMs = message.retry_after_ms;
    if (message.type !== 'welcome') return this.#on.message(message);
    this.#welcomedAt = this.#platform.runtime.clock.now();
    this.#reconnect.welcomed();
    this.#planProbe();
    this.#on.message(message);
    if (this.#link !== null) this.#enter('connected');
  }

  #drop(): void {
    this.#generation += 1;
    this.#cancelTimer();
    this.#probe?.close();
    this.#link?.close();
    this.#probe = this.#link = null;
  }

  #planProbe(): void {
    this.#probe = null;
    const better = this.#reconnect.better();
    if (better === null) return;
    // A crowd that was moved together must not come home together.
    const delayMs = this.#probeMs * (0.5 + this.#platform.runtime.random.next());
    this.#probeMs = Math.min(PROBE_MS_MAX, this.#probeMs * 2);
    const look = (token: string | undefined): void => void (this.#probe = this.#open(better, token));
    this.#tokenAfter(delayMs, look, () => this.#planProbe());
  }
}
