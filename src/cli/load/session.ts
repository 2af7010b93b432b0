/**
 * A viewer's session: taps in, numbered batches out, until each is acknowledged. Pure: it has no
 * socket and no clock, so that the rules of resending are read and tested in one place.
 *
 * A batch is never changed after it was sent; it is resent whole, under its number, until the
 * service has answered for good. At most `BATCHES_IN_FLIGHT_MAX` are unanswered; what is tapped
 * meanwhile waits in the next batch.
 */

import {
  BATCHES_IN_FLIGHT_MAX,
  REACTIONS_PER_BATCH_MAX,
  TAPS_PER_REACTION_MAX,
  type Ack,
  type BatchMessage,
  type ErrorMessage,
} from '../../protocol/messages.ts';
import type { GroundTruth } from './ground-truth.ts';

export interface SentBatch {
  readonly message: BatchMessage;
  /** When its oldest tap was tapped. */
  readonly tappedAt: number;
  /** When it may be sent again on the present connection, after a temporary refusal; Infinity otherwise. */
  resendAt: number;
}

const RETRY_MS = 500;

export class Session {
  readonly id: string;
  readonly #truth: GroundTruth;
  readonly #waiting = new Map<string, number>();
  readonly #unanswered = new Map<number, SentBatch>();
  #waitingSince = Infinity;
  #nextSeq = 1;
  /** The soonest resend after a temporary refusal; Infinity when none waits. */
  resendAt = Infinity;

  constructor(id: string, truth: GroundTruth) {
    this.id = id;
    this.#truth = truth;
  }

  /** True when nothing is left to send or to hear. */
  get idle(): boolean {
    return this.#waiting.size === 0 && this.#unanswered.size === 0;
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  get canSend(): boolean {
    return this.#waiting.size > 0 && this.#unanswered.size < BATCHES_IN_FLIGHT_MAX;
  }

  get unansweredCount(): number {
    return this.#unanswered.size;
  }

  /** The lowest number that is not answered yet. */
  get unackedFrom(): number {
    // Numbers are given out in order and a Map keeps its order, so the first key is the lowest.
    for (const seq of this.#unanswered.keys()) return seq;
    return this.#nextSeq;
  }

  tap(emoji: string, count: number, atMs: number): void {
    this.#truth.tap(count);
    this.#waiting.set(emoji, (this.#waiting.get(emoji) ?? 0) + count);
    if (atMs < this.#waitingSince) this.#waitingSince = atMs;
  }

  /** The next batch, of everything that waits, as far as one batch may hold it; null when none may be sent. */
  nextBatch(nowMs: number): BatchMessage | null {
    if (!this.canSend) return null;
    const reactions: { emoji_id: string; count: number }[] = [];
    for (const [emoji, count] of this.#waiting) {
      if (reactions.length === REACTIONS_PER_BATCH_MAX) break;
      const taken = Math.min(count, TAPS_PER_REACTION_MAX);
      reactions.push({ emoji_id: emoji, count: taken });
      if (taken === count) this.#waiting.delete(emoji);
      else this.#waiting.set(emoji, count - taken);
    }
    const message: BatchMessage = { type: 'batch', seq: this.#nextSeq, reactions, timestamp: Math.floor(nowMs) };
    this.#unanswered.set(message.seq, { message, tappedAt: this.#waitingSince, resendAt: Infinity });
    this.#nextSeq += 1;
    if (this.#waiting.size === 0) this.#waitingSince = Infinity;
    return message;
  }

  /** The batches to send again, in order: all after a reconnect, or those whose refusal has passed. */
  *resends(nowMs: number, reconnected: boolean): Generator<BatchMessage> {
    this.resendAt = Infinity;
    for (const batch of this.#unanswered.values()) {
      if (reconnected || batch.resendAt <= nowMs) {
        batch.resendAt = Infinity;
        yield batch.message;
      } else if (batch.resendAt < this.resendAt) {
        this.resendAt = batch.resendAt;
      }
    }
  }

  /** Answers the batch that was acknowledged; null when it had been already. */
  acknowledge(ack: Ack): SentBatch | null {
    const batch = this.#unanswered.get(ack.seq);
    if (batch === undefined) return null;
    this.#unanswered.delete(ack.seq);
    this.#truth.acknowledge(batch.message.reactions, ack.accepted, ack.clamped, ack.duplicate);
    return batch;
  }

  /** A batch was not counted: it is resent later when that can help, and given up otherwise. */
  refuse(error: ErrorMessage, nowMs: number): void {
    const batch = this.#unanswered.get(error.seq);
    if (batch === undefined) return;
    if (error.temporary) {
      batch.resendAt = nowMs + (error.retry_after_ms ?? RETRY_MS);
      this.resendAt = Math.min(this.resendAt, batch.resendAt);
      return;
    }
    this.#unanswered.delete(error.seq);
    // Below the session's window the service cannot tell any more whether an earlier delivery was counted.
    const loss = error.code === 'stale-sequence' ? 'in-doubt' : 'refused';
    this.#truth.lose(batch.message.reactions, loss, error.code);
  }

  /** Gives up on everything unanswered, at the end of a run. Taps never sent are refused, not in doubt. */
  abandon(): void {
    for (const { message } of this.#unanswered.values()) {
      this.#truth.lose(message.reactions, 'in-doubt', 'no-answer');
    }
    this.#unanswered.clear();
    if (this.#waiting.size > 0) {
      const reactions = [...this.#waiting].map(([emoji_id, count]) => ({ emoji_id, count }));
      this.#truth.lose(reactions, 'refused', 'never-sent');
      this.#waiting.clear();
    }
  }
}
