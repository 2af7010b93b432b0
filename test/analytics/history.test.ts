import { describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import {
  HISTORY_POINTS_MAX,
  InvalidHistoryQuery,
  historyCsv,
  historyDocument,
  parseHistoryQuery,
  readHistory,
} from '../../src/analytics/history.ts';
import type { HistoryPoint, HistoryQuery, WindowStore } from '../../src/analytics/window-store.ts';

const STREAM = 'derby' as StreamId;
const NOW_MS = Date.UTC(2026, 10, 22, 12, 0, 30, 500);
const parse = (parameters: Record<string, unknown>): HistoryQuery => parseHistoryQuery(STREAM, parameters, NOW_MS).query;

describe('a history query', () => {
  it('[WIN-11] asks for the last two minutes by the second unless told otherwise', () => {
    expect(parse({})).toEqual({ stream: STREAM, from: Date.UTC(2026, 10, 22, 11, 58, 30), to: Date.UTC(2026, 10, 22, 12, 0, 31), step: '1s', limit: HISTORY_POINTS_MAX });
  });

  it('[WIN-11] takes times as ISO 8601 with a zone, or as milliseconds', () => {
    const from = Date.UTC(2026, 0, 31, 20, 15);
    for (const text of ['2026-01-31T20:15Z', '2026-01-31T20:15:00.000Z', '2026-01-31T21:15:00+01:00', String(from)]) {
      expect(parse({ from: text, to: String(from + 60_000) }).from).toBe(from);
    }
    expect(parse({ from: '2026-01-31', to: '2026-02-01', step: '1h' }).from).toBe(Date.UTC(2026, 0, 31));
  });

  it('[WIN-11] is widened to whole steps', () => {
    expect(parse({ from: '1500', to: '61000', step: '1m' })).toMatchObject({ from: 0, to: 120_000 });
    expect(parse({ from: '10000', to: '20000', step: '10s' })).toMatchObject({ from: 10_000, to: 20_000 });
  });

  it('[WIN-11] may name an emoji and a format', () => {
    const { query, format } = parseHistoryQuery(STREAM, { emoji_id: 'heart', format: 'csv' }, NOW_MS);
    expect([query.emoji, format]).toEqual(['heart', 'csv']);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ from: 'yesterday' }, /^from must be ISO 8601/],
    [{ to: '2026-01-31T20:15:00' }, /^to must be ISO 8601 with a zone/],
    [{ from: '2026-02-30T00:00:00Z' }, /^from must be/],
    [{ from: '-5' }, /^from must be/],
    [{ from: '1969-12-31T00:00:00Z' }, /^from must be/],
    [{ from: '999999999999999' }, /^from must be/],
    [{ from: '' }, /^from must be/],
    [{ from: '1e3' }, /^from must be/],
    [{ from: ['1', '2'] }, /^from must be given once/],
    [{ from: '5000', to: '5000' }, /^from must be before to/],
    [{ to: '1000', from: '2000' }, /^from must be before to/],
    [{ step: '5s' }, /^step must be one of 1s, 10s, 1m, 1h/],
    [{ step: 'constructor' }, /^step must be one of/],
    [{ emoji_id: '=1+1' }, /^emoji_id must match/],
    [{ emoji_id: '' }, /^emoji_id must match/],
    [{ format: 'xml' }, /^format must be json or csv/],
    [{ limit: '5' }, /^unknown parameter "limit"/],
    [{ from: '0', to: '10001000' }, /^10001 steps of 1s are more than 10000: narrow the range or choose a larger step/],
  ])('[WIN-11] refuses %j', (parameters, message) => {
    expect(() => parse(parameters)).toThrow(InvalidHistoryQuery);
    expect(() => parse(parameters)).toThrow(message);
  });
});

describe('a history answer', () => {
  const points: HistoryPoint[] = [
    { emoji: 'heart', windowStart: 0, count: 12, normalizedRate: 0.25 },
    { emoji: '-fire', windowStart: 1000, count: -3, normalizedRate: null },
  ];
  const query = parse({ from: '0', to: '2000' });

  it('[WIN-11] as JSON', () => {
    expect(historyDocument(query, points)).toEqual({
      stream_id: 'derby',
      from: '1970-01-01T00:00:00.000Z',
      to: '1970-01-01T00:00:02.000Z',
      step: '1s',
      points: [
        { emoji_id: 'heart', window_start: '1970-01-01T00:00:00.000Z', count: 12, normalized_rate: 0.25 },
        { emoji_id: '-fire', window_start: '1970-01-01T00:00:01.000Z', count: -3, normalized_rate: null },
      ],
    });
  });

  it('[WIN-11] as CSV', () => {
    expect(historyCsv(query, points)).toBe(
      'stream_id,emoji_id,window_start,count,normalized_rate\r\n' +
        'derby,heart,1970-01-01T00:00:00.000Z,12,0.25\r\n' +
        'derby,-fire,1970-01-01T00:00:01.000Z,-3,\r\n',
    );
  });

  it('[WIN-11] is complete or refused, never cut', async () => {
    const storeWith = (count: number): WindowStore => ({
      store: async () => {},
      stored: async () => [],
      close: async () => {},
      history: async ({ limit }) => Array.from({ length: Math.min(count, limit) }, () => points[0]!),
    });
    expect(await readHistory(storeWith(HISTORY_POINTS_MAX), query)).toHaveLength(HISTORY_POINTS_MAX);
    await expect(readHistory(storeWith(HISTORY_POINTS_MAX + 1), query)).rejects.toThrow(InvalidHistoryQuery);
  });
});
