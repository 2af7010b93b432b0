/**
 * The life of a stream: live → draining → ended → over. Pure; clocks and policies are handed in.
 *
 * What a moderator decides is in the policy: `draining` lets no new viewer in, `ended` takes no taps. What follows
 * of itself is decided here. A *grace* after its end, when resends are answered and the last windows are stored, a stream
 * is *over*: first every region's ledger forgets it, at a time that follows from the documents and the clock alone, so
 * that regions which agree on these compare their digests again soon [MOD-30]; then, not before a grace after this
 * process has heard of the end, the shards forget whom they had counted [MOD-31]. Much later its document goes, and only
 * its id is kept [MOD-34]. An ended stream never comes back.
 */

import type { StreamId } from '../../crdt/ids.ts';

/** As long as what was committed is kept for resends. */
export const STREAM_GRACE_MS = 10 * 60_000;
/** Documents are kept for so many graces: whoever was cut off for less hears all of what was decided, also what mutes take back. */
export const DOCUMENT_GRACES = 12;
/** Ledgers forget at full minutes, so that clocks which differ by seconds seldom matter. */
const BOUNDARY_MS = 60_000;

interface Ended {
  /** As the document says. */
  endedAt: number;
  /** When this process heard of it first. */
  readonly heardAt: number;
  isForgotten: boolean;
}

export interface Reach {
  readonly now: number;
  /** Whatever was committed before this time is where it belongs: rows in the own log unless that has no room, windows in their queue. */
  readonly derivedBefore: number;
}

export class StreamLives {
  readonly #graceMs: number;
  readonly #boundaryMs: number;
  readonly #hasForgotten: (stream: StreamId) => boolean;
  /** Streams that ended and are not over, bounded by the documents that say so. */
  readonly #ended = new Map<StreamId, Ended>();
  /** Those that are over and whose documents are still kept, with their ends. */
  readonly #over = new Map<StreamId, number>();

  /** `hasForgotten` tells what the ledger has forgotten. */
  constructor(hasForgotten: (stream: StreamId) => boolean, graceMs = STREAM_GRACE_MS) {
    this.#hasForgotten = hasForgotten;
    this.#graceMs = graceMs;
    this.#boundaryMs = Math.max(1, Math.min(BOUNDARY_MS, graceMs));
  }

  /** Streams that ended and are not over yet. */
  get size(): number {
    return this.#ended.size;
  }

  /** What the documents say of a stream's end; null when it goes on. */
  heard(stream: StreamId, endedAt: number | null, now: number): void {
    if (endedAt === null) return;
    const known = this.#ended.get(stream);
    if (known !== undefined) known.endedAt = endedAt;
    else if (!this.#hasForgotten(stream)) this.#ended.set(stream, { endedAt, heardAt: now, isForgotten: false });
  }

  /** Streams that the ledger is to forget now, each once. */
  due({ now, derivedBefore }: Reach): StreamId[] {
    const boundary = Math.floor(now / this.#boundaryMs) * this.#boundaryMs;
    const due: StreamId[] = [];
    for (const [stream, ended] of this.#ended) {
      if (!ended.isForgotten && ended.endedAt + this.#graceMs <= Math.min(boundary, derivedBefore)) {
        ended.isForgotten = true;
        due.push(stream);
      }
    }
    return due;
  }

  /** Streams that are over from now on, each once: nobody needs to know more of them than that. */
  over(now: number): StreamId[] {
    const over: StreamId[] = [];
    for (const [stream, { isForgotten, heardAt, endedAt }] of this.#ended) {
      if (!isForgotten || now < heardAt + this.#graceMs) continue;
      this.#ended.delete(stream);
      this.#over.set(stream, endedAt);
      over.push(stream);
    }
    return over;
  }

  /** Streams of which nobody needs the document any more, each once. */
  longOver(now: number): StreamId[] {
    const streams: StreamId[] = [];
    for (const [stream, endedAt] of this.#over) {
      if (now < endedAt + DOCUMENT_GRACES * this.#graceMs) continue;
      this.#over.delete(stream);
      streams.push(stream);
    }
    return streams;
  }

  /** Whether shards may forget a stream. */
  isOver(stream: StreamId): boolean {
    return this.#hasForgotten(stream) && !this.#ended.has(stream);
  }
}
