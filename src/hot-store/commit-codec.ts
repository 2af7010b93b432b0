/**
 * Journal records ⇄ bytes: a commit, or the opening that a writer fences its predecessors with.
 *
 * One version byte, then a msgpack array: `[0, actor]` for an opening, and for a commit
 * `[1, actor, sequence, at, windowsStoredBefore, rows, sessions, contributions, corrections]`. All four are
 * flat and grouped by stream, because a commit of a busy tick holds thousands:
 * rows `[stream, [emoji, increments, decrements, windowIncrements, …], …]`,
 * sessions `[stream, [session, highest, low, high, [sequence, clamped, …], …], …]`,
 * contributions `[stream, actor or nil for the commit's, [emoji, …], [number − the number before, viewer, device or nil,
 * at − its at, which of the emoji, counted, retracted, …], …]`,
 * corrections `[stream, [emoji, windowStart, decrements, …], …]`.
 * Only a commit that has some also has, at its end,
 * attempts `[stream, [session, [sequence, attempt + 1, …], …], …]` and
 * claims `[stream, [session, sequence, viewer, device or nil, at, attempt, [emoji, taps, …], clamped, page, [rival, …], given, …], …]`.
 *
 * Version 1 is still read: it had a fifth field to an entry, always 0, and neither contributions nor corrections.
 */

import { Decoder, Encoder } from '@msgpack/msgpack';
import { parseActorId, type ActorId } from '../../crdt/actor.ts';
import { isCount } from '../../crdt/counts.ts';
import { isId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import type { ClaimRecord, Commit, CommitEntry, CommitRow, Contribution, Correction, SessionRecord } from './hot-store.ts';

export type JournalRecord =
  | { readonly kind: 'opening'; readonly actor: ActorId }
  | { readonly kind: 'commit'; readonly commit: Commit };

/** Bytes that are no journal record: corruption, or a newer build's journal. */
export class MalformedCommit extends Error {
  override readonly name = 'MalformedCommit';
}

export const COMMIT_VERSION = 2;
const FIRST_VERSION = 1;

const OPENING = 0;
const COMMIT = 1;
const COMMIT_FIELDS = 9;
const COMMIT_FIELDS_WITH_CLAIMS = 11;
const COMMIT_FIELDS_FIRST = 7;
const ENTRY_FIELDS = 4;
const ENTRY_FIELDS_FIRST = 5;
const SESSION_FIELDS = 5;
const CONTRIBUTION_GROUP_FIELDS = 4;
const CONTRIBUTION_FIELDS = 7;
const CORRECTION_FIELDS = 3;
const CLAIM_FIELDS = 11;
/** Of sessions, by `stream session`. */
type Attempts = ReadonlyMap<string, readonly (readonly [sequence: number, attempt: number])[]>;
const NO_ATTEMPTS: Attempts = new Map();
const encoder = new Encoder({ initialBufferSize: 64 * 1024 });
const decoder = new Decoder({ maxStrLength: 256, maxBinLength: 0, maxMapLength: 0, maxExtLength: 0 });

export function encodeOpening(actor: ActorId): Uint8Array {
  return encode([OPENING, actor]);
}

export function encodeCommit(commit: Commit): Uint8Array {
  const { actor, sequence, at, windowsStoredBefore } = commit;
  const rows: unknown[] = [];
  for (const { stream, entries } of commit.rows) {
    const fields: unknown[] = [];
    for (const entry of entries) {
      fields.push(entry.emoji, entry.increments, entry.decrements, entry.windowIncrements);
    }
    rows.push(stream, fields);
  }
  const sessions = groupSessions(commit.sessions);
  const contributions = groupContributions(commit.contributions, at);
  const corrections = groupCorrections(commit.corrections);
  const fields: unknown[] = [COMMIT, actor, sequence, at, windowsStoredBefore, rows, sessions, contributions, corrections];
  const attempts = groupAttempts(commit.sessions);
  if (attempts.length > 0 || commit.claims !== undefined) fields.push(attempts, groupClaims(commit.claims ?? []));
  return encode(fields);
}

/** @throws MalformedCommit */
export function decodeRecord(bytes: Uint8Array): JournalRecord {
  const version = bytes[0];
  if (version !== COMMIT_VERSION && version !== FIRST_VERSION) {
    throw new MalformedCommit(`version ${version}; this build reads ${FIRST_VERSION} and ${COMMIT_VERSION}`);
  }
  const isFirst = version === FIRST_VERSION;
  const fields = list(decode(bytes));
  const actor = parseActor(fields[1]);
  if (fields[0] === OPENING && fields.length === 2) return { kind: 'opening', actor };
  const hasClaims = !isFirst && fields.length === COMMIT_FIELDS_WITH_CLAIMS;
  if (fields[0] !== COMMIT || (!hasClaims && fields.length !== (isFirst ? COMMIT_FIELDS_FIRST : COMMIT_FIELDS))) {
    throw new MalformedCommit('neither an opening nor a commit');
  }
  const at = count(fields[3]);
  const attempts = hasClaims ? parseAttempts(fields[9]) : NO_ATTEMPTS;
  const claims = hasClaims ? groups(fields[10]).flatMap(([stream, values]) => parseClaims(stream, values)) : [];
  return {
    kind: 'commit',
    commit: {
      actor,
      sequence: count(fields[2]),
      at,
      windowsStoredBefore: count(fields[4]),
      rows: groups(fields[5]).map(([stream, values]) => parseRow(stream, values, isFirst ? ENTRY_FIELDS_FIRST : ENTRY_FIELDS)),
      sessions: groups(fields[6]).flatMap(([stream, values]) => parseSessions(stream, values, attempts)),
      contributions: isFirst ? [] : parseContributions(list(fields[7]), at),
      corrections: isFirst ? [] : groups(fields[8]).flatMap(([stream, values]) => parseCorrections(stream, values)),
      ...(claims.length === 0 ? {} : { claims }),
    },
  };
}

function groupSessions(sessions: readonly SessionRecord[]): unknown[] {
  const groups = new Map<StreamId, unknown[]>();
  for (const { stream, session, highest, low, high, clamped } of sessions) {
    let group = groups.get(stream);
    if (group === undefined) groups.set(stream, (group = []));
    group.push(session, highest, low, high, clamped.length === 0 ? clamped : clamped.flat());
  }
  return [...groups].flat();
}

interface ContributionGroup {
  readonly emojis: Map<EmojiId, number>;
  readonly values: unknown[];
  number: number;
}

function groupContributions(contributions: readonly Contribution[], at: number): unknown[] {
  const actors = new Map<ActorId | null, Map<StreamId, ContributionGroup>>();
  for (const one of contributions) {
    let streams = actors.get(one.actor);
    if (streams === undefined) actors.set(one.actor, (streams = new Map()));
    let group = streams.get(one.stream);
    if (group === undefined) streams.set(one.stream, (group = { emojis: new Map(), values: [], number: 0 }));
    let emoji = group.emojis.get(one.emoji);
    if (emoji === undefined) group.emojis.set(one.emoji, (emoji = group.emojis.size));
    group.values.push(one.number - group.number, one.viewer, one.device, at - one.at, emoji, one.counted, one.retracted);
    group.number = one.number;
  }
  const groups: unknown[] = [];
  for (const [actor, streams] of actors) {
    for (const [stream, { emojis, values }] of streams) groups.push(stream, actor, [...emojis.keys()], values);
  }
  return groups;
}

function groupCorrections(corrections: readonly Correction[]): unknown[] {
  const groups = new Map<StreamId, unknown[]>();
  for (const { stream, emoji, windowStart, decrements } of corrections) {
    let group = groups.get(stream);
    if (group === undefined) groups.set(stream, (group = []));
    group.push(emoji, windowStart, decrements);
  }
  return [...groups].flat();
}

function groupAttempts(sessions: readonly SessionRecord[]): unknown[] {
  const groups = new Map<StreamId, unknown[]>();
  for (const { stream, session, attempts } of sessions) {
    if (attempts === undefined || attempts.length === 0) continue;
    let group = groups.get(stream);
    if (group === undefined) groups.set(stream, (group = []));
    group.push(session, attempts.flatMap(([sequence, attempt]) => [sequence, attempt + 1]));
  }
  return [...groups].flat();
}

function groupClaims(claims: readonly ClaimRecord[]): unknown[] {
  const groups = new Map<StreamId, unknown[]>();
  for (const { stream, session, sequence, viewer, device, at, attempt, reactions, clamped, page, rivals, given } of claims) {
    let group = groups.get(stream);
    if (group === undefined) groups.set(stream, (group = []));
    group.push(session, sequence, viewer, device, at, attempt, reactions.flat(), clamped, page, rivals, given);
  }
  return [...groups].flat();
}

function parseAttempts(value: unknown): Attempts {
  const attempts = new Map<string, readonly (readonly [number, number])[]>();
  for (const [stream, values] of groups(value)) {
    for (const [session, pairs] of tuples(values, 2)) {
      attempts.set(
        `${stream} ${text(session)}`,
        Array.from(tuples(list(pairs), 2), ([sequence, attempt]) => [count(sequence), count(attempt) - 1] as const),
      );
    }
  }
  return attempts;
}

function parseClaims(stream: StreamId, values: readonly unknown[]): ClaimRecord[] {
  return Array.from(
    tuples(values, CLAIM_FIELDS),
    ([session, sequence, viewer, device, at, attempt, reactions, clamped, page, rivals, given]) => ({
      stream,
      session: text(session),
      sequence: count(sequence),
      viewer: text(viewer),
      device: device === null ? null : text(device),
      at: count(at),
      attempt: count(attempt),
      reactions: Array.from(tuples(list(reactions), 2), ([emoji, taps]) => [emojiId(emoji), count(taps)] as const),
      clamped: count(clamped),
      page: text(page),
      rivals: list(rivals).map(text),
      given: count(given),
    }),
  );
}

function parseRow(stream: StreamId, values: readonly unknown[], entryFields: number): CommitRow {
  const entries: CommitEntry[] = [];
  for (const [emoji, increments, decrements, windowIncrements] of tuples(values, entryFields)) {
    entries.push({
      emoji: emojiId(emoji),
      increments: count(increments),
      decrements: count(decrements),
      windowIncrements: count(windowIncrements),
    });
  }
  return { stream, entries };
}

function parseSessions(stream: StreamId, values: readonly unknown[], attempts: Attempts): SessionRecord[] {
  const records: SessionRecord[] = [];
  for (const [session, highest, low, high, clamped] of tuples(values, SESSION_FIELDS)) {
    if (typeof session !== 'string') throw new MalformedCommit('no session');
    const pairs: [number, number][] = [];
    for (const [sequence, taps] of tuples(list(clamped), 2)) pairs.push([count(sequence), count(taps)]);
    const own = attempts.get(`${stream} ${session}`);
    const record = { stream, session, highest: count(highest), low: bits(low), high: bits(high), clamped: pairs };
    records.push(own === undefined ? record : { ...record, attempts: own });
  }
  return records;
}

function parseContributions(values: readonly unknown[], commitAt: number): Contribution[] {
  const contributions: Contribution[] = [];
  for (const [streamId, actorText, emojis, cells] of tuples(values, CONTRIBUTION_GROUP_FIELDS)) {
    if (!isId(streamId)) throw new MalformedCommit('no stream id');
    const stream = streamId as StreamId;
    const actor = actorText === null ? null : parseActor(actorText);
    const ids = list(emojis).map(emojiId);
    let number = 0;
    for (const [step, viewer, device, age, which, counted, retracted] of tuples(list(cells), CONTRIBUTION_FIELDS)) {
      const emoji = ids[count(which)];
      if (typeof viewer !== 'string' || (device !== null && typeof device !== 'string') || emoji === undefined) {
        throw new MalformedCommit('no contribution');
      }
      number = count(number + integer(step));
      const at = count(commitAt - integer(age));
      contributions.push({ stream, viewer, device, emoji, at, counted: count(counted), retracted: count(retracted), actor, number });
    }
  }
  return contributions;
}

function parseCorrections(stream: StreamId, values: readonly unknown[]): Correction[] {
  const corrections: Correction[] = [];
  for (const [emoji, windowStart, decrements] of tuples(values, CORRECTION_FIELDS)) {
    corrections.push({ stream, emoji: emojiId(emoji), windowStart: count(windowStart), decrements: count(decrements) });
  }
  return corrections;
}

function encode(fields: readonly unknown[]): Uint8Array {
  const body = encoder.encodeSharedRef(fields);
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = COMMIT_VERSION;
  bytes.set(body, 1);
  return bytes;
}

function decode(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes.subarray(1));
  } catch (error) {
    throw new MalformedCommit('not msgpack', { cause: error });
  }
}

function groups(value: unknown): [StreamId, readonly unknown[]][] {
  const parsed: [StreamId, readonly unknown[]][] = [];
  for (const [stream, values] of tuples(list(value), 2)) {
    if (!isId(stream)) throw new MalformedCommit('no stream id');
    parsed.push([stream as StreamId, list(values)]);
  }
  return parsed;
}

function* tuples(values: readonly unknown[], length: number): Generator<readonly unknown[]> {
  if (values.length % length !== 0) throw new MalformedCommit('a tuple is incomplete');
  for (let index = 0; index < values.length; index += length) yield values.slice(index, index + length);
}

function parseActor(value: unknown): ActorId {
  try {
    parseActorId(value);
    return value as ActorId;
  } catch (error) {
    throw new MalformedCommit('no actor', { cause: error });
  }
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new MalformedCommit('no list');
  return value;
}

function emojiId(value: unknown): EmojiId {
  if (!isId(value)) throw new MalformedCommit('no emoji id');
  return value as EmojiId;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new MalformedCommit('no text');
  return value;
}

function integer(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new MalformedCommit('no integer');
  return value as number;
}

function count(value: unknown): number {
  if (!isCount(value)) throw new MalformedCommit('no count');
  return value;
}

/** A signed 32-bit integer. */
function bits(value: unknown): number {
  if (typeof value !== 'number' || (value | 0) !== value || Object.is(value, -0)) throw new MalformedCommit('no bitmap');
  return value;
}
