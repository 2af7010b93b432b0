/**
 * The outbox of one session: taps in, numbered batches out, each kept unchanged until the region has
 * answered it. Pure; sending and time belong to the connection.
 *
 * Bounded: one pending count per emoji, and at most `IN_FLIGHT_MAX` batches without an answer.
 */

import type { BATCHES_IN_FLIGHT_MAX, BatchMessage, TAPS_PER_REACTION_MAX } from '../../protocol/messages.ts';

// The page is served without the rest of the source, so the protocol's limits stand here again. Their
// types are the numbers themselves: it does not compile when the two differ.
export const IN_FLIGHT_MAX: typeof BATCHES_IN_FLIGHT_MAX = 32;
const TAPS_MAX: typeof TAPS_PER_REACTION_MAX = 10_000;
/** The protocol's `RESEND_MS_MAX`. */
export const RESEND_MS = 5 * 60_000;

export interface SentBatch {
  readonly message: BatchMessage;
  /** When the first of its taps happened, by the clock of the caller. */
  readonly tappedAt: number;
  /** When it was first sent. */
  readonly sentAt: number;
}

export class Outbox {
  readonly #pending = new Map<string, number>();
  readonly #inFlight = new Map<number, SentBatch>();
  #tappedAt = 0;
  #sequence = 0;

  /** False when so much waits already that the tap is dropped; then nobody may show it as counted. */
  tap(emoji: string, now: number): boolean {
    const count = this.#pending.get(emoji) ?? 0;
    if (count >= TAPS_MAX) return false;
    if (this.#pending.size === 0) this.#tappedAt = now;
    this.#pending.set(emoji, count + 1);
    return true;
  }

  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  /** The lowest sequence number without an answer; the next one when all are answered. */
  get unackedFrom(): number {
    for (const sequence of this.#inFlight.keys()) return sequence;
    return this.#sequence + 1;
  }

  /** The pending taps as the next batch; null when there are none or too many batches wait for answers. */
  nextBatch(now: number, timestamp: number): BatchMessage | null {
    if (this.#pending.size === 0 || this.#inFlight.size >= IN_FLIGHT_MAX) return null;
    this.#sequence += 1;
    const message: BatchMessage = {
      type: 'batch',
      seq: this.#sequence,
      reactions: [...this.#pending].map(([emoji_id, count]) => ({ emoji_id, count })),
      timestamp,
    };
    this.#pending.clear();
    this.#inFlight.set(message.seq, { message, tappedAt: this.#tappedAt, sentAt: now });
    return message;
  }

  /** Takes out an answered batch. */
  settle(sequence: number): SentBatch | undefined {
    const batch = this.#inFlight.get(sequence);
    this.#inFlight.delete(sequence);
    return batch;
  }

  /** One batch to send again, unchanged; undefined when it was answered or is too old. */
  resend(sequence: number, now: number): BatchMessage | undefined {
    this.#dropExpired(now);
    return this.#inFlight.get(sequence)?.message;
  }

  /** Every batch to send again, unchanged and in order. */
  unacknowledged(now: number): BatchMessage[] {
    this.#dropExpired(now);
    return [...this.#inFlight.values()].map((batch) => batch.message);
  }

  /** Regions forget after this time whether they counted a batch, so it must not be sent any more. */
  #dropExpired(now: number): void {
    for (const [sequence, batch] of this.#inFlight) {
      if (now - batch.sentAt >= RESEND_MS) this.#inFlight.delete(sequence);
    }
  }
}
