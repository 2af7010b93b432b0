/**
 * What moderators have written, read field by field, and the policy that follows from it. Pure and total.
 *
 * A document is four maps of plain values, and for all streams also `revoked` (`policy-doc.ts` keeps them in
 * Yjs). Nothing in it is trusted: what is malformed is ignored and told as a problem with its path, so that a
 * slip of a console, or a field of a newer version, concerns itself alone [MOD-2]. Where two places speak, the
 * stream's document wins over the global one, and that over the file, field by field [MOD-3]; mutes of both hold together.
 */

import { isId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import { LEVELS_IN_ORDER, isTimestamp, isViewerId } from '../protocol/message-rules.ts';
import { effectiveMutes, joinedMutes, joinedRetractions, retractionsOf, subjectOfRecord, type MuteRecord } from './mutes.ts';
import {
  DEFAULT_BASE,
  NO_RETRACTIONS,
  PALETTE_MAX,
  RATE_MAX,
  SPREAD_MAX,
  isGlyph,
  isRate,
  type BasePolicy,
  type Mute,
  type Policy,
  type RateLimit,
  type Retraction,
} from './policy.ts';

/** The maps of a document. */
export const SECTIONS = ['palette', 'limits', 'mutes', 'stream', 'revoked'] as const;
export type Section = (typeof SECTIONS)[number];

/** A document as it is found: of each map the key and whatever stands there. */
export type RawContent = ReadonlyMap<Section, ReadonlyMap<string, unknown>>;

export const GLOBAL_DOCUMENT = 'global';
/** The name of a document: of all streams, or of one. */
export type DocumentName = typeof GLOBAL_DOCUMENT | `stream.${string}`;

export type LimitScope = keyof Policy['limits'];
export const LIMIT_SCOPES = Object.keys(DEFAULT_BASE.limits) as readonly LimitScope[];

/** Decisions in one document to mute or to take back that hold or have held lately. */
export const MUTES_MAX = 2_000;
export const REASON_CHARACTERS_MAX = 280;
export const EMOJI_ORDER_MAX = 1_000_000;

export interface PaletteEntry {
  readonly glyph?: string;
  readonly enabled?: boolean;
  readonly order?: number;
}

/** What a document says, without what it says wrongly. What it does not say is missing, null or empty. */
export interface PolicyContent {
  readonly palette: ReadonlyMap<EmojiId, PaletteEntry>;
  readonly limits: Readonly<Partial<Record<LimitScope, Readonly<Partial<RateLimit>>>>>;
  /** Of each `viewer:<id>` or `device:<id>` the mute that lasts longest, or did. */
  readonly mutes: ReadonlyMap<string, Mute>;
  /** What all mutes take back. */
  readonly retractions: readonly Retraction[];
  /** The decisions from which both follow, by their keys. */
  readonly muteRecords: readonly MuteRecord[];
  readonly state: 'live' | 'draining' | null;
  readonly endedAt: number | null;
  /** Undefined says nothing; null says that the region decides. */
  readonly level: Policy['level'] | undefined;
  readonly spread: number | null;
  /** `sub` of tokens → tokens issued before this time, in milliseconds, are refused. */
  readonly revoked: ReadonlyMap<string, number>;
}

export interface ContentProblem {
  /** `section/key` or `section/key/field`. */
  readonly path: string;
  readonly message: string;
}

export const EMPTY_CONTENT: PolicyContent = Object.freeze({
  palette: new Map(),
  limits: Object.freeze({}),
  mutes: new Map(),
  retractions: NO_RETRACTIONS,
  muteRecords: Object.freeze([]),
  state: null,
  endedAt: null,
  level: undefined,
  spread: null,
  revoked: new Map(),
});

export function streamDocument(stream: StreamId): DocumentName {
  return `stream.${stream}`;
}

/** What a document is about: one stream, or all (null). Null when there is no document of this name. */
export function subjectOfDocument(name: string): { readonly stream: StreamId | null } | null {
  if (name === GLOBAL_DOCUMENT) return { stream: null };
  const stream = name.startsWith('stream.') ? name.slice('stream.'.length) : '';
  return isId(stream) ? { stream: stream as StreamId } : null;
}

/** Never throws; the problems are in the order of the sections. */
export function readContent(raw: RawContent): { readonly content: PolicyContent; readonly problems: readonly ContentProblem[] } {
  const problems: ContentProblem[] = [];
  const report: Report = (path, message) => void problems.push({ path, message });
  const entries = (section: Section): ReadonlyMap<string, unknown> => raw.get(section) ?? new Map<string, unknown>();
  const content = {
    palette: readPalette(entries('palette'), report),
    limits: readLimits(entries('limits'), report),
    ...readMutes(entries('mutes'), report),
    ...readStream(entries('stream'), report),
    revoked: readRevoked(entries('revoked'), report),
  };
  return { content: Object.freeze(content), problems };
}

/** The policy of one stream, frozen. */
export function derivePolicy(base: BasePolicy, all: PolicyContent, one: PolicyContent, stream: StreamId): Policy {
  const limit = (scope: LimitScope): RateLimit =>
    Object.freeze({ ...base.limits[scope], ...all.limits[scope], ...one.limits[scope] });
  // What is said to all streams at once never ends one: that would be final, for all of them.
  const endedAt = one.endedAt ?? (base.endedStreams.has(stream) ? 0 : null);
  return Object.freeze({
    palette: all.palette.size + one.palette.size === 0 ? base.palette : derivePalette(base.palette, all.palette, one.palette),
    limits: Object.freeze({ viewer: limit('viewer'), device: limit('device'), address: limit('address') }),
    state: endedAt === null ? (one.state ?? all.state ?? 'live') : 'ended',
    endedAt,
    mutedViewers: joinedMutes('viewer', one.mutes, all.mutes),
    mutedDevices: joinedMutes('device', one.mutes, all.mutes),
    retractions: joinedRetractions(one.retractions, all.retractions),
    level: one.level === undefined ? (all.level ?? null) : one.level,
    spread: one.spread ?? all.spread ?? 1,
  });
}

type Report = (path: string, message: string) => void;

function derivePalette(
  base: ReadonlyMap<EmojiId, string>,
  all: PolicyContent['palette'],
  one: PolicyContent['palette'],
): ReadonlyMap<EmojiId, string> {
  const baseOrder = new Map(Array.from(base.keys(), (id, index) => [id, index]));
  const shown: { readonly id: EmojiId; readonly glyph: string; readonly order: number }[] = [];
  for (const id of new Set([...base.keys(), ...all.keys(), ...one.keys()])) {
    const { glyph = base.get(id), enabled = true, order = baseOrder.get(id) ?? Infinity } = { ...all.get(id), ...one.get(id) };
    if (enabled && glyph !== undefined) shown.push({ id, glyph, order });
  }
  // Equal places are told apart by the id, so that every region shows the same order.
  shown.sort((a, b) => (a.order === b.order ? (a.id < b.id ? -1 : 1) : a.order - b.order));
  return new Map(shown.slice(0, PALETTE_MAX).map(({ id, glyph }) => [id, glyph]));
}

function readPalette(entries: ReadonlyMap<string, unknown>, report: Report): PolicyContent['palette'] {
  const palette = new Map<EmojiId, PaletteEntry>();
  for (const [id, value] of entries) {
    const path = `palette/${id}`;
    if (!isId(id)) report(path, 'no emoji id');
    else palette.set(id as EmojiId, readFields(path, value, PALETTE_FIELDS, report) as PaletteEntry);
  }
  return palette;
}

function readLimits(entries: ReadonlyMap<string, unknown>, report: Report): PolicyContent['limits'] {
  const limits: Partial<Record<LimitScope, Partial<RateLimit>>> = {};
  for (const [scope, value] of entries) {
    const path = `limits/${scope}`;
    if (!LIMIT_SCOPES.includes(scope as LimitScope)) report(path, `there are ${LIMIT_SCOPES.join(', ')}`);
    else limits[scope as LimitScope] = readFields(path, value, LIMIT_FIELDS, report) as Partial<RateLimit>;
  }
  return Object.freeze(limits);
}

function readMutes(entries: ReadonlyMap<string, unknown>, report: Report): Pick<PolicyContent, 'mutes' | 'retractions' | 'muteRecords'> {
  const records: MuteRecord[] = [];
  for (const [key, value] of entries) {
    const subject = subjectOfRecord(key);
    if (subject === null) {
      report(`mutes/${key}`, 'neither <decision>:viewer:<id> nor <decision>:device:<id>');
      continue;
    }
    const mute = readMute(`mutes/${key}`, value, report);
    if (mute !== null) records.push({ key, subject, mute });
  }
  // The latest first, in an order that does not depend on how the document was merged.
  records.sort((a, b) => b.mute.at - a.mute.at || (a.key < b.key ? -1 : 1));
  for (const { key } of records.splice(MUTES_MAX)) report(`mutes/${key}`, `beyond the latest ${MUTES_MAX}`);
  const retractions = retractionsOf(records);
  return {
    mutes: effectiveMutes(records),
    retractions: retractions.length === 0 ? NO_RETRACTIONS : retractions,
    muteRecords: Object.freeze(records),
  };
}

function readMute(path: string, value: unknown, report: Report): Mute | null {
  const wrong: string[] = [];
  const fields = readFields(path, value, MUTE_FIELDS, (place, message) => {
    wrong.push(place);
    report(place, message);
  });
  // Who and why may be lost; a time that cannot be read would mute for ever or take back everything.
  const isMute = fields['at'] !== undefined && !wrong.some((place) => /\/(?:until|retractFrom|at|liftedAt)$/.test(place));
  if (!isMute) {
    if (wrong.length === 0) report(path, 'it does not say when it was decided');
    return null;
  }
  return Object.freeze({ until: null, by: '', reason: '', retractFrom: null, liftedAt: null, ...fields } as unknown as Mute);
}

function readStream(
  entries: ReadonlyMap<string, unknown>,
  report: Report,
): Pick<PolicyContent, 'state' | 'endedAt' | 'level' | 'spread'> {
  for (const key of entries.keys()) {
    if (!Object.hasOwn(STREAM_VALUES, key) && key !== 'ended') report(`stream/${key}`, 'unknown; nothing follows from it');
  }
  const valueOf = (key: keyof typeof STREAM_VALUES): unknown => {
    if (!entries.has(key)) return undefined;
    return readFields(`stream/${key}`, entries.get(key), { ...WHO_FIELDS, value: STREAM_VALUES[key] }, report)['value'];
  };
  const ended = entries.has('ended') ? readFields('stream/ended', entries.get('ended'), WHO_FIELDS, report)['at'] : undefined;
  if (entries.has('ended') && ended === undefined) report('stream/ended', 'it does not say when');
  return {
    state: (valueOf('state') as 'live' | 'draining' | undefined) ?? null,
    endedAt: (ended as number | undefined) ?? null,
    level: valueOf('level') as Policy['level'] | undefined,
    spread: (valueOf('spread') as number | undefined) ?? null,
  };
}

function readRevoked(entries: ReadonlyMap<string, unknown>, report: Report): PolicyContent['revoked'] {
  const revoked = new Map<string, number>();
  for (const [sub, value] of entries) {
    const path = `revoked/${sub}`;
    if (!isViewerId(sub)) {
      report(path, 'no claim "sub" of a token');
      continue;
    }
    const { before } = readFields(path, value, { ...WHO_FIELDS, before: TIME }, report);
    if (before === undefined) report(path, 'it does not say before when');
    else revoked.set(sub, before as number);
  }
  return revoked;
}

interface FieldRule {
  readonly accepts: (value: unknown) => boolean;
  readonly expected: string;
}

type FieldRules = Readonly<Record<string, FieldRule>>;

const TIME: FieldRule = { accepts: isTimestamp, expected: 'milliseconds since the epoch' };
const TIME_OR_NULL: FieldRule = { accepts: (value) => value === null || isTimestamp(value), expected: `${TIME.expected}, or null` };
const REASON: FieldRule = {
  accepts: (value) => typeof value === 'string' && value.length <= REASON_CHARACTERS_MAX,
  expected: `a text of at most ${REASON_CHARACTERS_MAX} characters`,
};
const RATE: FieldRule = { accepts: isRate, expected: `a number above 0, at most ${RATE_MAX}` };
const WHO_FIELDS: FieldRules = { by: REASON, at: TIME };
const PALETTE_FIELDS: FieldRules = {
  glyph: { accepts: isGlyph, expected: 'a short text' },
  enabled: { accepts: (value) => typeof value === 'boolean', expected: 'true or false' },
  order: {
    accepts: (value) => typeof value === 'number' && Math.abs(value) <= EMOJI_ORDER_MAX,
    expected: `a number up to ${EMOJI_ORDER_MAX}`,
  },
};
const LIMIT_FIELDS: FieldRules = { tapsPerSecondMax: RATE, tapBurstMax: RATE };
const MUTE_FIELDS: FieldRules = { ...WHO_FIELDS, reason: REASON, until: TIME_OR_NULL, retractFrom: TIME_OR_NULL, liftedAt: TIME_OR_NULL };
const STREAM_VALUES = {
  state: { accepts: (value) => value === 'live' || value === 'draining', expected: 'live or draining' },
  level: {
    accepts: (value) => value === null || (LEVELS_IN_ORDER as readonly unknown[]).includes(value),
    expected: `${LEVELS_IN_ORDER.join(', ')}, or null`,
  },
  spread: {
    accepts: (value) => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= SPREAD_MAX,
    expected: `a whole number from 1 to ${SPREAD_MAX}`,
  },
} satisfies FieldRules;

/** The known fields that are well-formed. */
function readFields(path: string, value: unknown, rules: FieldRules, report: Report): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    report(path, 'not an object of fields');
    return fields;
  }
  for (const name of Object.keys(value)) {
    const rule = Object.hasOwn(rules, name) ? rules[name]! : null;
    const field = (value as Record<string, unknown>)[name];
    if (rule === null) report(`${path}/${name}`, 'unknown; nothing follows from it');
    else if (rule.accepts(field)) fields[name] = field;
    else report(`${path}/${name}`, `expected ${rule.expected}`);
  }
  return Object.freeze(fields);
}
