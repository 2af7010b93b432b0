/**
 * What each region's books lack of what all of them together hold. Pure.
 *
 * Together they hold the join: of every entry the greatest anywhere, as regions merge them. So what a
 * region lacks of the others is the join minus what it holds, by the region where it was tapped.
 */

export interface Entry {
  /** region/shard/epoch */
  readonly actor: string;
  readonly emoji_id: string;
  readonly increments: number;
  readonly decrements: number;
}

export interface Books {
  readonly region: string;
  readonly digest: string;
  readonly entries: readonly Entry[];
}

export interface Standing {
  /** Null when the region did not answer; then nothing else is known. */
  readonly digest: string | null;
  /** The other regions with the same books. */
  readonly sameAs: readonly string[];
  /** Region → how many of its taps are not here yet, where any are. */
  readonly missing: ReadonlyMap<string, number>;
  readonly missingTotal: number;
}

export function standingsOf(books: readonly (Books | null)[]): Standing[] {
  const join = new Map<string, number>();
  for (const { entries } of present(books)) {
    for (const entry of entries) join.set(keyOf(entry), Math.max(join.get(keyOf(entry)) ?? 0, entry.increments));
  }
  return books.map((own) => {
    if (own === null) return { digest: null, sameAs: [], missing: new Map(), missingTotal: 0 };
    const missing = missingFrom(join, own);
    return {
      digest: own.digest,
      sameAs: present(books).flatMap(({ region, digest }) => (digest === own.digest && region !== own.region ? [region] : [])),
      missing,
      missingTotal: [...missing.values()].reduce((sum, taps) => sum + taps, 0),
    };
  });
}

function missingFrom(join: ReadonlyMap<string, number>, { region, entries }: Books): ReadonlyMap<string, number> {
  const held = new Map(entries.map((entry) => [keyOf(entry), entry.increments]));
  const missing = new Map<string, number>();
  for (const [key, increments] of join) {
    const lacking = increments - (held.get(key) ?? 0);
    const origin = key.slice(0, key.indexOf('/'));
    // A region never lacks its own taps; it only answered a moment before another did.
    if (lacking > 0 && origin !== region) missing.set(origin, (missing.get(origin) ?? 0) + lacking);
  }
  return missing;
}

function present(books: readonly (Books | null)[]): Books[] {
  return books.filter((each) => each !== null);
}

function keyOf({ actor, emoji_id }: Entry): string {
  return `${actor} ${emoji_id}`;
}
