/**
 * The list of ended streams: of streams that were over long ago only the id is kept, so that it is never live again.
 *
 * The list only grows, and joining two is their union. Regions tell each other in documents of about 16 KiB, the *pages*
 * `ended.0`, `ended.1`, …: the ids in the order in which this region came to know them, so that one more id changes the
 * last page alone, and a region that reads its own pages back has nothing to write. Pages are read from any log and in
 * any order; one that is gone takes nothing away [MOD-34].
 */

import { IdSet } from '../../crdt/id-set.ts';
import { isId, type StreamId } from '../../crdt/ids.ts';

/** Beyond these, documents of ended streams stay. */
const ENDED_MAX = 1_000_000;
/** What other regions list is taken beyond that, so that regions which filled their lists apart still agree. */
const JOINED_MAX = 2 * ENDED_MAX;
const PAGE_BYTES = 16 * 1024;

/** Bytes that are no page. */
export class MalformedPage extends Error {
  override readonly name = 'MalformedPage';
}

export interface EndedStats {
  /** Gauge. */
  listed: number;
  /** Counters. */
  notListed: number;
  pagesRefused: number;
}

export interface EndedLimits {
  readonly endedMax: number;
  readonly joinedMax: number;
}

export class EndedStreams {
  readonly stats: EndedStats = { listed: 0, notListed: 0, pagesRefused: 0 };
  readonly #publish: (key: string) => void;
  readonly #limits: EndedLimits;
  readonly #ids = new IdSet();

  /** `publish` is told of each page that changed. */
  constructor(publish: (key: string) => void, limits: EndedLimits = { endedMax: ENDED_MAX, joinedMax: JOINED_MAX }) {
    this.#publish = publish;
    this.#limits = limits;
  }

  get size(): number {
    return this.#ids.size;
  }

  has(stream: StreamId): boolean {
    return this.#ids.size > 0 && this.#ids.has(stream);
  }

  /** Whether the list names the stream now: not when it is full. */
  add(stream: StreamId): boolean {
    if (!this.has(stream)) this.#append([stream], this.#limits.endedMax);
    return this.has(stream);
  }

  /** What a page of any region says; those that are new here. @throws MalformedPage, and then nothing is taken */
  join(page: Uint8Array): StreamId[] {
    const lines = new TextDecoder().decode(page).split('\n');
    if (lines.pop() !== '' || !lines.every(isId)) {
      this.stats.pagesRefused += 1;
      throw new MalformedPage('a page has one stream id a line');
    }
    return this.#append(lines as StreamId[], this.#limits.joinedMax);
  }

  *keys(): Generator<string> {
    for (let page = 0; this.#ids.startFrom(page * PAGE_BYTES) < this.#ids.byteLength; page++) yield keyOf(page);
  }

  /** A page, whole; null when there is none. */
  read(key: string): Uint8Array | null {
    const page = Number(/^ended\.(0|[1-9][0-9]{0,8})$/.exec(key)?.[1] ?? Number.NaN);
    if (Number.isNaN(page)) return null;
    const bytes = this.#ids.slice(this.#ids.startFrom(page * PAGE_BYTES), this.#ids.startFrom((page + 1) * PAGE_BYTES));
    return bytes.length === 0 ? null : bytes;
  }

  /** Those of the streams whose pages the own log holds. The other pages are told of again: a log that was full did not take them. */
  logged(streams: Iterable<StreamId>, isLogged: (key: string) => boolean): StreamId[] {
    const pages = new Map<number, boolean>();
    const logged: StreamId[] = [];
    for (const stream of streams) {
      const page = Math.floor(this.#ids.find(stream) / PAGE_BYTES);
      if (page < 0) continue;
      if (!pages.has(page)) pages.set(page, isLogged(keyOf(page)));
      if (pages.get(page)!) logged.push(stream);
    }
    for (const [page, isThere] of pages) if (!isThere) this.#publish(keyOf(page));
    return logged;
  }

  /** Adds what is new, up to a number of all, and tells of the pages that changed. */
  #append(streams: readonly StreamId[], max: number): StreamId[] {
    const from = this.#ids.byteLength;
    const added: StreamId[] = [];
    for (const stream of streams) {
      if (this.#ids.has(stream)) continue;
      if (this.#ids.size >= max) {
        this.stats.notListed += 1;
      } else {
        this.#ids.add(stream);
        added.push(stream);
      }
    }
    this.stats.listed = this.#ids.size;
    if (added.length === 0) return added;
    const last = Math.floor(this.#ids.find(added.at(-1)!) / PAGE_BYTES);
    for (let page = Math.floor(from / PAGE_BYTES); page <= last; page++) this.#publish(keyOf(page));
    return added;
  }
}

function keyOf(page: number): string {
  return `ended.${page}`;
}
