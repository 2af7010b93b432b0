/**
 * What follows from the ends of streams in one process: ledger and shards forget, and in the end so does the control plane.
 *
 * `stream-life.ts` says when. Last of all goes the stream's document: its id takes its place in the list of ended streams
 * (`ended-streams.ts`), and once the own log holds that, the document is removed from it, so that at no time a crash
 * could bring the stream back to life. What other regions list, or an earlier life has listed, is over here too, as if
 * its end were heard long after it was [MOD-35].
 */

import type { StreamId } from '../../crdt/ids.ts';
import type { Ledger } from '../../crdt/ledger.ts';
import type { DocumentKind } from '../../regions/documents.ts';
import type { Clock, Log } from '../../regions/runtime.ts';
import type { ControlPlane } from './control-plane.ts';
import { MalformedPage, type EndedStreams } from './ended-streams.ts';
import { streamDocument } from './policy-content.ts';
import { StreamLives } from './stream-life.ts';

export interface StreamEndsParts {
  readonly plane: ControlPlane;
  readonly ended: EndedStreams;
  readonly ledger: Pick<Ledger, 'hasForgotten' | 'tally'>;
  /** Forgets streams in the ledger and in the own log. */
  readonly forget: (streams: readonly StreamId[]) => void;
  /** Whether the own log holds a document as it is now. */
  readonly isLogged: (key: string) => boolean;
  /** Whatever was committed before this time is where it belongs: rows in the own log unless that has no room, windows in their queue. */
  readonly derivedBefore: () => number;
  readonly clock: Clock;
  readonly log: Log;
  readonly graceMs?: number | undefined;
}

export class StreamEnds {
  /** The list of ended streams, as a region's log carries it. */
  readonly documents: DocumentKind;
  readonly #parts: StreamEndsParts;
  readonly #lives: StreamLives;
  /** Listed, and their documents are still there: until the own log holds the list. */
  readonly #leaving = new Set<StreamId>();

  constructor(parts: StreamEndsParts) {
    const { ended, ledger, graceMs } = parts;
    this.#parts = parts;
    this.#lives = new StreamLives((stream) => ledger.hasForgotten(stream), graceMs);
    this.documents = {
      kind: 'ended',
      keys: () => ended.keys(),
      read: (key) => ended.read(key),
      receive: (from, key, bytes) => this.#receive(from, key, bytes),
    };
  }

  /** Streams that ended and are not over yet. */
  get size(): number {
    return this.#lives.size;
  }

  /** The policy of a stream may have changed. */
  heard(stream: StreamId): void {
    const { plane, clock } = this.#parts;
    this.#lives.heard(stream, plane.endedAt(stream), clock.now());
  }

  /** Whether shards may forget a stream. */
  isOver(stream: StreamId): boolean {
    return this.#lives.isOver(stream);
  }

  /** Lets go of what is due. Call it every second. */
  sweep(): void {
    const { plane, ended, forget, isLogged, clock, log } = this.#parts;
    const now = clock.now();
    const streams = this.#lives.due({ now, derivedBefore: this.#parts.derivedBefore() });
    for (const stream of this.#lives.over(now)) plane.archive(stream);
    for (const stream of this.#lives.longOver(now)) if (ended.add(stream)) this.#leave(stream);
    for (const stream of ended.logged(this.#leaving, isLogged)) {
      this.#leaving.delete(stream);
      plane.drop(stream);
    }
    if (streams.length === 0) return;
    forget(streams);
    log.info({ streams: streams.length }, 'streams that ended are over and forgotten');
  }

  /** Nobody needs the document of a stream that is listed. */
  #leave(stream: StreamId): void {
    if (this.#parts.plane.state(streamDocument(stream)) !== null) this.#leaving.add(stream);
  }

  /** A page of the list; one that a log has lost takes nothing away. */
  #receive(from: string, key: string, page: Uint8Array | null): void {
    const { plane, ended, ledger, forget, log } = this.#parts;
    if (page === null) return;
    try {
      const streams = ended.join(page);
      // Nobody resends to us what we never counted, and what an earlier life had forgotten is forgotten before it is compared
      // with what peers have. The others stay for a grace, as when an end is heard late.
      forget(streams.filter((stream) => ledger.tally(stream) === undefined));
      for (const stream of streams) {
        plane.listed(stream);
        if (this.isOver(stream)) this.#leave(stream);
      }
    } catch (error) {
      if (!(error instanceof MalformedPage)) throw error;
      log.warn({ from, key, reason: error.message }, 'refused a page of the list of ended streams');
    }
  }
}
