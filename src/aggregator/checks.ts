/** Which streams' policies have still to be looked through for what they take back, and how far that is. */

import { takenBackBy, type Mute, type Policy } from '../moderation/policy.ts';
import type { OwnStream } from './own-counts.ts';

/** Of this viewer or device nothing remains that was counted from one time to before another. */
export interface Order {
  readonly kind: 'viewer' | 'device';
  readonly id: string;
  readonly from: number;
  readonly to: number;
}

/** Orders of which all before `next` are carried out. */
export interface Check {
  readonly policy: Policy;
  readonly orders: readonly Order[];
  next: number;
}

export class Checks {
  readonly #waiting = new Map<OwnStream, Check | null>();
  /** Most streams share their policies, so the orders between two of them are kept for the next stream. */
  #last: { readonly before: Policy | null; readonly after: Policy; readonly orders: readonly Order[] } | null = null;

  get size(): number {
    return this.#waiting.size;
  }

  mark(own: OwnStream): void {
    if (!this.#waiting.has(own)) this.#waiting.set(own, null);
  }

  streams(): Iterable<OwnStream> {
    return this.#waiting.keys();
  }

  /** What is to be done so that a stream's policy is carried out. */
  of(own: OwnStream, policy: Policy): Check {
    const before = this.#waiting.get(own);
    // Of another policy than was asked for last nothing is known to be done.
    const check = before?.policy === policy ? before : { policy, orders: this.#orders(own.checked, policy), next: 0 };
    this.#waiting.set(own, check);
    return check;
  }

  done(own: OwnStream, policy: Policy): void {
    own.checked = policy;
    this.#waiting.delete(own);
  }

  #orders(before: Policy | null, after: Policy): readonly Order[] {
    if (this.#last?.before !== before || this.#last.after !== after) {
      this.#last = { before, after, orders: ordersBetween(before, after) };
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
