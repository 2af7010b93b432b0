/**
 * The policy document: a Y.Doc whose top-level maps are the sections of `policy-content.ts`, and the edits that
 * moderators make to it. Runs in browsers too.
 *
 * Every value is plain and replaced whole, so that of two moderators who write one key at the same time one is
 * heard everywhere, and different keys never disturb each other; each decision to mute has a key of its own (`mutes.ts`). Console, command line and tests all edit
 * through these functions; each is one transaction. Times are milliseconds since the epoch, handed in.
 */

import type * as Y from 'yjs';
import { isId } from '../../crdt/ids.ts';
import { LEVELS_IN_ORDER, isTimestamp, isViewerId } from '../protocol/message-rules.ts';
import { recordKeyOf, subjectKey, subjectOfRecord, type MuteRecord, type MuteSubject } from './mutes.ts';
import {
  EMOJI_ORDER_MAX,
  LIMIT_SCOPES,
  REASON_CHARACTERS_MAX,
  SECTIONS,
  readContent,
  type ContentProblem,
  type LimitScope,
  type PaletteEntry,
  type PolicyContent,
  type RawContent,
  type Section,
} from './policy-content.ts';
import { SPREAD_MAX, isGlyph, isInForce, isRate, type Mute, type Policy, type RateLimit } from './policy.ts';

/** An edit that no region would heed. The message says what is wrong with it. */
export class InvalidEdit extends Error {
  override readonly name = 'InvalidEdit';
}

/** Who decides, and when. */
export interface Decision {
  /** For people: the claim `sub` of the moderator, or a name. */
  readonly by: string;
  readonly at: number;
}

export type { MuteSubject };

export interface MuteDecision extends Decision {
  /** Null or missing: for ever. */
  readonly until?: number | null;
  readonly reason?: string;
  /** Takes back what was counted from this time on; null or missing: nothing. */
  readonly retractFrom?: number | null;
}

/** What a document says as it stands there. */
export function rawContentOf(doc: Y.Doc): RawContent {
  return new Map(SECTIONS.map((section) => [section, new Map(doc.getMap(section).entries())]));
}

export function contentOf(doc: Y.Doc): { readonly content: PolicyContent; readonly problems: readonly ContentProblem[] } {
  return readContent(rawContentOf(doc));
}

/** Mutes, beside whatever else is decided of the same: who is muted is so until the last mute ends. @throws InvalidEdit */
export function mute(doc: Y.Doc, subject: MuteSubject, decision: MuteDecision): void {
  const { by, at, until = null, reason = '', retractFrom = null } = decision;
  addMute(doc, subject, { until, by, reason, retractFrom, at, liftedAt: null });
}

/**
 * Takes back all mutes that this document knows of; what they retracted stays retracted. A mute that is decided elsewhere
 * meanwhile holds. False when nobody of this name is muted. @throws InvalidEdit
 */
export function lift(doc: Y.Doc, subject: MuteSubject, { at }: Decision): boolean {
  const held = recordsOf(doc, subject).filter((record) => isInForce(record.mute, at));
  doc.transact(() => {
    // They stay, because a region that is cut off must still learn what they take back. What was decided by a clock that
    // is ahead is not lifted before it was decided, which would undo that.
    for (const record of held) writeMute(doc, record.key, { ...record.mute, liftedAt: Math.max(at, record.mute.at) });
  });
  return held.length > 0;
}

/**
 * Takes back what was counted since a time, whether muted or not: of who is not, up to now, and later taps count; of who is,
 * up to the end of the mute, because a region that hears of it late has counted on. @throws InvalidEdit
 */
export function retract(doc: Y.Doc, subject: MuteSubject, decision: Decision & { readonly from: number; readonly reason?: string }): void {
  const { by, at, from } = decision;
  const held = contentOf(doc).content.mutes.get(subjectKey(subject));
  const { until, reason } = held !== undefined && isInForce(held, at) ? held : { until: at, reason: '' };
  addMute(doc, subject, { until, by, reason: decision.reason ?? reason, retractFrom: from, at, liftedAt: null });
}

/** Changes the named fields of an emoji; null forgets what the document says of it. @throws InvalidEdit */
export function setEmoji(doc: Y.Doc, id: string, fields: PaletteEntry | null): void {
  require(isId(id), `"${id}" is no emoji id`);
  if (fields === null) return doc.getMap('palette').delete(id);
  const { glyph, enabled, order } = fields;
  require(glyph === undefined || isGlyph(glyph), 'a glyph is a short text');
  require(enabled === undefined || typeof enabled === 'boolean', 'enabled is true or false');
  require(order === undefined || Math.abs(order) <= EMOJI_ORDER_MAX, `order is a number up to ${EMOJI_ORDER_MAX}`);
  write(doc, 'palette', id, { ...contentOf(doc).content.palette.get(id as never), ...fields });
}

/** Changes the named fields of a limit; null forgets what the document says of it. @throws InvalidEdit */
export function setLimit(doc: Y.Doc, scope: LimitScope, fields: Partial<RateLimit> | null): void {
  require(LIMIT_SCOPES.includes(scope), `there are limits for ${LIMIT_SCOPES.join(', ')}`);
  if (fields === null) return doc.getMap('limits').delete(scope);
  for (const [name, value] of Object.entries(fields)) require(isRate(value), `${name} is a number above 0`);
  write(doc, 'limits', scope, { ...contentOf(doc).content.limits[scope], ...fields });
}

/** @throws InvalidEdit */
export function setState(doc: Y.Doc, value: 'live' | 'draining', decision: Decision): void {
  require(value === 'live' || value === 'draining', 'a state is live or draining; a stream is ended with endStream');
  write(doc, 'stream', 'state', { value, ...checked(decision) });
}

/** Final. False when it had ended before. @throws InvalidEdit */
export function endStream(doc: Y.Doc, decision: Decision): boolean {
  if (contentOf(doc).content.endedAt !== null) return false;
  write(doc, 'stream', 'ended', checked(decision));
  return true;
}

/** Null leaves the level to the region. @throws InvalidEdit */
export function setLevel(doc: Y.Doc, value: Policy['level'], decision: Decision): void {
  require(value === null || LEVELS_IN_ORDER.includes(value), `a level is ${LEVELS_IN_ORDER.join(', ')}, or null`);
  write(doc, 'stream', 'level', { value, ...checked(decision) });
}

/** Heard by each shard when its process starts. @throws InvalidEdit */
export function setSpread(doc: Y.Doc, value: number, decision: Decision): void {
  require(Number.isInteger(value) && value >= 1 && value <= SPREAD_MAX, `a spread is a whole number from 1 to ${SPREAD_MAX}`);
  write(doc, 'stream', 'spread', { value, ...checked(decision) });
}

/** In the global document only: refuses tokens of a `sub` that were issued before a time. @throws InvalidEdit */
export function revoke(doc: Y.Doc, sub: string, before: number, decision: Decision): void {
  require(isViewerId(sub), 'sub is the claim of a token');
  require(isTimestamp(before), 'before is a time');
  write(doc, 'revoked', sub, { before, ...checked(decision) });
}

function recordsOf(doc: Y.Doc, subject: MuteSubject): MuteRecord[] {
  const key = subjectKey(subject);
  return contentOf(doc).content.muteRecords.filter((record) => subjectKey(record.subject) === key);
}

function addMute(doc: Y.Doc, subject: MuteSubject, entry: Mute): void {
  checked(entry);
  const held = doc.getMap('mutes');
  writeMute(doc, recordKeyOf(subject, doc.clientID, entry.at, (key) => held.has(key)), entry);
}

function writeMute(doc: Y.Doc, key: string, entry: Mute): void {
  require(subjectOfRecord(key) !== null, `"${key}" names neither a viewer nor a device: an id has 1 to 128 visible ASCII characters`);
  require(entry.reason.length <= REASON_CHARACTERS_MAX, `a reason has at most ${REASON_CHARACTERS_MAX} characters`);
  for (const time of [entry.until, entry.retractFrom, entry.liftedAt]) require(time === null || isTimestamp(time), 'a time is milliseconds since the epoch');
  write(doc, 'mutes', key, { ...entry, ...checked(entry) });
}

function checked({ by, at }: Decision): Decision {
  require(by.length <= REASON_CHARACTERS_MAX, `who decides has at most ${REASON_CHARACTERS_MAX} characters`);
  require(isTimestamp(at), 'a time is milliseconds since the epoch');
  return { by, at };
}

function write(doc: Y.Doc, section: Section, key: string, value: object): void {
  doc.transact(() => doc.getMap(section).set(key, value));
}

function require(condition: boolean, message: string): void {
  if (!condition) throw new InvalidEdit(message);
}
