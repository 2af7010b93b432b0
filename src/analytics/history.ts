/**
 * The history of a stream: what may be asked, and the answer as JSON or CSV. Pure but for the store.
 *
 * Parameters: `from`, `to` (ISO 8601 with a zone, or milliseconds since the epoch; default the last two
 * minutes), `step` (1s, 10s, 1m, 1h), `emoji_id`, `format` (json, csv). Points lie on multiples of the
 * step, so the range is widened to whole steps. An answer is complete or refused, never cut (WIN-11).
 */

import { isId, type StreamId } from '../../crdt/ids.ts';
import { HISTORY_STEPS, type HistoryPoint, type HistoryQuery, type HistoryStep, type WindowStore } from './window-store.ts';

export const HISTORY_POINTS_MAX = 10_000;
const DEFAULT_RANGE_MS = 120_000;
const ISO_TIME = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
const EPOCH_MS = /^\d{1,15}$/;
const TIME_MS_MAX = Date.UTC(9999, 11, 31);
const PARAMETERS = ['from', 'to', 'step', 'emoji_id', 'format'];

export type HistoryFormat = 'json' | 'csv';

export interface HistoryRequest {
  readonly query: HistoryQuery;
  /** Undefined when the parameters leave it to the Accept header. */
  readonly format: HistoryFormat | undefined;
}

/** The parameters break a rule. The message is for the caller: which one, and what is expected. */
export class InvalidHistoryQuery extends Error {
  override readonly name = 'InvalidHistoryQuery';
}

/** @throws InvalidHistoryQuery */
export function parseHistoryQuery(stream: StreamId, parameters: Readonly<Record<string, unknown>>, nowMs: number): HistoryRequest {
  for (const name of Object.keys(parameters)) {
    if (!PARAMETERS.includes(name)) throw new InvalidHistoryQuery(`unknown parameter "${name}"; known are ${PARAMETERS.join(', ')}`);
  }
  const step = parseStep(text(parameters, 'step') ?? '1s');
  const stepMs = HISTORY_STEPS[step] * 1000;
  const toText = text(parameters, 'to');
  const fromText = text(parameters, 'from');
  // What ends now is asked for with the second that is still being counted.
  const to = toText === undefined ? Math.floor(nowMs) : parseTime('to', toText);
  const from = fromText === undefined ? Math.max(0, to - DEFAULT_RANGE_MS) : parseTime('from', fromText);
  if (from >= to) throw new InvalidHistoryQuery('from must be before to');
  const range = { from: Math.floor(from / stepMs) * stepMs, to: Math.ceil(to / stepMs) * stepMs };
  const steps = (range.to - range.from) / stepMs;
  if (steps > HISTORY_POINTS_MAX) {
    throw new InvalidHistoryQuery(`${steps} steps of ${step} are more than ${HISTORY_POINTS_MAX}: narrow the range or choose a larger step`);
  }
  const emoji = text(parameters, 'emoji_id');
  if (emoji !== undefined && !isId(emoji)) throw new InvalidHistoryQuery('emoji_id must match [A-Za-z0-9_-]{1,64}');
  return {
    query: { stream, ...range, step, limit: HISTORY_POINTS_MAX, ...(emoji === undefined ? {} : { emoji }) },
    format: parseFormat(text(parameters, 'format')),
  };
}

/** All points of the range, or a refusal. @throws InvalidHistoryQuery, WindowStoreUnavailable */
export async function readHistory(store: WindowStore, query: HistoryQuery): Promise<HistoryPoint[]> {
  const points = await store.history({ ...query, limit: query.limit + 1 });
  if (points.length > query.limit) {
    throw new InvalidHistoryQuery(`more than ${query.limit} points: narrow the range, choose a larger step, or ask for one emoji_id`);
  }
  return points;
}

export interface HistoryDocument {
  readonly stream_id: string;
  readonly from: string;
  readonly to: string;
  readonly step: HistoryStep;
  readonly points: readonly {
    readonly emoji_id: string;
    readonly window_start: string;
    readonly count: number;
    readonly normalized_rate: number | null;
  }[];
}

export function historyDocument(query: HistoryQuery, points: readonly HistoryPoint[]): HistoryDocument {
  return {
    stream_id: query.stream,
    from: new Date(query.from).toISOString(),
    to: new Date(query.to).toISOString(),
    step: query.step,
    points: points.map((point) => ({
      emoji_id: point.emoji,
      window_start: new Date(point.windowStart).toISOString(),
      count: point.count,
      normalized_rate: point.normalizedRate,
    })),
  };
}

/**
 * RFC 4180, with a header line and the columns of the view. No field needs quotes: ids have neither
 * commas nor quotes. An id may begin with `-`, but has no `=`, `(` or `!` a spreadsheet could act on.
 */
export function historyCsv(query: HistoryQuery, points: readonly HistoryPoint[]): string {
  const lines = ['stream_id,emoji_id,window_start,count,normalized_rate'];
  for (const { emoji, windowStart, count, normalizedRate } of points) {
    lines.push(`${query.stream},${emoji},${new Date(windowStart).toISOString()},${count},${normalizedRate ?? ''}`);
  }
  return `${lines.join('\r\n')}\r\n`;
}

function text(parameters: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = parameters[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new InvalidHistoryQuery(`${name} must be given once, as text`);
  return value;
}

function parseStep(value: string): HistoryStep {
  if (!Object.hasOwn(HISTORY_STEPS, value)) throw new InvalidHistoryQuery(`step must be one of ${Object.keys(HISTORY_STEPS).join(', ')}`);
  return value as HistoryStep;
}

function parseFormat(value: string | undefined): HistoryFormat | undefined {
  if (value === undefined || value === 'json' || value === 'csv') return value;
  throw new InvalidHistoryQuery('format must be json or csv');
}

function parseTime(name: string, value: string): number {
  const timeMs = EPOCH_MS.test(value) ? Number(value) : parseIsoTime(value);
  if (timeMs === undefined || timeMs > TIME_MS_MAX) {
    throw new InvalidHistoryQuery(`${name} must be ISO 8601 with a zone, like 2026-01-31T20:15:00Z, or milliseconds since 1970`);
  }
  return timeMs;
}

function parseIsoTime(value: string): number | undefined {
  const date = ISO_TIME.exec(value)?.[1];
  const timeMs = Date.parse(value);
  if (date === undefined || !(timeMs >= 0)) return undefined;
  // Date.parse makes the second of March out of the thirtieth of February.
  const midnight = new Date(`${date}T00:00:00Z`);
  return midnight.toISOString().startsWith(date) ? Math.floor(timeMs) : undefined;
}
