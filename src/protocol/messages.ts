/**
 * The messages between a client and an edge over WebSocket. Runs in browsers too.
 *
 * `ovation.v1.json` carries these objects as JSON text frames; `ovation.v1.msgpack` carries them as
 * positional msgpack arrays in binary frames (`msgpack-codec.ts`). `docs/PROTOCOL.md` is the
 * reference for implementers.
 */

export const SUBPROTOCOL_JSON = 'ovation.v1.json';
export const SUBPROTOCOL_MSGPACK = 'ovation.v1.msgpack';

/** Taps of one emoji in one batch at most. */
export const TAPS_PER_REACTION_MAX = 10_000;
/** Different emoji in one batch at most. */
export const REACTIONS_PER_BATCH_MAX = 32;
/** Batches that a client may have unacknowledged. */
export const BATCHES_IN_FLIGHT_MAX = 32;
/** How long a client may resend a batch. */
export const RESEND_MS_MAX = 5 * 60_000;
/** Regions that a batch may have been sent to before the present one. */
export const VIA_MAX = 8;

export interface Hello {
  readonly type: 'hello';
  readonly session_id: string;
  readonly viewer_id: string;
  readonly token?: string;
  /** The lowest sequence number that is not acknowledged yet, after a reconnect. */
  readonly unacked_from?: number;
  /** What the viewer's app calls its device, for limits per device; a claim of the token wins. */
  readonly device_id?: string;
}

export interface BatchMessage {
  readonly type: 'batch';
  readonly seq: number;
  readonly reactions: readonly { readonly emoji_id: string; readonly count: number }[];
  /** The client's clock, milliseconds since the epoch. */
  readonly timestamp: number;
  /**
   * Where it may have been received before it came here: the regions of its earlier sendings in their order, no
   * region twice in a row, without the present visit. Absent when there is none.
   */
  readonly via?: readonly string[];
}

export type ClientMessage = Hello | BatchMessage;

export interface Welcome {
  readonly type: 'welcome';
  readonly region: string;
  /** Emoji id → glyph, in the order to show. */
  readonly palette: Readonly<Record<string, string>>;
  readonly batch_ms: number;
  readonly frame_ms: number;
  readonly totals: Readonly<Record<string, number>>;
}

export interface Ack {
  readonly type: 'ack';
  readonly seq: number;
  readonly accepted: number;
  readonly clamped: number;
  readonly duplicate: boolean;
}

/** A batch, or a whole message (seq 0), that was not counted. */
export interface ErrorMessage {
  readonly type: 'error';
  readonly seq: number;
  /** A problem name, see `problems.ts`. */
  readonly code: string;
  readonly message: string;
  /** True when resending later can succeed. */
  readonly temporary: boolean;
  readonly retry_after_ms?: number;
}

export interface FrameMessage {
  readonly type: 'frame';
  readonly region: string;
  readonly at: number;
  readonly level: 'exact' | 'relaxed' | 'hearts' | 'static';
  readonly totals: Readonly<Record<string, number>>;
  readonly rates: Readonly<Record<string, number>>;
  readonly hints: Readonly<Record<string, number>>;
  readonly viewers: number;
  /** Region → milliseconds since its last word; null when it never spoke. */
  readonly staleness: Readonly<Record<string, number | null>>;
  /** Taps of all emoji that were counted and taken back since the stream began; absent while 0. */
  readonly corrected?: number;
}

export interface Pace {
  readonly type: 'pace';
  readonly batch_ms: number;
  readonly level: FrameMessage['level'];
  /** The palette from now on, when it has changed. */
  readonly palette?: Readonly<Record<string, string>>;
}

export interface Goaway {
  readonly type: 'goaway';
  readonly retry_after_ms: number;
}

export type ServerMessage = Welcome | Ack | ErrorMessage | FrameMessage | Pace | Goaway;
