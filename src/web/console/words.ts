/** What the console says, as sentences. Pure; whatever is found in documents is plain text here. */

import type { PeerStanding } from './api.ts';

/** A peer that was not heard for so long is cut off, or we are. */
const CUT_OFF_MS = 5_000;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `12 s`, `3 min`, `2 h`, `4 d`. */
export function duration(ms: number): string {
  const least = Math.max(0, ms);
  if (least < MINUTE_MS) return `${Math.round(least / 1000)} s`;
  if (least < HOUR_MS) return `${Math.round(least / MINUTE_MS)} min`;
  if (least < 2 * DAY_MS) return `${Math.round(least / HOUR_MS)} h`;
  return `${Math.round(least / DAY_MS)} d`;
}

/** The time of day, with the date when it is another day than `now`'s. */
export function time(at: number, now: number): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return 'an unknown time';
  const clock = date.toLocaleTimeString('en-GB');
  return date.toDateString() === new Date(now).toDateString() ? clock : `${date.toLocaleDateString('en-GB')} ${clock}`;
}

/** How the region stands with its peers; null when it hears all. */
export function cutOffText(region: string, peers: readonly PeerStanding[]): string | null {
  const lost = peers.filter(({ staleness_ms: ms }) => ms === null || ms > CUT_OFF_MS);
  if (lost.length === 0) return null;
  const each = lost.map(({ region: peer, staleness_ms: ms }) => (ms === null ? `${peer} (never heard)` : `${peer} for ${duration(ms)}`));
  return `${region} is cut off from ${listing(each)}: your changes hold here and merge later.`;
}

/** What a change of the audit trail did. */
export function changeText(path: string, before: unknown, after: unknown, now: number): string {
  const slash = path.indexOf('/');
  const [section, key] = [path.slice(0, slash), path.slice(slash + 1)];
  switch (section) {
    case 'mutes':
      // A mute is told by whom it is about, not by the decision that it came from.
      return muteText(key.slice(key.indexOf(':') + 1).replace(':', ' '), before, after, now);
    case 'palette':
      return after === null ? `said nothing more of the emoji ${key}` : `emoji ${key}: ${fieldsText(after)}`;
    case 'limits':
      return after === null ? `put back the limit per ${key}` : `limit per ${key}: ${fieldsText(after)}`;
    case 'stream':
      return streamText(key, after);
    case 'revoked':
      return `revoked the tokens of ${key}`;
    default:
      return `${path}: ${JSON.stringify(after)}`;
  }
}

function muteText(whom: string, before: unknown, after: unknown, now: number): string {
  if (after === null) return `forgot the mute of ${whom}, which was over`;
  const [until, at, lifted, from] = ['until', 'at', 'liftedAt', 'retractFrom'].map((name) => number(after, name));
  if (lifted !== null && number(before, 'liftedAt') === null && before !== null) return `unmuted ${whom}`;
  const reason = text(after, 'reason') === '' ? '' : `: ${text(after, 'reason')}`;
  const since = from === null ? '' : time(from!, now);
  if (until !== null && until === at) return `took back the taps of ${whom} since ${since}${reason}`;
  const end = until === null ? 'for good' : `until ${time(until!, now)}`;
  return `muted ${whom} ${end}${since === '' ? '' : `, taking back since ${since}`}${reason}`;
}

function streamText(key: string, after: unknown): string {
  const value = field(after, 'value');
  switch (key) {
    case 'ended':
      return 'ended the stream';
    case 'state':
      return value === 'draining' ? 'let no new viewers in' : 'let new viewers in';
    case 'level':
      return value === null ? 'left the level to the region' : `set the level to ${String(value)}`;
    case 'spread':
      return `spread the stream over ${String(value)} shards`;
    default:
      return `${key}: ${JSON.stringify(after)}`;
  }
}

function fieldsText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return Object.entries(value)
    .map(([name, each]) => `${FIELD_NAMES[name] ?? name} ${typeof each === 'string' ? each : JSON.stringify(each)}`)
    .join(', ');
}

const FIELD_NAMES: Readonly<Record<string, string>> = { tapsPerSecondMax: 'taps a second', tapBurstMax: 'in a burst' };

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? ((value as Record<string, unknown>)[name] ?? null) : null;
}

function number(value: unknown, name: string): number | null {
  const found = field(value, name);
  return typeof found === 'number' ? found : null;
}

function text(value: unknown, name: string): string {
  const found = field(value, name);
  return typeof found === 'string' ? found : '';
}

function listing(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)!}`;
}
