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
  'too-large': 4413,
  'rate-limited': 4529,
  overloaded: 4503,
  'hello-timeout': 4508,
  draining: 4512,
} as const;

export type CloseReason = keyof typeof CLOSE_CODES;

/** True when a client may reconnect after this code. */
export function mayReconnect(code: number): boolean {
  return !(code >= 4400 && code <= 4499);
}
