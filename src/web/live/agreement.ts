/** Do all regions hold the same books? Says so in one line. Pure but for the asking. */

import { standingsOf, type Books, type Standing } from './books.ts';
import type { RegionStatus } from './dev-api.ts';
import { fetchJson } from './development.ts';

export interface Agreement {
  readonly state: 'agree' | 'converging' | 'diverged' | 'unknown';
  readonly text: string;
}

const whole = new Intl.NumberFormat('en');

/** Where each region stands, in their order. */
export async function fetchStandings(regions: readonly RegionStatus[], stream: string): Promise<Standing[]> {
  const books = regions.map(async ({ id, api }): Promise<Books | null> => {
    try {
      const { digest, entries } = (await fetchJson(`${api}/streams/${stream}/audit`)) as Books;
      return typeof digest === 'string' && Array.isArray(entries) ? { region: id, digest, entries } : null;
    } catch {
      return null;
    }
  });
  return standingsOf(await Promise.all(books));
}

/** In words. While every link is up a difference is only what is on its way at this moment. */
export function judgeAgreement(ids: readonly string[], standings: readonly Standing[], isAnyLinkCut: boolean): Agreement {
  const silent = ids.filter((_, index) => (standings[index]?.digest ?? null) === null);
  if (silent.length > 0) return { state: 'unknown', text: `No answer from ${silent.join(', ')}` };
  const groups = new Map<string, string[]>();
  for (const [index, id] of ids.entries()) {
    const digest = String(standings[index]!.digest);
    groups.set(digest, [...(groups.get(digest) ?? []), id]);
  }
  if (groups.size <= 1) return { state: 'agree', text: 'All regions agree' };
  const apart = Math.max(...standings.map(({ missingTotal }) => missingTotal));
  if (!isAnyLinkCut) return { state: 'converging', text: `In step: ${whole.format(apart)} ${apart === 1 ? 'tap' : 'taps'} on the way` };
  // While a crowd taps, no two answers are of the same moment, and who equals whom says nothing.
  const text = groups.size === 2 ? [...groups.values()].map((group) => group.join(' = ')).join(' ≠ ') : `by ${whole.format(apart)} taps`;
  return { state: 'diverged', text: groups.size === 2 ? `Diverged: ${text}` : `Diverged ${text}` };
}
