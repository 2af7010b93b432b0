/** What an edge is built from. Everything that touches the world comes in here. */

import type { StreamId } from '../../crdt/ids.ts';
import type { Log, Runtime } from '../../regions/runtime.ts';
import type { Ingest } from '../aggregator/ingest.ts';
import type { FlaggedViewer } from '../antispam/flagged.ts';
import type { PolicyChange } from '../analytics/policy-changes.ts';
import type { HistoryPoint, HistoryQuery, StoredEntry } from '../analytics/window-store.ts';
import type { FrameFeed } from '../broadcaster/frame-feed.ts';
import type { ControlPlane } from '../moderation/control-plane.ts';
import type { PolicyOf } from '../moderation/policy.ts';

/** The key that tokens are verified with; null lets everybody in. */
export type TokenKey = { readonly secret: string } | { readonly jwksUrl: string } | null;

export interface EdgeOptions {
  readonly region: string;
  /** The edge's part of the region's configuration. */
  readonly config: {
    readonly host: string;
    readonly port: number;
    /** Origins that browsers may connect from; `*` for any. */
    readonly origins: readonly string[];
    readonly jwt: TokenKey;
    /** Proxies of one's own in front, whose `X-Forwarded-For` is believed; none when absent. */
    readonly proxies?: number;
    /** Connections of viewers at most. */
    readonly viewersMax: number;
  };
  readonly ingest: Ingest;
  readonly feed: FrameFeed;
  /** Null without a database of windows. */
  readonly history: ((query: HistoryQuery) => Promise<HistoryPoint[]>) | null;
  readonly stored: ((stream: StreamId) => Promise<StoredEntry[]>) | null;
  /** Whom the region takes for programs on a stream. */
  readonly flagged?: (stream: StreamId) => Promise<readonly FlaggedViewer[]>;
  /** What the region knows of its peers, for people. */
  readonly peers: () => object;
  readonly policyOf: PolicyOf;
  /** Without it everybody is let in, and posts are refused by the shards alone. */
  readonly overload?: Overload;
  /** Without it nobody can moderate here. */
  readonly control?: EdgeControl;
  /** Where the bundle of the console lies; the build's own folder when absent. */
  readonly consoleFolder?: string;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Milliseconds from the arrival of a batch to its acknowledgement. */
  readonly observeAckMs?: (ms: number) => void;
  readonly limits?: Partial<EdgeLimits>;
}

/** What moderators reach through the edge. */
export interface EdgeControl {
  readonly plane: ControlPlane;
  /** Whether the region's log holds a document as it is now; always when absent. */
  readonly isKept?: (document: string) => boolean;
  /** The latest changes of a document, newest first; null without a database. */
  readonly changes: ((document: string, limit: number) => Promise<PolicyChange[]>) | null;
  readonly limits?: Partial<ControlLimits>;
}

/** How an edge learns that its region bears no more. */
export interface Overload {
  /** After how many milliseconds a post is to come again, because it would only be refused once it was read; null when it would not. */
  readonly postAgainMs: () => number | null;
  /** Whether no further viewers are let in. */
  readonly isFull: () => boolean;
}

/** Every bound of the edge. */
export interface EdgeLimits {
  /** How long an answer of the aggregator, the feed or the database is waited for. */
  readonly answerMsMax: number;
  /** A socket that has not said hello by then may only watch. */
  readonly helloMs: number;
  /** Silence after which a socket is pinged, and after twice of which it is cut. */
  readonly keepaliveMs: number;
  /** Messages, pings and pongs that nobody asked for of one socket: sustained, and in a burst. */
  readonly messagesPerSecondMax: number;
  readonly messageBurstMax: number;
  /** Refused messages after which a socket is closed. */
  readonly excessMessagesMax: number;
  /** Reactions posted over HTTP by one viewer. */
  readonly postsPerSecondMax: number;
  /** Reactions posted over HTTP that wait for their commit. */
  readonly postsInFlightMax: number;
  /** A connection that takes in nothing for this long is cut. */
  readonly stuckMs: number;
  /** One that takes in less than it makes us answer is cut when so much waits for it. */
  readonly waitingBytesMax: number;
  /** Sockets that are told why they are refused at one time; beyond them who is refused is cut without a word. */
  readonly refusalsMax: number;
}

export const EDGE_LIMITS: EdgeLimits = Object.freeze({
  answerMsMax: 5_000,
  helloMs: 5_000,
  keepaliveMs: 30_000,
  messagesPerSecondMax: 20,
  // A client that returns resends its 32 unacknowledged batches at once.
  messageBurstMax: 100,
  excessMessagesMax: 100,
  postsPerSecondMax: 100,
  postsInFlightMax: 8_192,
  stuckMs: 30_000,
  waitingBytesMax: 64 * 1024,
  refusalsMax: 1_024,
});

/** Every bound of a moderator's socket. */
export interface ControlLimits {
  readonly socketsMax: number;
  /** Upgrades whose token is being verified at one time; beyond them upgrades are cut. */
  readonly arrivalsMax: number;
  /** Sockets that are told why they are refused at one time; beyond them who is refused is cut without a word. */
  readonly refusalsMax: number;
  /** Messages, pings and pongs that nobody asked for of one socket, each 4 KiB of a message or of its answer counting as one more: sustained, and in a burst. */
  readonly messagesPerSecondMax: number;
  readonly messageBurstMax: number;
  /** What may wait to be sent to one socket. */
  readonly bufferedBytesMax: number;
  /** How often something is said, so that the provider does not take the connection for dead. */
  readonly keepAliveMs: number;
  /** Silence after which a socket is pinged, and after twice of which it is cut. */
  readonly silentMs: number;
}

export const CONTROL_LIMITS: ControlLimits = Object.freeze({
  socketsMax: 256,
  arrivalsMax: 64,
  refusalsMax: 64,
  messagesPerSecondMax: 20,
  messageBurstMax: 200,
  bufferedBytesMax: 1024 * 1024,
  keepAliveMs: 10_000,
  silentMs: 30_000,
});

/** Bytes of the body of a POST at most. */
export const BODY_BYTES_MAX = 64 * 1024;
/** Bytes of a WebSocket message from a client at most. */
export const MESSAGE_BYTES_MAX = 4096;

/** True when a browser on a page of this origin may use the edge; what is no browser sends no origin. */
export function isAllowedOrigin(origins: readonly string[], origin: string | undefined): boolean {
  return origin === undefined || origins.includes('*') || origins.includes(origin);
}
