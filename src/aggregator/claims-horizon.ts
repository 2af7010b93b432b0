/**
 * How far back sessions are remembered for claims. Pure.
 *
 * A peer that cannot be heard may have counted batches that were counted here, too, and claims them when it is back. What
 * became of them is remembered until it was heard up to a time after which none of them was sent again: for an hour at most
 * [CLAIM-6]. A life that begins has heard nobody yet, and remembers for as long whatever earlier ones left.
 */

import { COMMIT_RETENTION_MS } from '../hot-store/hot-store.ts';
import { RESEND_MS_MAX } from '../protocol/messages.ts';

export const HELD_MS_MAX = 3_600_000;

/** Sessions used from this time on are to be kept. `heardAt` says of each peer up to when, by our clock, it was heard; null is never. */
export function sessionsHeldFrom(now: number, startedAt: number, heardAt: Iterable<number | null>): number {
  let from = Infinity;
  for (const at of heardAt) from = Math.min(from, at === null ? 0 : Math.max(0, at - RESEND_MS_MAX));
  const oldest = now - HELD_MS_MAX;
  return from < oldest && startedAt < oldest ? oldest : from;
}

export interface Memory {
  readonly now: number;
  /** When this life began, and the time of the latest commit that earlier ones left: −Infinity when they left none. */
  readonly startedAt: number;
  readonly recoveredUntil: number;
  /** As `sessionsHeldFrom` says. */
  readonly heldFrom: number;
}

/**
 * Commits before this time need not be kept for resends and claims. The clock may have been set between two lives, so that
 * nothing tells how long ago an earlier one committed: all that it left is kept until this life has lasted as long as it would be kept
 * itself. Of a life that ends sooner, and the next ones, an hour is kept by what they wrote.
 */
export function forgettableBefore({ now, startedAt, recoveredUntil, heldFrom }: Memory): number {
  const before = Math.min(now - COMMIT_RETENTION_MS, heldFrom);
  return before >= startedAt ? before : Math.min(startedAt, recoveredUntil - HELD_MS_MAX);
}
