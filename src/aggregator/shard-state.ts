/**
 * The state of a shard, and how it becomes commits and comes back from them. Pure.
 *
 * What changed is taken out as records, whole and absolute; joining the records of any commits, in any order
 * and number, gives back what a later life needs: sessions, contributions and claims. Counts it does not need, because
 * they belong to the actors of earlier lives and stand in the ledger.
 */

import { parseActorId, type ActorId } from '../../crdt/actor.ts';
import type { StreamId } from '../../crdt/ids.ts';
import { JUDGE_LIMITS, Judge, type JudgeLimits } from '../antispam/judge.ts';
import { COMMIT_RETENTION_MS, type ClaimRecord, type Commit, type CommitRow, type Contribution, type Correction, type SessionRecord } from '../hot-store/hot-store.ts';
import type { PolicyOf } from '../moderation/policy.ts';
import { Checks } from './checks.ts';
import { CLAIM_DEFAULTS, Claims, claimBytesMax, type ClaimLimits } from './claims.ts';
import { CONTRIBUTION_DEFAULTS, Contributions, contributionBytesMax, type ContributionLimits } from './contributions.ts';
import { Corrections, correctionBytesMax } from './corrections.ts';
import { NO_STREAM, OwnCounts, rowBytesMax } from './own-counts.ts';
import { Sessions, recordBytesMax } from './sessions.ts';
import type { Origin } from './spread.ts';

export interface ShardState {
  readonly counts: OwnCounts;
  readonly sessions: Sessions;
  /** What it knows is of this life alone: everybody begins the next one without a blemish. */
  readonly judge: Judge;
  readonly contributions: Contributions;
  readonly corrections: Corrections;
  readonly checks: Checks;
  readonly claims: Claims;
}

export interface StateLimits extends Partial<JudgeLimits>, Partial<ContributionLimits>, Partial<ClaimLimits> {
  readonly streamsMax: number;
  readonly sessionsMax: number;
  readonly bucketsMax: number;
}

/** What a commit says beside its actor, number and time. */
export interface Changes {
  readonly rows: readonly CommitRow[];
  readonly sessions: readonly SessionRecord[];
  readonly contributions: readonly Contribution[];
  readonly corrections: readonly Correction[];
  readonly claims?: readonly ClaimRecord[];
}

/** `seed` is any number that outsiders do not know. */
export function emptyState(limits: StateLimits, seed: number): ShardState {
  return {
    counts: new OwnCounts(limits.streamsMax),
    sessions: new Sessions(limits.sessionsMax, seed),
    judge: new Judge({ ...JUDGE_LIMITS, ...limits }, seed),
    contributions: new Contributions({ ...CONTRIBUTION_DEFAULTS, ...limits }, seed),
    corrections: new Corrections(),
    checks: new Checks(),
    claims: new Claims({ ...CLAIM_DEFAULTS, ...limits }, seed),
  };
}

/** An upper bound of the encoded size of the changes so far. */
export function changedBytes({ counts, sessions, contributions, corrections, claims }: ShardState): number {
  return counts.changedBytes + sessions.changedBytes + contributions.changedBytes + corrections.changedBytes + claims.changedBytes;
}

/** Takes what changed since the last call; null when nothing did. */
export function takeChanges({ counts, sessions, contributions, corrections, claims }: ShardState): Changes | null {
  if (counts.changedCount + sessions.changedCount + claims.changedCount === 0) return null;
  const streamOf = (scope: number): StreamId => counts.streamOf(scope);
  const changedClaims = claims.takeChanged();
  return {
    rows: counts.takeChanged(),
    sessions: sessions.takeChanged(streamOf),
    contributions: contributions.takeChanged(streamOf, (number) => counts.emojiOf(number)),
    corrections: corrections.takeChanged(),
    ...(changedClaims.length === 0 ? {} : { claims: changedClaims }),
  };
}

/** The whole state as at `now`, in pieces of at most about `bytesMax`. */
export function* wholeState(state: ShardState, now: number, bytesMax: number): Generator<Changes> {
  let piece = emptyPiece();
  let bytes = 0;
  for (const [part, record, recordBytes] of allRecords(state, now)) {
    (piece[part] as unknown[]).push(record);
    bytes += recordBytes;
    if (bytes < bytesMax) continue;
    yield piece;
    [piece, bytes] = [emptyPiece(), 0];
  }
  yield piece;
}

function emptyPiece(): Changes {
  return { rows: [], sessions: [], contributions: [], corrections: [], claims: [] };
}

/**
 * Rows come last: of a life that ends in between, the next one knows what was counted and taken back, and repeats
 * nothing of it.
 */
function* allRecords({ counts, sessions, contributions, corrections, claims }: ShardState, now: number): Generator<readonly [keyof Changes, unknown, number]> {
  const streamOf = (scope: number): StreamId => counts.streamOf(scope);
  for (const record of contributions.records(now - COMMIT_RETENTION_MS, streamOf, (number) => counts.emojiOf(number))) {
    // Contributions go with their time, and may outlive their stream.
    if (record.stream === NO_STREAM) continue;
    yield ['contributions', record, contributionBytesMax(record)];
  }
  for (const correction of corrections.all()) yield ['corrections', correction, correctionBytesMax(correction)];
  for (const record of sessions.records(streamOf)) {
    yield ['sessions', record, recordBytesMax(record.session, record.clamped.length + (record.attempts?.length ?? 0))];
  }
  for (const record of claims.records()) yield ['claims', record, claimBytesMax(record)];
  for (const row of counts.rows(now)) yield ['rows', row, rowBytesMax(row.entries)];
}

/**
 * Joins what a recovered commit says of this shard's streams. Sessions count as used `now`: the clock may have been set since
 * the commit was made. Answers of what some found no room.
 */
export function restore(
  { counts, sessions, contributions, claims }: ShardState,
  commit: Commit,
  owns: (stream: StreamId, origin: Origin) => boolean,
  now: number,
): ReadonlySet<keyof Changes> {
  const missing = new Set<keyof Changes>();
  const byWriter = madeBy(commit.actor);
  for (const record of commit.sessions) {
    if (!owns(record.stream, { session: record.session })) continue;
    const scope = counts.open(record.stream)?.scope;
    if (scope === undefined || !sessions.join(scope, record, now)) missing.add('sessions');
  }
  for (const contribution of commit.contributions) {
    if (!owns(contribution.stream, contribution.actor === null ? byWriter : madeBy(contribution.actor))) continue;
    const scope = counts.open(contribution.stream)?.scope;
    const number = counts.numberOf(contribution.emoji);
    if (scope === undefined || number < 0 || !contributions.join(scope, number, contribution, commit.actor)) missing.add('contributions');
  }
  for (const record of commit.claims ?? []) {
    // The name of a page begins with the shard that made its claims.
    if (!owns(record.stream, { madeBy: Number.parseInt(record.page, 10) })) continue;
    // What is given back needs its stream.
    if (counts.open(record.stream) === undefined) missing.add('claims');
    claims.join(record);
  }
  return missing;
}

function madeBy(actor: ActorId): Origin {
  return { madeBy: parseActorId(actor).shard };
}

/** All commits are joined. */
export function restored({ contributions, claims }: ShardState): void {
  contributions.joined();
  claims.joined();
}

/** What the policies take back is looked for from now on where they changed since it was last: of one stream, or of all. */
export function checkPolicies({ counts, checks }: ShardState, policyOf: PolicyOf, stream: StreamId | null): void {
  const one = stream === null ? undefined : counts.find(stream);
  for (const own of stream === null ? counts.streams() : one === undefined ? [] : [one]) {
    if (own.checked !== policyOf(own.stream)) checks.mark(own);
  }
}

/**
 * Lets go of the streams that are over: counts, sessions, what the judge knows. Only between commits, when nothing has
 * changed that was not taken. While something may still have to be taken back, it waits for the next call.
 */
export function forgetStreams({ counts, sessions, judge, checks }: ShardState, isOver: (stream: StreamId) => boolean): void {
  if (checks.size + counts.changedCount + sessions.changedCount > 0) return;
  const over = [...counts.streams()].filter(({ stream }) => isOver(stream));
  if (over.length === 0) return;
  for (const own of over) {
    counts.forget(own);
    judge.forget(own.scope);
  }
  sessions.forget(new Set(over.map(({ scope }) => scope)));
}
