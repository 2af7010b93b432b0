/** Commits for tests: one that is made up, and arbitrary ones. */

import * as fc from 'fast-check';
import { actorId, type ActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { ClaimRecord, Commit, CommitEntry, Contribution, Correction, SessionRecord } from '../../src/hot-store/hot-store.ts';

export const ALICE: ActorId = actorId({ region: 'us', shard: 0, epoch: 1000 });
export const BOB: ActorId = actorId({ region: 'us', shard: 0, epoch: 2000 });

/** The `sequence`-th commit of an actor: one row, one session with a clamped batch, one contribution, one correction. */
export function sampleCommit(actor: ActorId, sequence: number, at = 1_700_000_000_000 + sequence): Commit {
  const entry: CommitEntry = {
    emoji: 'heart' as EmojiId,
    increments: 3 * sequence,
    decrements: 0,
    windowIncrements: 3,
  };
  const session: SessionRecord = {
    stream: 'derby' as StreamId,
    session: 'session-1',
    highest: sequence,
    low: -1,
    high: 0,
    clamped: [[sequence, 2]],
  };
  const stream = 'derby' as StreamId;
  const emoji = 'heart' as EmojiId;
  return {
    actor,
    sequence,
    at,
    rows: [{ stream, entries: [entry] }],
    sessions: [session],
    contributions: [{ stream, viewer: 'viewer-1', device: sequence % 2 === 0 ? 'device-1' : null, emoji, at, counted: 3, retracted: 0, actor: sequence % 2 === 0 ? ALICE : null, number: sequence }],
    corrections: [{ stream, emoji, windowStart: 1_600_000_000_000, decrements: sequence }],
    windowsStoredBefore: 0,
  };
}

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => text !== '__proto__');
const count = fc.maxSafeNat();
const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const stream = fc.oneof(fc.constantFrom('a', 'b'), id) as fc.Arbitrary<StreamId>;

const actor = fc.record({ region: id, shard: fc.nat(), epoch: fc.integer({ min: 1 }) }).map(actorId);

const arbitraryEntry: fc.Arbitrary<CommitEntry> = fc.record({
  emoji: id as fc.Arbitrary<EmojiId>,
  increments: count,
  decrements: count,
  windowIncrements: count,
});

const arbitrarySession: fc.Arbitrary<SessionRecord> = fc.record({
  stream,
  session: id,
  highest: count,
  low: bits,
  high: bits,
  clamped: fc.array(fc.tuple(count, count), { maxLength: 4 }),
});

const arbitraryMovedSession: fc.Arbitrary<SessionRecord> = fc
  .tuple(arbitrarySession, fc.array(fc.tuple(count, fc.integer({ min: -1, max: 8 })), { minLength: 1, maxLength: 4 }))
  .map(([session, attempts]) => ({ ...session, attempts }));
/** In a commit a session has one record. */
const arbitrarySessions: fc.Arbitrary<SessionRecord[]> = fc
  .tuple(fc.array(arbitrarySession, { maxLength: 6 }), fc.array(arbitraryMovedSession, { maxLength: 3 }))
  .map(([stayed, moved]) => [...stayed, ...moved].map((session, index) => ({ ...session, session: `s${index}-${session.session}`.slice(0, 64) })));

const arbitraryClaim: fc.Arbitrary<ClaimRecord> = fc.record({
  stream,
  session: id,
  sequence: count,
  viewer: fc.string({ maxLength: 128 }),
  device: fc.option(id),
  at: count,
  attempt: count,
  reactions: fc.array(fc.tuple(id as fc.Arbitrary<EmojiId>, count), { maxLength: 3 }),
  clamped: count,
  page: fc.constantFrom('0.1.1', '12.1795342812345.99'),
  rivals: fc.array(id, { maxLength: 3 }),
  given: count,
});

const arbitraryContribution: fc.Arbitrary<Contribution> = fc.record({
  stream,
  viewer: id,
  device: fc.option(id),
  emoji: id as fc.Arbitrary<EmojiId>,
  at: count,
  counted: count,
  retracted: count,
  actor: fc.option(actor),
  number: fc.nat(),
});

const arbitraryCorrection: fc.Arbitrary<Correction> = fc.record({
  stream,
  emoji: id as fc.Arbitrary<EmojiId>,
  windowStart: count,
  decrements: count,
});

const arbitraryUnclaimed: fc.Arbitrary<Commit> = fc.record({
  actor,
  sequence: count,
  at: count,
  rows: fc.array(fc.record({ stream, entries: fc.array(arbitraryEntry, { maxLength: 4 }) }), { maxLength: 4 }),
  sessions: arbitrarySessions,
  contributions: fc.array(arbitraryContribution, { maxLength: 6 }),
  corrections: fc.array(arbitraryCorrection, { maxLength: 6 }),
  windowsStoredBefore: count,
});

export const arbitraryCommit: fc.Arbitrary<Commit> = fc
  .tuple(arbitraryUnclaimed, fc.array(arbitraryClaim, { maxLength: 4 }))
  .map(([commit, claims]) => (claims.length === 0 ? commit : { ...commit, claims }));
