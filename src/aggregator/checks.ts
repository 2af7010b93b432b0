/** Which streams' policies may take something back that was not looked for yet, and how far the look is. */

import type { Policy, Retraction } from '../moderation/policy.ts';
import type { Order, Search } from './contribution-search.ts';
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
  if (before === null || before.retractions.length === 0 || after.retractions.length === 0) return after.retractions;
  if (before.retractions === after.retractions) return [];
  const known = new Set(before.retractions.map(textOf));
  return after.retractions.filter((retraction) => !known.has(textOf(retraction)));
}

function textOf({ kind, id, from, to }: Retraction): string {
  return `${from} ${to} ${kind} ${id}`;
}
