/**
 * What the publisher and the followers share: how messages are understood, joined and counted.
 *
 * Everything that enters the ledger from a log passes `join` here, so this is where a claim about one
 * of this process' own current actors is noticed: only this process may know of their latest counts.
 */

import { regionOf, type ActorId } from '../crdt/actor.ts';
import type { Ledger } from '../crdt/ledger.ts';
import { MalformedRow, decodeRow, type Row } from '../crdt/row.ts';
import type { BackoffLimits } from './backoff.ts';
import { LOGGED_DOCUMENT_BYTES_MAX, documentKinds, type DocumentKind } from './documents.ts';
import { MalformedHeartbeat, decodeHeartbeat, type Heartbeat } from './heartbeat.ts';
import type { LogMessage } from './log.ts';
import type { Log, Runtime } from './runtime.ts';
import { parseKey } from './subjects.ts';

export interface ReplicationOptions {
  /** The gossip tick: rows are published this long after the last ones, or up to twice as long. */
  readonly tickMs: number;
  /** Rows encoded in one turn of the event loop. */
  readonly rowsPerTickMax: number;
  /** After this long with rows left over, one turn takes all of them: only then a digest can be told. */
  readonly leftOverMs: number;
  readonly custodyRowsPerTickMax: number;
  /** Bytes of documents in one append, beyond which the next waits for the next turn. */
  readonly documentBytesPerTickMax: number;
  /** Rows of forgotten streams removed from the own log in one turn, in which nothing is published. */
  readonly removalsPerTickMax: number;
  /** How often what the own log has refused, because it is full, is tried again. */
  readonly refusedRetryMs: number;
  /** How long the log says that a document is gone. */
  readonly tombstoneMs: number;
  readonly heartbeatMs: number;
  /** A peer silent for this long has no viewers that we know of. */
  readonly viewersForgottenMs: number;
  /** How long a stop may wait for the log to take the last rows. */
  readonly flushMs: number;
  readonly backoff: BackoffLimits;
}

export const REPLICATION_DEFAULTS: ReplicationOptions = Object.freeze({
  tickMs: 50,
  rowsPerTickMax: 4096,
  leftOverMs: 5000,
  custodyRowsPerTickMax: 256,
  documentBytesPerTickMax: 256 * 1024,
  removalsPerTickMax: 256,
  refusedRetryMs: 30_000,
  tombstoneMs: 3_600_000,
  heartbeatMs: 1000,
  viewersForgottenMs: 10_000,
  flushMs: 2000,
  backoff: Object.freeze({ minMs: 200, maxMs: 2000 }),
});

/** Counters since the start; read by whoever shows metrics. */
export interface ReplicationStats {
  rowsPublished: number;
  bytesPublished: number;
  heartbeatsPublished: number;
  custodyRowsPublished: number;
  /** Rows of forgotten streams that were removed from the own log. */
  rowsRemoved: number;
  /** Versions of documents, removals included. */
  documentsPublished: number;
  documentsReceived: number;
  /** Documents, own or a peer's, that were too large or too many, or whose owner failed. */
  documentsRefused: number;
  appendFailures: number;
  /** Messages that the own log, which answered, had no room for, as often as they were tried. */
  keysRefused: number;
  /** Times that the own log was opened, the first included. */
  opens: number;
  /** Times that the own log had lost acknowledged messages. */
  losses: number;
  messagesReceived: number;
  bytesReceived: number;
  /** Rows received that told something new. */
  rowsMerged: number;
  custodyRowsMerged: number;
  malformed: number;
  /** Times that reading a peer's log broke off. */
  disconnects: number;
  heartbeatMismatches: number;
  /** Times that a peer's log was read again from its first message to mend a mismatch. */
  repairs: number;
  identityClashes: number;
}

export type LogEntry =
  | { readonly kind: 'row' | 'custody'; readonly row: Row }
  | { readonly kind: 'document'; readonly key: string; readonly bytes: Uint8Array }
  | { readonly kind: 'heartbeat'; readonly heartbeat: Heartbeat };

export interface Replication {
  readonly region: string;
  readonly ledger: Ledger;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly options: ReplicationOptions;
  readonly stats: ReplicationStats;
  readonly documents: ReadonlyMap<string, DocumentKind>;
  /** Counts and logs a document that is not published or not taken. */
  refuseDocument(from: string, key: string, reason: string): void;
  /** What a message of a region's log says; null when it is malformed, which is counted and logged. */
  read(from: string, message: LogMessage): LogEntry | null;
  /** Joins a row; true when the ledger changed. Rows of forgotten streams change nothing. */
  join(row: Row): boolean;
}

export interface ReplicationParts {
  readonly region: string;
  readonly ledger: Ledger;
  readonly runtime: Runtime;
  readonly log: Log;
  /** Whose documents are published beside the rows. */
  readonly documents?: readonly DocumentKind[];
  /** The actors that this process writes as now, with the sequence of their last commits. */
  readonly currentActors: () => ReadonlyMap<ActorId, number>;
  /** Someone else has counted as one of our current actors: it must never count again. */
  readonly onIdentityClash: (actor: ActorId) => void;
}

const LOG_INTERVAL_MS = 10_000;

export function createReplication(parts: ReplicationParts, options: ReplicationOptions): Replication {
  const { region, ledger, runtime, log, currentActors, onIdentityClash } = parts;
  const stats = emptyStats();
  const malformedSeldom = seldom(runtime);
  const refusedSeldom = seldom(runtime);

  const refuse = (from: string, key: string, reason: string): null => {
    stats.malformed += 1;
    if (malformedSeldom()) log.warn({ from, key, reason, malformed: stats.malformed }, 'skipped a malformed message of the log');
    return null;
  };

  return {
    region,
    ledger,
    runtime,
    log,
    options,
    stats,
    documents: documentKinds(parts.documents ?? []),
    refuseDocument(from, key, reason) {
      stats.documentsRefused += 1;
      if (refusedSeldom()) log.error({ from, key, reason, refused: stats.documentsRefused }, 'refused a document');
    },
    read(from, message) {
      const key = parseKey(from, message.key);
      if (key === null) return refuse(from, message.key, 'unknown key');
      if (key.kind === 'document') {
        const bytes = message.payload;
        return bytes.length > LOGGED_DOCUMENT_BYTES_MAX ? refuse(from, message.key, 'too large') : { ...key, bytes };
      }
      try {
        if (key.kind === 'heartbeat') return { kind: 'heartbeat', heartbeat: decodeHeartbeat(from, message.payload) };
        return { kind: key.kind, row: decodeRow(key.stream, key.actor, message.payload) };
      } catch (error) {
        if (!(error instanceof MalformedRow || error instanceof MalformedHeartbeat)) throw error;
        return refuse(from, message.key, error.message);
      }
    },
    join(row) {
      // What is left in logs of a stream that is over makes no claim on anybody.
      if (ledger.hasForgotten(row.stream)) return false;
      if (regionOf(row.actor) === region && currentActors().has(row.actor) && !covers(ledger.row(row), row)) {
        stats.identityClashes += 1;
        log.error({ actor: row.actor, stream: row.stream }, 'another process has counted as one of our actors');
        // First the fence, then the join: the row is true, but our counting above it would be swallowed.
        onIdentityClash(row.actor);
      }
      return ledger.join(row);
    },
  };
}

/** Answers true now and then, so that what goes on and on is not logged as often. */
function seldom({ clock }: Runtime): () => boolean {
  let last = -Infinity;
  return () => {
    const now = clock.now();
    if (now - last < LOG_INTERVAL_MS) return false;
    last = now;
    return true;
  };
}

/** True when joining the other row into the one held would change nothing. */
export function covers(held: Row | undefined, other: Row): boolean {
  if (held === undefined || held.sequence < other.sequence) return false;
  const entries = new Map(held.entries.map((entry) => [entry.emoji, entry]));
  return other.entries.every(({ emoji, increments, decrements }) => {
    const entry = entries.get(emoji);
    return (entry?.increments ?? 0) >= increments && (entry?.decrements ?? 0) >= decrements;
  });
}

function emptyStats(): ReplicationStats {
  return {
    rowsPublished: 0,
    bytesPublished: 0,
    heartbeatsPublished: 0,
    custodyRowsPublished: 0,
    rowsRemoved: 0,
    documentsPublished: 0,
    documentsReceived: 0,
    documentsRefused: 0,
    appendFailures: 0,
    keysRefused: 0,
    opens: 0,
    losses: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    rowsMerged: 0,
    custodyRowsMerged: 0,
    malformed: 0,
    disconnects: 0,
    heartbeatMismatches: 0,
    repairs: 0,
    identityClashes: 0,
  };
}
