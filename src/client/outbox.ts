/**
 * What a viewer has tapped and no region has answered for good. Pure.
 *
 * What is unanswered goes with the viewer: to each region that is met, until one has answered or five minutes have
 * passed [SDK-3]. A session goes on as long as something of it is unanswered; who moves with nothing in hand begins
 * another one, so that a region that was left still remembers the last numbers that it saw.
 */

import { Session, WaitingTaps, type SentBatch } from './session.ts';

/** Without an answer a batch is sent again after this time; regions give up on their own after 5 s. */
const ANSWER_MS_MAX = 7_000;

export class Outbox {
  readonly waiting = new WaitingTaps();
  /** Null before the first region was met. */
  session: Session | null = null;
  /** The region that was met last. */
  region: string | null = null;

  /** A region was met: the session to have with it. */
  enter(region: string, newId: string): Session {
    const hasMoved = this.region !== region && this.session?.unansweredCount === 0;
    if (this.session === null || hasMoved) this.session = new Session(newId, ANSWER_MS_MAX);
    this.region = region;
    this.session.visit(region);
    return this.session;
  }

  /** Gives the session up: a region and we do not agree on its numbers. Answers what is in doubt now. */
  abandon(): SentBatch[] {
    const batches = this.expire(Infinity);
    this.session = this.region = null;
    return batches;
  }

  /** Takes out what may not be sent again; with `Infinity` everything. */
  expire(nowMs: number): SentBatch[] {
    return this.session?.expire(nowMs) ?? [];
  }
}
