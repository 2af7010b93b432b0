/**
 * What a viewer has tapped and no region has answered for good. Pure.
 *
 * A batch belongs to the region that it was sent to, and to no other: another region does not know whether
 * that one counted it [SDK-3]. Taps that were never sent belong to none. So with each region comes a
 * session of its own; what a region that was left has not answered is offered to it, and to it alone, until
 * it answers or five minutes have passed.
 */

import { Session, WaitingTaps, type SentBatch } from './session.ts';

export interface BoundSession {
  readonly region: string;
  readonly session: Session;
  /** Where the region was met last, or is looked for. */
  endpoint: string;
  /** When what it has not answered is offered again, once it was left. */
  retryAt: number;
  failures: number;
}

/** Without an answer a batch is sent again after this time; regions give up on their own after 5 s. */
const ANSWER_MS_MAX = 7_000;
const FIRST_RETRY_MS = 1_000;
const LEFT_MAX = 8;

export class Outbox {
  readonly waiting = new WaitingTaps();
  #current: BoundSession | null = null;
  #left: BoundSession[] = [];

  get current(): BoundSession | null {
    return this.#current;
  }

  /** Sessions with regions that were left, as long as something is unanswered. */
  get left(): readonly BoundSession[] {
    return this.#left;
  }

  /** A region was met: its session, or a new one. */
  enter(region: string, endpoint: string, newId: string, nowMs: number): BoundSession {
    if (this.#current?.region !== region) {
      if (this.#current !== null) this.#left.push(this.#current);
      for (const left of this.#left) left.retryAt = Math.max(left.retryAt, nowMs + FIRST_RETRY_MS);
      const known = this.#left.find((left) => left.region === region);
      this.#left = this.#left.filter((left) => left !== known && left.session.unansweredCount > 0);
      const session = known?.session ?? new Session(newId, ANSWER_MS_MAX);
      this.#current = { region, session, endpoint, retryAt: 0, failures: 0 };
    }
    this.#current.endpoint = endpoint;
    return this.#current;
  }

  /** Gives the session up: its region and we do not agree on its numbers. Answers what is in doubt now. */
  abandonCurrent(): SentBatch[] {
    const batches = this.#current?.session.expire(Infinity) ?? [];
    this.#current = null;
    return batches;
  }

  /** Takes out what may not be sent again; with `Infinity` everything. */
  expire(nowMs: number): SentBatch[] {
    const surplus = this.#left.splice(0, this.#left.length - LEFT_MAX);
    const expired = [
      ...surplus.flatMap(({ session }) => session.expire(Infinity)),
      ...this.#left.flatMap(({ session }) => session.expire(nowMs)),
      ...(this.#current?.session.expire(nowMs) ?? []),
    ];
    this.#left = this.#left.filter(({ session }) => session.unansweredCount > 0);
    return expired;
  }
}
