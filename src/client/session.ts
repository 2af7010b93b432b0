/**
 * A viewer's session: taps in, numbered batches out, until each is answered. Pure: it has no socket and no
 * clock. The player SDK and the load generator share it.
 *
 * A batch is never changed after it was numbered; it is sent again whole, under its number, until a region has
 * answered for good. It may be another region than the one that it was sent to first: then it says by which ones it came,
 * and the regions settle among themselves that it counts once [SDK-3]. The numbers out at one time span at most
 * `BATCHES_IN_FLIGHT_MAX`, so none ever falls below the window in which a region can tell a resend from a new batch [SDK-2].
 */

import {
  BATCHES_IN_FLIGHT_MAX,
  REACTIONS_PER_BATCH_MAX,
  RESEND_MS_MAX,
  TAPS_PER_REACTION_MAX,
  VIA_MAX,
  type BatchMessage,
} from '../protocol/messages.ts';

type Reactions = BatchMessage['reactions'];

export interface SentBatch {
  /** As it was sent last. */
  message: BatchMessage;
  /** The regions that it was sent to, one after the other. */
  readonly visits: string[];
  /** When its oldest tap was tapped. */
  readonly tappedAt: number;
  /** When it was sent first. */
  readonly sentAt: number;
  /** When it may be sent again on the same connection; Infinity when only another one is a reason to. */
  resendAt: number;
}

export function tapsOf(reactions: Reactions): number {
  return reactions.reduce((taps, { count }) => taps + count, 0);
}

/** Taps that no batch holds yet. They belong to no region: whichever is there next gets them. */
export class WaitingTaps {
  readonly #counts = new Map<string, number>();
  taps = 0;
  /** When the oldest was tapped; Infinity when there is none. */
  since = Infinity;

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  add(emoji: string, count: number, atMs: number): void {
    this.#counts.set(emoji, (this.#counts.get(emoji) ?? 0) + count);
    this.taps += count;
    this.since = Math.min(this.since, atMs);
  }

  /** As many as one batch may hold. */
  take(): Reactions {
    const reactions: { emoji_id: string; count: number }[] = [];
    for (const [emoji, waiting] of this.#counts) {
      if (reactions.length === REACTIONS_PER_BATCH_MAX) break;
      const count = Math.min(waiting, TAPS_PER_REACTION_MAX);
      reactions.push({ emoji_id: emoji, count });
      if (count === waiting) this.#counts.delete(emoji);
      else this.#counts.set(emoji, waiting - count);
    }
    return this.#taken(reactions);
  }

  /** Takes out all taps of the emoji that fit the condition. */
  drop(fits: (emoji: string) => boolean = () => true): Reactions {
    const reactions = [...this.#counts].filter(([emoji]) => fits(emoji)).map(([emoji_id, count]) => ({ emoji_id, count }));
    for (const { emoji_id } of reactions) this.#counts.delete(emoji_id);
    return this.#taken(reactions);
  }

  #taken(reactions: Reactions): Reactions {
    this.taps -= tapsOf(reactions);
    if (this.isEmpty) this.since = Infinity;
    return reactions;
  }
}

export class Session {
  readonly id: string;
  readonly #answerMs: number;
  readonly #unanswered = new Map<number, SentBatch>();
  #nextSeq: number;
  /** Where batches are sent now; empty where that does not matter. */
  #region = '';
  /** The soonest time at which a batch may be sent again on the same connection; Infinity when none may. */
  resendAt = Infinity;

  /** Without an answer for `answerMs` a batch is sent again, also while the connection stands. Numbers begin with `nextSeq`. */
  constructor(id: string, answerMs = Infinity, nextSeq = 1) {
    this.id = id;
    this.#answerMs = answerMs;
    this.#nextSeq = nextSeq;
  }

  /** The number of the next batch. */
  get nextSeq(): number {
    return this.#nextSeq;
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

  /** When the oldest unanswered batch was sent first; Infinity when all are answered. */
  get oldestSentAt(): number {
    for (const { sentAt } of this.#unanswered.values()) return sentAt;
    return Infinity;
  }

  get canSend(): boolean {
    return this.#nextSeq - this.unackedFrom < BATCHES_IN_FLIGHT_MAX;
  }

  /** The waiting taps as the next batch, as far as one may hold them; null when none may be sent. */
  nextBatch(waiting: WaitingTaps, nowMs: number): BatchMessage | null {
    if (waiting.isEmpty || !this.canSend) return null;
    const tappedAt = waiting.since;
    const message: BatchMessage = { type: 'batch', seq: this.#nextSeq, reactions: waiting.take(), timestamp: Math.floor(nowMs) };
    const batch = { message, visits: [], tappedAt, sentAt: nowMs, resendAt: nowMs + this.#answerMs };
    this.#unanswered.set(this.#nextSeq++, batch);
    this.resendAt = Math.min(this.resendAt, batch.resendAt);
    return this.#addressed(batch);
  }

  /** The batches to send again, in order: all after a reconnect, otherwise those that are due. */
  resends(nowMs: number, all: boolean): BatchMessage[] {
    const due = [...this.#unanswered.values()].filter((batch) => all || batch.resendAt <= nowMs);
    for (const batch of due) batch.resendAt = nowMs + this.#answerMs;
    this.#planResend();
    return due.map((batch) => this.#addressed(batch));
  }

  /** Takes out a batch that was answered for good; null when it had been already. */
  settle(seq: number): SentBatch | null {
    const batch = this.#unanswered.get(seq) ?? null;
    this.#unanswered.delete(seq);
    return batch;
  }

  /** A batch was not counted, and may be sent again at a time. */
  postpone(seq: number, untilMs: number): void {
    const batch = this.#unanswered.get(seq);
    if (batch !== undefined) batch.resendAt = untilMs;
    this.#planResend();
  }

  /** Takes out what is too old to be sent again, or came by too many regions: whether it was counted may be forgotten. */
  expire(nowMs: number): SentBatch[] {
    const expired = [...this.#unanswered.values()].filter(
      ({ sentAt, visits }) => nowMs - sentAt >= RESEND_MS_MAX || (visits.length > VIA_MAX && visits.at(-1) !== this.#region),
    );
    for (const { message } of expired) this.#unanswered.delete(message.seq);
    return expired;
  }

  /** From now on batches are sent to this region. */
  visit(region: string): void {
    this.#region = region;
  }

  /** What a batch is to the region that it is sent to now. */
  #addressed(batch: SentBatch): BatchMessage {
    const { visits } = batch;
    if (visits.at(-1) !== this.#region) visits.push(this.#region);
    if (visits.length > 1) batch.message = { ...batch.message, via: visits.slice(0, -1) };
    return batch.message;
  }

  #planResend(): void {
    this.resendAt = Infinity;
    for (const batch of this.#unanswered.values()) this.resendAt = Math.min(this.resendAt, batch.resendAt);
  }
}
