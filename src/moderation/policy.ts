/**
 * The policy of a stream: what moderators decide, as an immutable value that the hot path reads. Pure.
 *
 * A policy is derived and never edited: from the region's base (a file, read at the start) and from what
 * moderators have written since. The hot path asks `PolicyOf` once a batch, so that must cost a look-up.
 */

import { isId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import type { FrameMessage } from '../protocol/messages.ts';

/** `draining` takes taps and lets no new viewer in; `ended` takes nothing. */
export type StreamState = 'live' | 'draining' | 'ended';

export interface RateLimit {
  readonly tapsPerSecondMax: number;
  readonly tapBurstMax: number;
}

/** All times are milliseconds since the epoch. A mute stays in the policy when it is over, for those who learn of it late. */
export interface Mute {
  /** Null for ever. */
  readonly until: number | null;
  /** Who muted, and why. */
  readonly by: string;
  readonly reason: string;
  /** What was counted from this time on is taken back; null takes nothing back. */
  readonly retractFrom: number | null;
  /** When it was decided. */
  readonly at: number;
  /** When it was taken back; null while it was not. */
  readonly liftedAt: number | null;
}

/** Of this viewer or device nothing remains that was counted `from` one time to before another. */
export interface Retraction {
  readonly kind: 'viewer' | 'device';
  readonly id: string;
  readonly from: number;
  readonly to: number;
}

export interface Policy {
  /** Emoji id → glyph of those that may be tapped, in the order to show. */
  readonly palette: ReadonlyMap<EmojiId, string>;
  readonly limits: { readonly viewer: RateLimit; readonly device: RateLimit; readonly address: RateLimit };
  readonly state: StreamState;
  /** When the stream ended, milliseconds since the epoch; null while it has not. */
  readonly endedAt: number | null;
  /** Of each viewer who is muted or was, the mute that lasts longest: while it is not in force, none is. */
  readonly mutedViewers: ReadonlyMap<string, Mute>;
  readonly mutedDevices: ReadonlyMap<string, Mute>;
  /** What all mutes take back, also those that do not last longest. */
  readonly retractions: readonly Retraction[];
  /** A rung of the degradation ladder that a moderator insists on; null leaves it to the region. */
  readonly level: FrameMessage['level'] | null;
  /** How many shards of a region count the stream. */
  readonly spread: number;
}

export type PolicyOf = (stream: StreamId) => Policy;

/** What a region starts with, before moderators say anything. */
export interface BasePolicy extends Pick<Policy, 'palette' | 'limits'> {
  readonly endedStreams: ReadonlySet<string>;
}

export class InvalidPolicy extends Error {
  override readonly name = 'InvalidPolicy';
}

const DEFAULT_PALETTE = [
  ['heart', '❤️'],
  ['fire', '🔥'],
  ['clap', '👏'],
  ['laugh', '😂'],
  ['wow', '😮'],
  ['sad', '😢'],
] as unknown as readonly (readonly [EmojiId, string])[];
export const PALETTE_MAX = 64;
const GLYPH_CHARACTERS_MAX = 32;
export const RATE_MAX = 1e6;
export const SPREAD_MAX = 256;

/** Always the same, so that policies that take nothing back are told apart from each other by one comparison. */
export const NO_RETRACTIONS: readonly Retraction[] = Object.freeze([]);

export const DEFAULT_BASE: BasePolicy = Object.freeze({
  palette: new Map(DEFAULT_PALETTE),
  limits: Object.freeze({
    // The burst is what a connection may hold back: ten seconds of it, so that who taps on through an outage is counted whole.
    viewer: Object.freeze({ tapsPerSecondMax: 20, tapBurstMax: 200 }),
    // A device may have a few viewers, an address a household or a campus behind one gateway.
    device: Object.freeze({ tapsPerSecondMax: 40, tapBurstMax: 400 }),
    address: Object.freeze({ tapsPerSecondMax: 2_000, tapBurstMax: 20_000 }),
  }),
  endedStreams: new Set<string>(),
});

export const DEFAULT_POLICY: Policy = policyOfBase(DEFAULT_BASE)('' as StreamId);

/** The policies of a region that nobody moderates. */
export function policyOfBase({ palette, limits, endedStreams }: BasePolicy): PolicyOf {
  const live: Policy = Object.freeze({
    palette,
    limits,
    state: 'live',
    endedAt: null,
    mutedViewers: new Map(),
    mutedDevices: new Map(),
    retractions: NO_RETRACTIONS,
    level: null,
    spread: 1,
  });
  // The file does not say when: before everything that is counted now.
  const ended: Policy = Object.freeze({ ...live, state: 'ended', endedAt: 0 });
  return (stream) => (endedStreams.has(stream) ? ended : live);
}

/** True while what the viewer or device sends is not counted. */
export function isInForce(mute: Mute, now: number): boolean {
  return mute.liftedAt === null && (mute.until === null || now < mute.until);
}

/** The time, `from` inclusive to `to` exclusive, of which nothing that was counted remains; null when the mute takes nothing back. */
export function takenBackBy(mute: Mute): { readonly from: number; readonly to: number } | null {
  const to = Math.min(mute.until ?? Infinity, mute.liftedAt ?? Infinity);
  return mute.retractFrom === null || mute.retractFrom >= to ? null : { from: mute.retractFrom, to };
}

/**
 * Reads a policy file: `{palette?: {id: glyph}, limits?: {viewer?, device?, address?: {tapsPerSecondMax?, tapBurstMax?}},
 * endedStreams?: [id]}`.
 * @throws InvalidPolicy
 */
export function parsePolicy(document: unknown): BasePolicy {
  const fields = parseFields('a policy', document, Object.keys(DEFAULT_BASE));
  const limits = parseFields('limits', fields['limits'] ?? {}, Object.keys(DEFAULT_BASE.limits));
  return Object.freeze({
    palette: fields['palette'] === undefined ? DEFAULT_BASE.palette : parsePalette(fields['palette']),
    limits: Object.freeze({
      viewer: parseLimit('limits.viewer', limits['viewer'], DEFAULT_BASE.limits.viewer),
      device: parseLimit('limits.device', limits['device'], DEFAULT_BASE.limits.device),
      address: parseLimit('limits.address', limits['address'], DEFAULT_BASE.limits.address),
    }),
    endedStreams: parseIds(fields['endedStreams'] ?? []),
  });
}

function parseFields(what: string, value: unknown, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new InvalidPolicy(`${what} is a JSON object`);
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) throw new InvalidPolicy(`${what}: unknown field "${name}"; there are ${known.join(', ')}`);
  }
  return value as Record<string, unknown>;
}

function parseLimit(what: string, value: unknown, fallback: RateLimit): RateLimit {
  if (value === undefined) return fallback;
  const fields = parseFields(what, value, Object.keys(fallback));
  return Object.freeze({
    tapsPerSecondMax: positive(what, fields, 'tapsPerSecondMax', fallback.tapsPerSecondMax),
    tapBurstMax: positive(what, fields, 'tapBurstMax', fallback.tapBurstMax),
  });
}

function parsePalette(value: unknown): ReadonlyMap<EmojiId, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (entries.length === 0 || entries.length > PALETTE_MAX) {
    throw new InvalidPolicy(`palette: 1 to ${PALETTE_MAX} emoji, as {id: glyph}`);
  }
  for (const [id, glyph] of entries) {
    if (!isId(id)) throw new InvalidPolicy(`palette: "${id}" is no emoji id`);
    if (!isGlyph(glyph)) throw new InvalidPolicy(`palette: the glyph of "${id}" must be a short text`);
  }
  return new Map(entries as [EmojiId, string][]);
}

export function isGlyph(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= GLYPH_CHARACTERS_MAX;
}

export function isRate(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value <= RATE_MAX;
}

function positive(what: string, fields: Record<string, unknown>, name: string, fallback: number): number {
  const value = fields[name];
  if (value === undefined) return fallback;
  if (!isRate(value)) throw new InvalidPolicy(`${what}.${name}: a number above 0, at most ${RATE_MAX}`);
  return value;
}

function parseIds(value: unknown): ReadonlySet<string> {
  if (!Array.isArray(value) || !value.every(isId)) throw new InvalidPolicy('endedStreams: a list of stream ids');
  return new Set(value as string[]);
}
