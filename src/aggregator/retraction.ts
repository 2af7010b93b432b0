/**
 * Retraction: what the mutes of a policy take back. Pure; it changes only the state handed in.
 *
 * An order says what must be true, not what to do: of this viewer or device nothing remains that was counted
 * in this time. So carrying it out twice, or after a crash, or hearing of it late together with its end, takes
 * back once [AGG-33]. Each call does a bounded part; what it took back, and that it was taken back, go into one commit
 * [AGG-34].
 */

import type { PolicyOf } from '../moderation/policy.ts';
import type { Order } from './checks.ts';
import type { OwnStream } from './own-counts.ts';
import { changedBytes, type ShardState } from './shard-state.ts';

/** Orders looked into in one commit at most: about a millisecond. */
const ORDERS_PER_COMMIT_MAX = 10_000;

/** Carries out what waits, until the changes of the commit to come reach a size. Answers how many taps it took back. */
export function retract(state: ShardState, policyOf: PolicyOf, now: number, bytesMax: number): number {
  let taken = 0;
  let left = ORDERS_PER_COMMIT_MAX;
  for (const own of state.checks.streams()) {
    const policy = policyOf(own.stream);
    const check = state.checks.of(own, policy);
    for (; check.next < check.orders.length; check.next++, left--) {
      if (left === 0 || changedBytes(state) >= bytesMax) return taken;
      const isThrough = carryOut(state, own, check.orders[check.next]!, now, bytesMax, (taps) => (taken += taps));
      if (!isThrough) return taken;
    }
    state.checks.done(own, policy);
  }
  return taken;
}

/** Takes back what an order speaks of; false when the commit was full before it was through. */
function carryOut(
  state: ShardState,
  own: OwnStream,
  order: Order,
  now: number,
  bytesMax: number,
  took: (taps: number) => void,
): boolean {
  const { counts, contributions, corrections } = state;
  return contributions.retract(order.kind, own.scope, order.id, order, (number, countedAt, taps) => {
    if (changedBytes(state) >= bytesMax) return 'stop';
    const emoji = counts.emojiOf(number);
    counts.touch(own, now);
    if (!counts.takeBack(own, emoji, taps)) return 'leave';
    corrections.add(own.stream, emoji, countedAt, taps);
    took(taps);
    return 'take';
  });
}
