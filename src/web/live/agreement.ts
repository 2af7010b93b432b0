/** Do all regions hold the same books? Compares the digests of their audits. */

import { fetchJson, type RegionStatus } from './development.ts';

export interface Agreement {
  readonly state: 'agree' | 'converging' | 'diverged' | 'unknown';
  readonly text: string;
}

/** Each region's digest; null where the region did not answer. */
export async function fetchDigests(regions: readonly RegionStatus[], stream: string): Promise<(string | null)[]> {
  return Promise.all(
    regions.map(async ({ api }) => {
      try {
        const books = (await fetchJson(`${api}/streams/${stream}/audit`)) as { digest?: unknown };
        return typeof books.digest === 'string' ? books.digest : null;
      } catch {
        return null;
      }
    }),
  );
}

/** In words. While every link is up a difference is only what is on its way at this moment. */
export function judgeAgreement(
  regions: readonly RegionStatus[],
  digests: readonly (string | null)[],
  isAnyLinkCut: boolean,
): Agreement {
  const silent = regions.filter((_, index) => digests[index] === null).map(({ id }) => id);
  if (silent.length > 0) return { state: 'unknown', text: `No answer from ${silent.join(', ')}` };
  const groups = new Map<string, string[]>();
  for (const [index, { id }] of regions.entries()) {
    const digest = String(digests[index]);
    groups.set(digest, [...(groups.get(digest) ?? []), id]);
  }
  if (groups.size <= 1) return { state: 'agree', text: 'All regions agree' };
  const sides = [...groups.values()].map((ids) => ids.join(' = ')).join(' ≠ ');
  return isAnyLinkCut ? { state: 'diverged', text: `Diverged: ${sides}` } : { state: 'converging', text: `Converging: ${sides}` };
}
