/**
 * What to do after a connection ended: try again, where, how, and when; or stop. Pure.
 *
 * Waits are 0.5 to 20 s with full jitter, growing with each round through the endpoints [SDK-9]. An
 * endpoint is left when it cannot be reached, falls silent or is full; one that closes in order is tried
 * once more first. Close codes 4400–4499 and their like end it, but for two: a token may have run out
 * while it travelled, so a new one is tried once, and another endpoint may be the right one.
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
  readonly wasSilent: boolean;
  /** What a `goaway` asked for; null without one. */
  readonly retryAfterMs: number | null;
}

export interface Attempt {
  readonly endpoint: string;
  readonly overHttp: boolean;
  readonly delayMs: number;
}

/** What to do next (null: nothing any more), and what to tell the app (null: nothing). */
export interface Decision {
  readonly next: Attempt | null;
  readonly error: ReactionsError | null;
}

/** The close code, of our own making, of what does not speak the protocol. It never travels. */
export const NOT_OVATION = 4499;
const WAIT_MS_FIRST = 500;
const WAIT_MS_MAX = 20_000;
const BLOCKED_AFTER = 3;
const CODE_NAMES = new Map<number, string>(Object.entries(CLOSE_CODES).map(([name, code]) => [code, name]));

/** Full jitter: anywhere between nothing and a ceiling that doubles, so that a crowd does not return as one. */
export function waitMs(round: number, random: Random): number {
  return random.next() * Math.min(WAIT_MS_MAX, WAIT_MS_FIRST * 2 ** (round - 1));
}

export class Reconnect {
  readonly #endpoints: string[];
  readonly #transport: 'auto' | 'websocket' | 'http';
  readonly #canRenewToken: boolean;
  #index = 0;
  #failures = 0;
  /** Attempts in a row since a WebSocket got as far as a welcome. */
  #unwelcomed = 0;
  #hasRenewedToken = false;
  #overHttp: boolean;

  constructor(endpoints: readonly string[], transport: 'auto' | 'websocket' | 'http', canRenewToken: boolean) {
    this.#endpoints = [...endpoints];
    this.#transport = transport;
    this.#canRenewToken = canRenewToken;
    this.#overHttp = transport === 'http';
  }

  get attempt(): Attempt {
    return { endpoint: this.#endpoints[this.#index]!, overHttp: this.#overHttp, delayMs: 0 };
  }

  lost(loss: Loss, random: Random): Decision {
    const { code, reason } = loss;
    const error = { code: CODE_NAMES.get(code) ?? 'unreachable', message: reason, temporary: false };
    if (loss.wasStable) {
      this.#failures = 0;
      this.#hasRenewedToken = false;
    }
    if (code === NOT_OVATION || code === CLOSE_CODES['not-found']) {
      this.#endpoints.splice(this.#index, 1);
      this.#index %= Math.max(1, this.#endpoints.length);
      const message = `No Ovation at this endpoint: ${reason}`;
      return { next: this.#endpoints.length === 0 ? null : this.#wait(1, random), error: { ...error, code: 'not-found', message } };
    }
    if (code === CLOSE_CODES.unauthenticated && this.#canRenewToken && !this.#hasRenewedToken) {
      this.#hasRenewedToken = true;
      return { next: this.#wait(1, random), error: null };
    }
    if (!mayReconnect(code)) return { next: null, error };
    const { retryAfterMs } = loss;
    if (retryAfterMs !== null && loss.wasStable) return { next: { ...this.attempt, delayMs: retryAfterMs }, error: null };
    // A region that says goodbye after each welcome is no better than one that fails.
    return this.#failed(loss, { ...error, temporary: true }, retryAfterMs ?? 0, random);
  }

  /** The app had no token to connect with. */
  withoutToken(random: Random): Attempt {
    this.#failures += 1;
    return this.#wait(this.#failures, random);
  }

  /** The next connection is over WebSocket again. */
  leaveHttp(): void {
    this.#overHttp = false;
    this.#unwelcomed = 0;
  }

  #failed(loss: Loss, error: ReactionsError, waitMsMin: number, random: Random): Decision {
    this.#failures += 1;
    if (!loss.wasWelcomed) this.#unwelcomed += 1;
    else if (!this.#overHttp) this.#unwelcomed = 0;
    const endpoints = this.#endpoints.length;
    const isLeft = !loss.wasWelcomed || loss.wasSilent || loss.code === CLOSE_CODES.overloaded;
    // Where WebSocket seems blocked each endpoint is tried both ways, because it may as well be the network.
    const triesHttp = this.#transport === 'auto' && this.#unwelcomed >= BLOCKED_AFTER && !this.#overHttp;
    if (isLeft && !triesHttp) this.#index = (this.#index + 1) % endpoints;
    this.#overHttp = triesHttp || this.#transport === 'http';
    // Told once no endpoint is left that was not tried, or none that keeps what it welcomes.
    const isTold = this.#unwelcomed === endpoints || (loss.wasWelcomed && this.#failures > endpoints);
    const next = this.#wait(Math.ceil(this.#failures / endpoints), random);
    return { next: { ...next, delayMs: Math.max(next.delayMs, waitMsMin) }, error: isTold ? error : null };
  }

  #wait(round: number, random: Random): Attempt {
    return { ...this.attempt, delayMs: waitMs(round, random) };
  }

}
