/** Which streams' policies may take something back that was not looked for yet, and how far the look is. */

import { takenBackBy, type Mute, type Policy } from '../moderation/policy.ts';
import type { Order, Search } from './contributions.ts';
import type { OwnStream } from './own-counts.ts';

/** A look through the contributions for the orders of some streams' policies. */
export interface Pass {
  readonly streams: ReadonlyMap<OwnStream, Policy>;
  readonly search: Search;
}

export class Checks {
  readonly #waiting = new Set<OwnStream>();
  /** The one that is going on. */
  pass: Pass | null = null;
  /** Most streams share their policies, so the orders between two of them are kept for the next stream. */
  #last: { readonly before: Policy | null; readonly after: Policy; readonly orders: readonly Order[] } | null = null;

  get size(): number {
    return this.#waiting.size + (this.pass === null ? 0 : 1);
  }

  mark(own: OwnStream): void {
    this.#waiting.add(own);
  }

  /** Takes a stream that waits. */
  take(): OwnStream | undefined {
    for (const own of this.#waiting) {
      this.#waiting.delete(own);
      return own;
    }
    return undefined;
  }

  /** What is to be carried out until a stream's policy is. */
  ordersOf(own: OwnStream, policy: Policy): readonly Order[] {
    if (this.#last?.before !== own.checked || this.#last.after !== policy) {
      this.#last = { before: own.checked, after: policy, orders: ordersBetween(own.checked, policy) };
    }
    return this.#last.orders;
  }
}

/** What `after` takes back and `before` did not. */
export function ordersBetween(before: Policy | null, after: Policy): readonly Order[] {
  return [
    ...ordersOf('viewer', before?.mutedViewers, after.mutedViewers),
    ...ordersOf('device', before?.mutedDevices, after.mutedDevices),
  ];
}

function* ordersOf(kind: Order['kind'], before: ReadonlyMap<string, Mute> | undefined, after: ReadonlyMap<string, Mute>): Generator<Order> {
  if (before === after) return;
  for (const [id, mute] of after) {
    const time = takenBackBy(mute);
    if (time === null) continue;
    const held = before?.get(id);
    const known = held === undefined ? null : takenBackBy(held);
    if (known === null || time.from !== known.from || time.to !== known.to) yield { kind, id, ...time };
  }
}
