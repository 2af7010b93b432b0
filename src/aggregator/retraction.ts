/**
 * Retraction: what the mutes of a policy take back. Pure; it changes only the state handed in.
 *
 * An order says what must be true, not what to do: of this viewer or device nothing remains that was counted
 * in this time. So carrying it out twice, or after a crash, or hearing of it late together with its end, takes
 * back once [AGG-33]. Each call does a bounded part; what it took back, and that it was taken back, go into one commit
 * [AGG-34].
 */

import type { Policy, PolicyOf } from '../moderation/policy.ts';
import type { Pass } from './checks.ts';
import type { Order } from './contribution-search.ts';
import type { OwnStream } from './own-counts.ts';
import { changedBytes, type ShardState } from './shard-state.ts';

/** Orders and contributions looked at for one commit at most: about a millisecond each. */
const ORDERS_PER_COMMIT_MAX = 10_000;
const CELLS_PER_COMMIT_MAX = 200_000;

/** Carries out what waits, until the changes of the commit to come reach a size. Answers how many taps it took back. */
export function retract(state: ShardState, policyOf: PolicyOf, now: number, bytesMax: number): number {
  const { checks, counts, contributions, corrections } = state;
  let taken = 0;
  checks.pass ??= nextPass(state, policyOf);
  if (checks.pass === null) return 0;
  const { search, streams } = checks.pass;
  const isThrough = contributions.search(search, CELLS_PER_COMMIT_MAX, now, (scope, number, countedAt, taps) => {
    if (changedBytes(state) >= bytesMax) return 'stop';
    const own = counts.ofScope(scope);
    const emoji = counts.emojiOf(number);
    counts.touch(own, now);
    if (!counts.takeBack(own, emoji, taps)) return 'leave';
    corrections.add(own.stream, emoji, countedAt, taps);
    taken += taps;
    return 'take';
  });
  if (!isThrough) return taken;
  for (const [own, policy] of streams) own.checked = policy;
  checks.pass = null;
  return taken;
}

/** One look serves all streams that wait, and the orders of which nothing is kept cost none. */
function nextPass({ checks, contributions }: ShardState, policyOf: PolicyOf): Pass | null {
  const streams = new Map<OwnStream, Policy>();
  const found = new Map<number, Order[]>();
  for (let orders = 0; orders < ORDERS_PER_COMMIT_MAX; ) {
    const own = checks.take();
    if (own === undefined) break;
    const policy = policyOf(own.stream);
    streams.set(own, policy);
    for (const order of checks.ordersOf(own, policy)) {
      orders += 1;
      const slot = contributions.find(order.kind, own.scope, order.id);
      if (slot < 0) continue;
      const others = found.get(slot);
      if (others === undefined) found.set(slot, [order]);
      else others.push(order);
    }
  }
  if (found.size > 0) return { streams, search: { orders: found, position: null } };
  for (const [own, policy] of streams) own.checked = policy;
  return null;
}
