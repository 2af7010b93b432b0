/**
 * The peer follower: reads one peer's log, joins its rows, hands over its documents, and proves that none
 * is missing.
 *
 * The position is kept here and moves only with what was merged, so a cut, a crash or a duplicate
 * costs nothing but time, and healing costs the rows that changed. The broker's word for completeness
 * is never taken: each heartbeat is compared with the ledger (`continuity.ts`).
 */

import { parseActorId, regionOf } from '../crdt/actor.ts';
import type { StreamId } from '../crdt/ids.ts';
import type { RowId } from '../crdt/ledger.ts';
import type { Row } from '../crdt/row.ts';
import { backoffMs } from './backoff.ts';
import { IN_STEP, heard, startedAnew, type Continuity } from './continuity.ts';
import { NOTHING_FORGOTTEN, type HeardOf, type Heartbeat } from './heartbeat.ts';
import type { LogMessage, LogPosition, LogReader, LogVisitor } from './log.ts';
import { PeerDocuments } from './peer-documents.ts';
import { covers, type Replication } from './replication.ts';
import { sleep } from './runtime.ts';
import { rowKey } from './subjects.ts';

export interface PeerStatus {
  readonly region: string;
  readonly connected: boolean;
  /** Since the peer's last message, by our clock; null when it never spoke. */
  readonly stalenessMs: number | null;
  /** Whether we hold of the peer what its last heartbeat said; null before the first. */
  readonly digestEqual: boolean | null;
  /** The sequence of the last message merged; null before the first. */
  readonly position: number | null;
}

export class PeerFollower {
  readonly #peer: string;
  readonly #reader: LogReader;
  readonly #replication: Replication;
  readonly #keep: (rows: Iterable<RowId>) => void;
  #position: LogPosition | null = null;
  #continuity: Continuity = IN_STEP;
  /** Rows of the peer held when reading began at the first message, less those that its log was seen to hold. */
  #unconfirmed = new Map<string, RowId>();
  readonly #documents: PeerDocuments;
  readonly #ownEpoch: () => number;
  #reading = new AbortController();
  #connected = false;
  #failures = 0;
  #heardAt: number | null = null;
  #digestEqual: boolean | null = null;
  #documentsHeardAt: number | null = null;
  #heardOf: HeardOf | null = null;
  #viewers: ReadonlyMap<StreamId, number> = new Map();

  /** `keep` is given the rows that the peer has lost and we hold; `ownEpoch` names this life in our heartbeats, and is 0 before it has begun. */
  constructor(peer: string, reader: LogReader, replication: Replication, keep: (rows: Iterable<RowId>) => void, ownEpoch: () => number) {
    this.#ownEpoch = ownEpoch;
    this.#peer = peer;
    this.#reader = reader;
    this.#replication = replication;
    this.#keep = keep;
    this.#documents = new PeerDocuments({
      peer,
      kinds: replication.documents,
      refuse: (key, reason) => replication.refuseDocument(peer, key, reason),
    });
  }

  stalenessMs(): number | null {
    return this.#heardAt === null ? null : this.#replication.runtime.clock.now() - this.#heardAt;
  }

  /**
   * Whatever documents the peer had at this time we have heard of; null before the first such word. By our clock: it is when we
   * made the last heartbeat that the peer had heard when it said which documents it has.
   */
  get documentsHeardAt(): number | null {
    return this.#documentsHeardAt;
  }

  /** The last heartbeat of the peer's latest life; null before the first. */
  heardOf(): HeardOf | null {
    return this.#heardOf;
  }

  viewers(stream: StreamId): number {
    const stalenessMs = this.stalenessMs();
    if (stalenessMs === null || stalenessMs > this.#replication.options.viewersForgottenMs) return 0;
    return this.#viewers.get(stream) ?? 0;
  }

  status(): PeerStatus {
    return {
      region: this.#peer,
      connected: this.#connected,
      stalenessMs: this.stalenessMs(),
      digestEqual: this.#digestEqual,
      position: this.#position?.sequence ?? null,
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { runtime, options, stats, log } = this.#replication;
    signal.addEventListener('abort', () => this.#reading.abort(), { once: true });
    while (!signal.aborted) {
      const reading = new AbortController();
      this.#reading = reading;
      try {
        await this.#reader.follow(this.#position, this.#visitor(reading.signal), reading.signal);
      } catch (error) {
        if (this.#connected) log.warn({ peer: this.#peer, error }, 'lost the link to a peer');
        else log.debug({ peer: this.#peer, error }, 'a peer cannot be reached');
      }
      this.#connected = false;
      if (reading.signal.aborted) continue;
      reading.abort();
      stats.disconnects += 1;
      this.#failures += 1;
      await sleep(runtime.timers, backoffMs(this.#failures, options.backoff, runtime.random), signal);
    }
  }

  #visitor(signal: AbortSignal): LogVisitor {
    return {
      started: (position) => {
        if (!signal.aborted) this.#started(position);
      },
      batch: (messages, position) => {
        if (signal.aborted) return;
        this.#failures = 0;
        this.#heardAt = this.#replication.runtime.clock.now();
        for (const message of messages) {
          this.#merge(message);
          // A heartbeat among them may have made us read anew: the rest will come again.
          if (signal.aborted) return;
        }
        this.#position = position;
      },
    };
  }

  #started(position: LogPosition): void {
    this.#connected = true;
    this.#position = position;
    this.#replication.log.info({ peer: this.#peer, ...position }, 'reads the log of a peer');
    if (position.sequence > 0) return;
    this.#continuity = startedAnew(this.#continuity);
    this.#documents.startedAnew();
    this.#unconfirmed.clear();
    for (const tally of this.#replication.ledger.tallies()) {
      for (const actor of tally.actors()) {
        const id = { stream: tally.stream, actor };
        if (regionOf(actor) === this.#peer) this.#unconfirmed.set(rowKey(id), id);
      }
    }
  }

  #merge(message: LogMessage): void {
    const { stats } = this.#replication;
    stats.messagesReceived += 1;
    stats.bytesReceived += message.payload.length;
    const entry = this.#replication.read(this.#peer, message);
    if (entry === null) return;
    if (entry.kind === 'heartbeat') return this.#hear(entry.heartbeat);
    if (entry.kind === 'document') {
      stats.documentsReceived += 1;
      return this.#documents.merge(entry.key, entry.bytes);
    }
    const changed = this.#replication.join(entry.row);
    if (entry.kind === 'row') {
      if (changed) stats.rowsMerged += 1;
      this.#confirm(message.key, entry.row);
    } else if (changed) {
      stats.custodyRowsMerged += 1;
    }
  }

  /** The peer's log holds this row: when it is all that we hold of it, there is nothing to keep. */
  #confirm(key: string, row: Row): void {
    const id = this.#unconfirmed.get(key);
    const held = id && this.#replication.ledger.row(id);
    if (held !== undefined && covers(row, held)) this.#unconfirmed.delete(key);
  }

  /** A heartbeat may come late, or be an older one: neither what we have heard nor what we know goes back. */
  #noteHeard({ at, actors, heard = [] }: Heartbeat, documentsMatch: boolean): void {
    const epoch = Math.max(0, ...actors.map(([actor]) => parseActorId(actor).epoch));
    const known = this.#heardOf;
    if (epoch > 0 && (known === null || epoch > known.epoch || (epoch === known.epoch && at > known.at))) this.#heardOf = { region: this.#peer, epoch, at };
    if (!documentsMatch) return;
    const { region } = this.#replication;
    for (const ours of heard) {
      // What an earlier life of ours said, with another clock, tells nothing.
      if (ours.region === region && ours.epoch === this.#ownEpoch()) this.#documentsHeardAt = Math.max(this.#documentsHeardAt ?? 0, ours.at);
    }
  }

  #hear(heartbeat: Heartbeat): void {
    const { ledger, stats, log } = this.#replication;
    this.#viewers = new Map(heartbeat.viewers);
    const { digest, actors, documents, forgotten = NOTHING_FORGOTTEN } = heartbeat;
    // What the log lacks itself proves nothing, neither that all is well nor that anything was lost.
    const documentsMatch = documents === null ? null : documents === undefined || this.#documents.matches(documents);
    this.#noteHeard(heartbeat, documentsMatch === true);
    if (digest === null) return;
    // While one of us has forgotten more streams than the other, digests tell nothing of the rows; but why the other
    // has not may be a document that was lost.
    const isComparable = forgotten === ledger.forgottenDigest();
    if (!isComparable && documentsMatch !== false) return;
    const rowsMatch =
      !isComparable || (digest === ledger.regionDigest(this.#peer) && actors.every(([actor, sequence]) => sequence === ledger.sequence(actor)));
    if (rowsMatch && documentsMatch === null) return;
    const matches = rowsMatch && documentsMatch === true;
    this.#digestEqual = matches;
    if (!matches) stats.heartbeatMismatches += 1;
    const [continuity, verdict] = heard(this.#continuity, matches);
    this.#continuity = continuity;
    if (rowsMatch && isComparable) this.#unconfirmed.clear();
    if (verdict === 'read-anew') {
      log.warn({ peer: this.#peer, rowsMatch, documentsMatch }, 'we do not hold what the log of a peer should: reading it again');
      stats.repairs += 1;
      this.#position = null;
      this.#reading.abort();
    } else if (verdict === 'keep-rows' && !rowsMatch) {
      log.warn({ peer: this.#peer, rows: this.#unconfirmed.size }, 'a peer has lost rows that we hold: keeping them for it');
      this.#keep(this.#unconfirmed.values());
    }
  }
}
