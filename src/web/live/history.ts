/** The last two minutes of each emoji, second by second, from the stored windows. */

import type { RegionStatus } from './dev-api.ts';
import { fetchJson } from './development.ts';

export const SERIES_SECONDS = 120;
/** Windows are stored a few seconds after they close; younger ones would look like a fall. */
const STORED_AFTER_MS = 3_000;

interface HistoryAnswer {
  readonly points: readonly { readonly emoji_id: string; readonly window_start: string; readonly count: number }[];
}

/** Emoji → taps in each second, oldest first. */
export type Series = ReadonlyMap<string, readonly number[]>;

/** Asks one region after the other: they share the database. @throws when none answers */
export async function fetchSeries(regions: readonly RegionStatus[], stream: string, now: number): Promise<Series> {
  const to = Math.floor((now - STORED_AFTER_MS) / 1000) * 1000;
  let failure: unknown = new Error('there is no region');
  for (const { api } of regions) {
    try {
      const query = `from=${to - SERIES_SECONDS * 1000}&to=${to}&step=1s`;
      return seriesOf((await fetchJson(`${api}/streams/${stream}/reactions/history?${query}`)) as HistoryAnswer, to);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Seconds of which nothing is stored are 0. Pure. */
export function seriesOf({ points }: HistoryAnswer, to: number): Series {
  const series = new Map<string, number[]>();
  for (const { emoji_id, window_start, count } of points) {
    const index = SERIES_SECONDS - Math.round((to - Date.parse(window_start)) / 1000);
    if (index < 0 || index >= SERIES_SECONDS) continue;
    let counts = series.get(emoji_id);
    if (counts === undefined) series.set(emoji_id, (counts = Array.from({ length: SERIES_SECONDS }, () => 0)));
    counts[index] = count;
  }
  return series;
}
