/**
 * A viewer's session of the crowd: the player SDK's own, with a ground truth that is told of every tap and of
 * what became of it. Pure.
 */

import { Session, WaitingTaps, type SentBatch } from '../../client/session.ts';
import type { Ack, BatchMessage, ErrorMessage } from '../../protocol/messages.ts';
import type { GroundTruth } from './ground-truth.ts';

const RETRY_MS = 500;

export class ViewerSession {
  readonly #session: Session;
  readonly #waiting = new WaitingTaps();
  readonly #truth: GroundTruth;

  constructor(id: string, truth: GroundTruth) {
    this.#session = new Session(id);
    this.#truth = truth;
  }

  get id(): string {
    return this.#session.id;
  }

  /** True when nothing is left to send or to hear. */
  get idle(): boolean {
    return this.#waiting.isEmpty && this.#session.unansweredCount === 0;
  }

  get hasWaiting(): boolean {
    return !this.#waiting.isEmpty;
  }

  get canSend(): boolean {
    return this.hasWaiting && this.#session.canSend;
  }

  get unansweredCount(): number {
    return this.#session.unansweredCount;
  }

  get unackedFrom(): number {
    return this.#session.unackedFrom;
  }

  /** The soonest resend after a temporary refusal; Infinity when none waits. */
  get resendAt(): number {
    return this.#session.resendAt;
  }

  tap(emoji: string, count: number, atMs: number): void {
    this.#truth.tap(count);
    this.#waiting.add(emoji, count, atMs);
  }

  /** The next batch, of everything that waits, as far as one batch may hold it; null when none may be sent. */
  nextBatch(nowMs: number): BatchMessage | null {
    return this.#session.nextBatch(this.#waiting, nowMs);
  }

  /** The batches to send again, in order: all after a reconnect, or those whose refusal has passed. */
  resends(nowMs: number, reconnected: boolean): BatchMessage[] {
    return this.#session.resends(nowMs, reconnected);
  }

  /** Answers the batch that was acknowledged; null when it had been already. */
  acknowledge(ack: Ack): SentBatch | null {
    const batch = this.#session.settle(ack.seq);
    if (batch !== null) this.#truth.acknowledge(batch.message.reactions, ack.accepted, ack.clamped, ack.duplicate);
    return batch;
  }

  /** A batch was not counted: it is resent later when that can help, and given up otherwise. */
  refuse(error: ErrorMessage, nowMs: number): void {
    if (error.temporary) return this.#session.postpone(error.seq, nowMs + (error.retry_after_ms ?? RETRY_MS));
    const batch = this.#session.settle(error.seq);
    if (batch === null) return;
    // Below the session's window the service cannot tell any more whether an earlier delivery was counted.
    const loss = error.code === 'stale-sequence' ? 'in-doubt' : 'refused';
    this.#truth.lose(batch.message.reactions, loss, error.code);
  }

  /** Gives up on everything unanswered, at the end of a run. Taps never sent are refused, not in doubt. */
  abandon(): void {
    for (const { message } of this.#session.expire(Infinity)) this.#truth.lose(message.reactions, 'in-doubt', 'no-answer');
    const reactions = this.#waiting.drop();
    if (reactions.length > 0) this.#truth.lose(reactions, 'refused', 'never-sent');
  }
}
