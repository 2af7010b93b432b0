/**
 * Close codes of the WebSocket. 4400–4499 are permanent: do not reconnect with the same input.
 * 4500–4599, like 1001, 1006, 1012 and 1013, ask for a reconnect with backoff.
 */

export const CLOSE_CODES = {
  malformed: 4400,
  unauthenticated: 4401,
  forbidden: 4403,
  'not-found': 4404,
  'stream-ended': 4410,
  'stream-draining': 4423,
  overloaded: 4503,
  'hello-timeout': 4508,
  'rate-limited': 4529,
} as const;

export type CloseReason = keyof typeof CLOSE_CODES;

/** The region is going away in good order; another, or this one later, takes over. */
export const CLOSE_RESTART = 1012;

// What WebSocket libraries send by themselves for broken frames, unwanted kinds of data, broken
// UTF-8, a broken policy, a message too large, a missing extension: the same input breaks again.
const PERMANENT = new Set([1002, 1003, 1007, 1008, 1009, 1010]);

/** True when a client may reconnect after this code. */
export function mayReconnect(code: number): boolean {
  return !(PERMANENT.has(code) || (code >= 4400 && code <= 4499));
}
