/**
 * Problem types: every way in which Ovation says no, over HTTP (RFC 9457) and over WebSocket.
 *
 * `type` in a problem document is `urn:ovation:problem:<name>`. `temporary` says whether the same
 * request can succeed later.
 */

export interface ProblemType {
  readonly status: number;
  readonly title: string;
  readonly temporary: boolean;
}

export const PROBLEMS = {
  malformed: { status: 400, title: 'The request cannot be read', temporary: false },
  'invalid-batch': { status: 422, title: 'The batch does not follow the rules', temporary: false },
  'unknown-emoji': { status: 422, title: 'The emoji is not in the palette of the stream', temporary: false },
  'stale-sequence': { status: 422, title: 'The sequence number lies below the window of the session', temporary: false },
  unauthenticated: { status: 401, title: 'A valid token is needed', temporary: false },
  forbidden: { status: 403, title: 'The token does not allow this', temporary: false },
  'not-found': { status: 404, title: 'There is nothing here', temporary: false },
  'request-timeout': { status: 408, title: 'The request took too long to arrive', temporary: true },
  'stream-ended': { status: 410, title: 'The stream has ended', temporary: false },
  'too-large': { status: 413, title: 'The request is too large', temporary: false },
  'wrong-region': { status: 421, title: 'Another region than the one asked for', temporary: true },
  'unsupported-media-type': { status: 415, title: 'Send application/json or application/msgpack', temporary: false },
  'rate-limited': { status: 429, title: 'Too many requests', temporary: true },
  'headers-too-large': { status: 431, title: 'The headers are too large', temporary: false },
  internal: { status: 500, title: 'Something broke on our side', temporary: true },
  overloaded: { status: 503, title: 'The region is at its limit; nothing was counted', temporary: true },
  unavailable: { status: 503, title: 'The shard is not ready; nothing was acknowledged', temporary: true },
  'history-unavailable': { status: 503, title: 'The database of windows is not available', temporary: true },
} as const satisfies Record<string, ProblemType>;

/** `Content-Type` of a problem document. */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export type ProblemName = keyof typeof PROBLEMS;

export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  /** After so long the same may be sent again. */
  readonly retry_after_ms?: number;
}

export function problemDocument(name: ProblemName, detail?: string, retryAfterMs?: number): ProblemDocument {
  const { title, status } = PROBLEMS[name];
  const more = { ...(detail === undefined ? {} : { detail }), ...(retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }) };
  return { type: `urn:ovation:problem:${name}`, title, status, ...more };
}
