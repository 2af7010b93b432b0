/**
 * What a viewer has tapped and no region has answered for good. Pure.
 *
 * What is unanswered goes with the viewer: to each region that is met, until one has answered or five minutes have
 * passed [SDK-3]. Its session takes no new taps then: they wait until all of it is answered, and begin another one. So the
 * numbers of a session that moved stay within what every region remembers of it, however long the regions are apart.
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
  /** True while the session takes no new taps, because it has moved. */
  isSettling = false;

  /** A region was met, and `session` is the one to have with it. Answers what may not be sent there. */
  enter(region: string, newId: string, nowMs: number): SentBatch[] {
    if (this.region !== region && this.region !== null) this.isSettling = true;
    this.region = region;
    this.session ??= new Session(newId, ANSWER_MS_MAX);
    this.session.visit(region);
    const expired = this.expire(nowMs);
    this.renew(newId);
    return expired;
  }

  /** Begins another session when one that moved is answered; true when it has. Its numbers go on, so that late answers meet none of them. */
  renew(newId: string): boolean {
    // Who has moved has had a session, and is in a region.
    if (!this.isSettling || this.session!.unansweredCount > 0) return false;
    this.isSettling = false;
    this.session = new Session(newId, ANSWER_MS_MAX, this.session!.nextSeq);
    this.session.visit(this.region!);
    return true;
  }

  /** Gives the session up: a region and we do not agree on its numbers. Answers what is in doubt now. */
  abandon(): SentBatch[] {
    const batches = this.expire(Infinity);
    this.session = this.region = null;
    this.isSettling = false;
    return batches;
  }

  /** Takes out what may not be sent again; with `Infinity` everything. */
  expire(nowMs: number): SentBatch[] {
    return this.session?.expire(nowMs) ?? [];
  }
}
