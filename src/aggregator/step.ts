/**
 * The step: state, batch and time → reply. Pure and deterministic; it changes only the state handed in.
 *
 * A resend gets the first answer, whatever has happened to the stream since; only a batch that was never
 * counted meets the policy [AGG-4]. What a batch changed is taken out of the state as rows and session
 * records, whole and absolute, and a reply is true only once these are durable: that is the loop's duty.
 */

import type { StreamId } from '../../crdt/ids.ts';
import { TokenBuckets } from '../antispam/token-bucket.ts';
import type { Commit, CommitRow, SessionRecord } from '../hot-store/hot-store.ts';
import type { Policy } from '../moderation/policy.ts';
import type { Batch, IngestReply, Reaction } from './ingest.ts';
import { OwnCounts, rowBytesMax } from './own-counts.ts';
import { Sessions, recordBytesMax } from './sessions.ts';

export interface ShardState {
  readonly counts: OwnCounts;
  readonly sessions: Sessions;
  readonly buckets: TokenBuckets;
}

export interface StateLimits {
  readonly streamsMax: number;
  readonly sessionsMax: number;
  readonly bucketsMax: number;
}

/** What a commit says beside its actor, number and time. */
export interface Changes {
  readonly rows: readonly CommitRow[];
  readonly sessions: readonly SessionRecord[];
}

const refused = (reason: 'stream-ended' | 'unknown-emoji' | 'stale-sequence' | 'overloaded'): IngestReply =>
  Object.freeze({ kind: 'refused', reason });
const ENDED = refused('stream-ended');
const UNKNOWN_EMOJI = refused('unknown-emoji');
const STALE = refused('stale-sequence');
const OVERLOADED = refused('overloaded');

/** `seed` is any number that outsiders do not know. */
export function emptyState(limits: StateLimits, seed: number): ShardState {
  return {
    counts: new OwnCounts(limits.streamsMax),
    sessions: new Sessions(limits.sessionsMax, seed),
    buckets: new TokenBuckets(limits.bucketsMax, seed),
  };
}

/** `now` is the time of the commit to come: it never goes back. */
export function step(state: ShardState, batch: Batch, policy: Policy, now: number): IngestReply {
  const { counts, sessions, buckets } = state;
  const { stream, session, sequence, reactions } = batch;
  const found = counts.find(stream);
  let slot = found === undefined || session === null ? -1 : sessions.find(found.scope, session);
  const verdict = slot < 0 ? 'new' : sessions.verdictOf(slot, sequence);
  const taps = tapsOf(reactions);
  if (verdict === 'duplicate') {
    const clamped = Math.min(taps, sessions.clampedOf(slot, sequence));
    return { kind: 'counted', accepted: taps - clamped, clamped, duplicate: true };
  }
  if (policy.state === 'ended') return ENDED;
  for (const reaction of reactions) if (!policy.palette.has(reaction[0])) return UNKNOWN_EMOJI;
  if (verdict === 'stale') return STALE;

  // Room for everything is made sure of before anything changes: a refused batch leaves no trace.
  const own = counts.open(stream);
  if (own === undefined || (session !== null && slot < 0 && !sessions.hasRoom(now))) return OVERLOADED;
  const bucket = buckets.find(own.scope, batch.viewer, slot < 0 ? 0 : sessions.bucketOf(slot), now);
  if (bucket < 0) return OVERLOADED;
  const accepted = buckets.take(bucket, taps, now, policy.limits.viewer);
  if (session !== null) {
    if (slot < 0) slot = sessions.open(own.scope, session, now);
    sessions.admit(slot, sequence, taps - accepted, bucket, now);
  }
  if (accepted > 0) counts.add(own, reactions, accepted, now);
  return { kind: 'counted', accepted, clamped: taps - accepted, duplicate: false };
}

/** An upper bound of the encoded size of the changes so far. */
export function changedBytes({ counts, sessions }: ShardState): number {
  return counts.changedBytes + sessions.changedBytes;
}

/** Takes what changed since the last call; null when nothing did. */
export function takeChanges({ counts, sessions }: ShardState): Changes | null {
  if (counts.changedCount === 0 && sessions.changedCount === 0) return null;
  return { rows: counts.takeChanged(), sessions: sessions.takeChanged((scope) => counts.streamOf(scope)) };
}

/** The whole state as at `now`, in pieces of at most about `bytesMax`. */
export function* wholeState({ counts, sessions }: ShardState, now: number, bytesMax: number): Generator<Changes> {
  let rows: CommitRow[] = [];
  let records: SessionRecord[] = [];
  let bytes = 0;
  for (const row of counts.rows(now)) {
    rows.push(row);
    bytes += rowBytesMax(row.entries);
    if (bytes < bytesMax) continue;
    yield { rows, sessions: records };
    [rows, bytes] = [[], 0];
  }
  for (const record of sessions.records((scope) => counts.streamOf(scope))) {
    records.push(record);
    bytes += recordBytesMax(record.session, record.clamped.length);
    if (bytes < bytesMax) continue;
    yield { rows, sessions: records };
    [rows, records, bytes] = [[], [], 0];
  }
  yield { rows, sessions: records };
}

/** Joins the sessions of a recovered commit that belong to this shard; false when some found no room. */
export function restore({ counts, sessions }: ShardState, commit: Commit, owns: (stream: StreamId) => boolean): boolean {
  let complete = true;
  for (const record of commit.sessions) {
    if (!owns(record.stream)) continue;
    const scope = counts.open(record.stream)?.scope;
    if (scope === undefined || !sessions.join(scope, record, commit.at)) complete = false;
  }
  return complete;
}

function tapsOf(reactions: readonly Reaction[]): number {
  let taps = 0;
  for (const reaction of reactions) taps += reaction[1];
  return taps;
}
