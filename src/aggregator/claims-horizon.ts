/**
 * How far back sessions are remembered for claims. Pure.
 *
 * A peer that cannot be heard may have counted batches that were counted here, too, and claims them when it is back. What
 * became of them is remembered until it was heard up to a time after which none of them was sent again: for an hour at most
 * [CLAIM-6]. A life that begins has heard nobody yet, and remembers for as long whatever earlier ones left.
 */

import { RESEND_MS_MAX } from '../protocol/messages.ts';

const HELD_MS_MAX = 3_600_000;

/** Sessions used from this time on are to be kept. `heardAt` says of each peer up to when it was heard; null is never. */
export function sessionsHeldFrom(now: number, startedAt: number, heardAt: Iterable<number | null>): number {
  let from = Infinity;
  for (const at of heardAt) from = Math.min(from, at === null ? 0 : Math.max(0, at - RESEND_MS_MAX));
  const oldest = now - HELD_MS_MAX;
  return from < oldest && startedAt < oldest ? oldest : from;
}
