/**
 * What to do after a connection ended: try again, where, how, and when; or stop. Pure.
 *
 * Waits are 0.5 to 20 s with full jitter, growing with each round through the endpoints [SDK-9]. An
 * endpoint is left when it cannot be reached, falls silent or is full; one that closes in order is tried
 * once more first. Close codes 4400–4499 and their like end it, but for three: a token may have run out
 * while it travelled, so a new one is tried once; another endpoint may be the right one, and one that has welcomed us is;
 * and who was there before a stream began to drain goes on [SDK-20].
 */

import type { Random } from '../../regions/runtime.ts';
import { CLOSE_CODES, mayReconnect } from '../protocol/close-codes.ts';
import type { ReactionsError } from './client-types.ts';

export interface Loss {
  /** A close code; 1006 when there is none. */
  readonly code: number;
  readonly reason: string;
  /** True when the region had welcomed us. */
  readonly wasWelcomed: boolean;
  /** True when the connection was of use: it stood for a while, or a batch was acknowledged. */
  readonly wasStable: boolean;
  /** The region fell silent, so it may be cut off. */
  readonly wasSilent?: boolean;
  /** What a `goaway` asked for; null without one. */
  readonly retryAfterMs: number | null;
}

export interface Way {
  readonly endpoint: string;
  readonly overHttp: boolean;
}

/** When to go the present way (null: never any more), and what to tell the app (null: nothing). */
export interface Decision {
  readonly delayMs: number | null;
  readonly error: ReactionsError | null;
}

/** The close code, of our own making, of what does not speak the protocol. It never travels. */
export const NOT_OVATION = 4499;
const WAIT_MS_FIRST = 500;
const WAIT_MS_MAX = 20_000;
const BLOCKED_AFTER = 3;
const CODE_NAMES = new Map<number, string>(Object.entries(CLOSE_CODES).map(([name, code]) => [code, name]));

/** Full jitter: anywhere between nothing and a ceiling that doubles, so that a crowd does not return as one. */
function waitMs(round: number, random: Random): number {
  return random.next() * Math.min(WAIT_MS_MAX, WAIT_MS_FIRST * 2 ** (round - 1));
}

export class Reconnect {
  readonly #endpoints: string[];
  readonly #transport: 'auto' | 'websocket' | 'http';
  readonly #canRenewToken: boolean;
  #index = 0;
  #failures = 0;
  /** Attempts in a row since a WebSocket got through. */
  #unwelcomed = 0;
  /** Endpoints that have welcomed us. */
  readonly #known = new Set<string>();
  #welcomes = 0;
  #probes = 0;
  #hasRenewedToken = false;
  #overHttp: boolean;

  constructor(endpoints: readonly string[], transport: 'auto' | 'websocket' | 'http', canRenewToken: boolean) {
    this.#endpoints = [...endpoints];
    this.#transport = transport;
    this.#canRenewToken = canRenewToken;
    this.#overHttp = transport === 'http';
  }

  get way(): Way {
    return { endpoint: this.#endpoints[this.#index]!, overHttp: this.#overHttp };
  }

  /** A region said so at the present endpoint. */
  welcomed(): void {
    this.#known.add(this.way.endpoint);
    this.#welcomes += 1;
  }

  lost(loss: Loss, random: Random): Decision {
    const { code, reason, retryAfterMs } = loss;
    const error = { code: CODE_NAMES.get(code) ?? 'unreachable', message: reason, temporary: false };
    if (loss.wasStable) {
      this.#failures = 0;
      this.#hasRenewedToken = false;
    }
    const isForeign = code === NOT_OVATION || code === CLOSE_CODES['not-found'];
    if (isForeign && (loss.wasWelcomed || !this.#known.has(this.way.endpoint))) {
      const isLast = this.#endpoints.length === 1;
      if (!isLast) this.#endpoints.splice(this.#index, 1);
      this.#index %= this.#endpoints.length;
      const message = `No Ovation at this endpoint: ${reason}`;
      return { delayMs: isLast ? null : waitMs(1, random), error: { ...error, code: 'not-found', message } };
    }
    if (code === CLOSE_CODES.unauthenticated && this.#canRenewToken && !this.#hasRenewedToken) {
      this.#hasRenewedToken = true;
      return { delayMs: waitMs(1, random), error: null };
    }
    const passes = isForeign || (code === CLOSE_CODES['stream-draining'] && this.#welcomes > 1);
    if (!mayReconnect(code) && !passes) return { delayMs: null, error };
    if (retryAfterMs !== null && loss.wasStable) return { delayMs: retryAfterMs, error: null };
    // A region that says goodbye after each welcome is no better than one that fails.
    return this.#failed(loss, { ...error, temporary: true }, retryAfterMs ?? 0, random);
  }

  /** How long to wait, because the app had no token to connect with. */
  withoutToken(random: Random): number {
    this.#failures += 1;
    return waitMs(this.#failures, random);
  }

  /** What would be better than the present way, each in turn: a nearer endpoint, a WebSocket. Null when nothing would. */
  better(): Way | null {
    const bySocket = this.#transport === 'http' ? 0 : this.#index + Number(this.#overHttp);
    const all = bySocket + (this.#overHttp ? this.#index : 0);
    if (all === 0) return null;
    const turn = this.#probes++ % all;
    const overHttp = turn >= bySocket;
    return { endpoint: this.#endpoints[overHttp ? turn - bySocket : turn]!, overHttp };
  }

  /** A better way was found. */
  take({ endpoint, overHttp }: Way): void {
    this.#index = this.#endpoints.indexOf(endpoint);
    this.#overHttp = overHttp;
    this.#unwelcomed = 0;
  }

  #failed(loss: Loss, error: ReactionsError, waitMsMin: number, random: Random): Decision {
    this.#failures += 1;
    const gotThrough = loss.wasWelcomed || loss.code !== 1006;
    if (!gotThrough) this.#unwelcomed += 1;
    else if (!this.#overHttp) this.#unwelcomed = 0;
    const endpoints = this.#endpoints.length;
    const isLeft = !loss.wasWelcomed || loss.wasSilent || loss.code === CLOSE_CODES.overloaded;
    // Where WebSocket seems blocked each endpoint is tried both ways, because it may as well be the network.
    const isBlocked = this.#unwelcomed >= BLOCKED_AFTER || loss.code === CLOSE_CODES['stream-draining'];
    const triesHttp = isBlocked && !this.#overHttp && this.#transport === 'auto';
    if (isLeft && !triesHttp) this.#index = (this.#index + 1) % endpoints;
    this.#overHttp = triesHttp || this.#transport === 'http';
    // Told once no endpoint is left that was not tried, or none that keeps what it welcomes.
    const isTold = this.#unwelcomed === endpoints || (gotThrough && this.#failures > endpoints);
    const delayMs = Math.max(waitMsMin, waitMs(Math.ceil(this.#failures / endpoints), random));
    return { delayMs, error: isTold ? error : null };
  }
}
