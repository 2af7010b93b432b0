/**
 * The policy: what moderators decide, as an immutable value that the hot path reads. Pure.
 */

import { isId, type EmojiId } from '../../crdt/ids.ts';

export type StreamState = 'live' | 'ended';

export interface Policy {
  /** Emoji id → glyph, in the order to show. */
  readonly palette: ReadonlyMap<EmojiId, string>;
  readonly tapsPerSecondMax: number;
  readonly tapBurstMax: number;
  /** Streams that are not live. */
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
const PALETTE_MAX = 64;

export const DEFAULT_POLICY: Policy = Object.freeze({
  palette: new Map(DEFAULT_PALETTE),
  tapsPerSecondMax: 20,
  tapBurstMax: 40,
  endedStreams: new Set<string>(),
});

/**
 * Reads a policy document: `{palette?: {id: glyph}, tapsPerSecondMax?, tapBurstMax?, endedStreams?: [id]}`.
 * @throws InvalidPolicy
 */
export function parsePolicy(document: unknown): Policy {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new InvalidPolicy('a policy is a JSON object');
  }
  const fields = document as Record<string, unknown>;
  for (const name of Object.keys(fields)) {
    if (!(name in DEFAULT_POLICY)) throw new InvalidPolicy(`unknown field "${name}"`);
  }
  return Object.freeze({
    palette: fields['palette'] === undefined ? DEFAULT_POLICY.palette : parsePalette(fields['palette']),
    tapsPerSecondMax: positive(fields, 'tapsPerSecondMax', DEFAULT_POLICY.tapsPerSecondMax),
    tapBurstMax: positive(fields, 'tapBurstMax', DEFAULT_POLICY.tapBurstMax),
    endedStreams: parseIds(fields['endedStreams'] ?? []),
  });
}

function parsePalette(value: unknown): ReadonlyMap<EmojiId, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (entries.length === 0 || entries.length > PALETTE_MAX) {
    throw new InvalidPolicy(`palette: 1 to ${PALETTE_MAX} emoji, as {id: glyph}`);
  }
  for (const [id, glyph] of entries) {
    if (!isId(id)) throw new InvalidPolicy(`palette: "${id}" is no emoji id`);
    if (typeof glyph !== 'string' || glyph.length === 0 || glyph.length > 32) {
      throw new InvalidPolicy(`palette: the glyph of "${id}" must be a short text`);
    }
  }
  return new Map(entries as [EmojiId, string][]);
}

function positive(fields: Record<string, unknown>, name: string, fallback: number): number {
  const value = fields[name];
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !(value > 0 && value <= 1e6)) throw new InvalidPolicy(`${name}: a number above 0`);
  return value;
}

function parseIds(value: unknown): ReadonlySet<string> {
  if (!Array.isArray(value) || !value.every(isId)) throw new InvalidPolicy('endedStreams: a list of stream ids');
  return new Set(value as string[]);
}
