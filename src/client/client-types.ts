/**
 * What an app sees of the player SDK: the options, the object, its events. Types only.
 *
 * The promises: nothing here ever throws into the app; every tap that `tap` took is counted at most
 * once, and exactly once when the region can be reached within five minutes.
 */

import type { Clock, Random, Timers } from '../../regions/runtime.ts';
import type { FrameMessage } from '../protocol/messages.ts';

export interface ReactionsOptions {
  /** The regions' origins, as `https://us.example`, nearest first. One is enough. */
  readonly endpoints: string | readonly string[];
  /** What is reacted to: `[A-Za-z0-9_-]{1,64}`. */
  readonly streamId: string;
  /** Who reacts. Default: the claim `sub` of the token, and without a token a random name for this run. */
  readonly viewerId?: string;
  /** Called anew for each connection, where the service wants tokens. May reject: that is tried again. */
  readonly getToken?: () => string | Promise<string>;
  /** Emoji id → glyph, shown until the region says its own. */
  readonly palette?: Palette;
  /** `auto` (default) takes WebSocket, and HTTP where WebSocket is blocked. */
  readonly transport?: 'auto' | 'websocket' | 'http';
  /** Never sends and shows no token: for walls and overlays. `tap` takes nothing. */
  readonly watchOnly?: boolean;
  /** Parts of the browser to replace, for tests and other places than browsers. */
  readonly platform?: Partial<Platform>;
}

export interface Reactions {
  /**
   * Takes `count` (default 1) taps of an emoji, and answers how many it took: fewer beyond the limit of
   * 20 a second after a burst of 200, and 0 for an unknown emoji, an ended stream, or once closed.
   */
  tap(emoji: string, count?: number): number;
  /** Answers a function that unsubscribes. What a listener throws is reported, and stops nothing. */
  on<Name extends keyof ReactionsEvents>(name: Name, listener: (event: ReactionsEvents[Name]) => void): () => void;
  /** Converged totals and one's own taps at once. A new object whenever a number changed; never changed itself. */
  readonly totals: Totals;
  /** Emoji id → glyph, in the order to show. The region's own from the first `connected` on. */
  readonly palette: Palette;
  readonly state: ReactionsState;
  /** The newest frame; null before the first. */
  readonly frame: Frame | null;
  /** The endpoint in use or being tried; null when there is none. */
  readonly endpoint: string | null;
  /** Sends what waits as the page's unload does, and ends. Calling it again does nothing. */
  close(): void;
}

export type Totals = Readonly<Record<string, number>>;
export type Palette = Readonly<Record<string, string>>;
export type Level = FrameMessage['level'];
export type Frame = Omit<FrameMessage, 'type'>;

/** `disconnected` while paused (offline, hidden page), after a permanent error, and once closed. */
export type ReactionsState = 'disconnected' | 'connecting' | 'connected';

export interface ReactionsEvents {
  /** The crowd, four to five times a second while something happens. `totals` here are without the echo. */
  readonly frame: Frame;
  /** `reactions.totals` changed: by a frame, an own tap, or what became of it. */
  readonly totals: Totals;
  readonly state: ReactionsState;
  readonly pace: Pace;
  /** An own batch was answered. */
  readonly ack: AckEvent;
  readonly discontinuity: Discontinuity;
  readonly error: ReactionsError;
}

/** How long taps are gathered from now on, and the rung of the degradation ladder. */
export interface Pace {
  readonly batchMs: number;
  readonly level: Level;
}

export interface AckEvent {
  /** Taps of the batch that count. */
  readonly accepted: number;
  /** Taps beyond the viewer's limit, which do not. */
  readonly clamped: number;
  /** Milliseconds from the first tap of the batch to its answer. */
  readonly tapToAckMs: number;
}

/** Something between the last frame and the next is not a continuation. */
export interface Discontinuity {
  /**
   * `reconnected`: frames were missed. `moved`: they come from another region, whose totals may differ for
   * a moment. `in-doubt`: taps stayed unanswered for five minutes, and nobody can tell whether they
   * count. `dropped`: taps were never sent, and do not count. `corrected`: taps of the crowd that were counted
   * were taken back, by moderators or because they had been counted twice; totals are lower by them.
   */
  readonly reason: 'reconnected' | 'moved' | 'in-doubt' | 'dropped' | 'corrected';
  /** How many taps it is about; 0 for the first two. */
  readonly taps: number;
}

export interface ReactionsError {
  /** A problem name of the protocol, or `unreachable`, `invalid-options`, `token`. */
  readonly code: string;
  readonly message: string;
  /** True when the SDK goes on trying by itself; false when it has given up on what failed. */
  readonly temporary: boolean;
}

export type Delays = Pick<Timers, 'after'>;

/** The parts of a browser that the SDK stands on. */
export interface Platform {
  readonly runtime: { readonly clock: Clock; readonly timers: Delays; readonly random: Random };
  readonly WebSocket: (new (url: string, protocol: string) => SocketLike) | undefined;
  readonly fetch: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** The window and its document, for their events; undefined outside of pages. */
  readonly page: PageLike | undefined;
  /** Told of errors in the app's listeners. */
  reportError(error: unknown): void;
}

/** What is needed of a `WebSocket`. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
  /** Called with `{data}`. */
  onmessage: ((event: never) => void) | null;
  /** Called with `{code, reason}`. */
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

/** What is needed of `window`. */
export interface PageLike {
  readonly document: Pick<EventTarget, 'addEventListener' | 'removeEventListener'> & { readonly visibilityState: string };
  addEventListener(name: string, listener: (event: Event) => void): void;
  removeEventListener(name: string, listener: (event: Event) => void): void;
}
