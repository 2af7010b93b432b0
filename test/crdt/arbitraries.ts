/**
 * What the proofs of the lattice draw from, and how they look at a ledger.
 *
 * The domains of names are small on purpose, so that rows meet in the same entries.
 */

import * as fc from 'fast-check';
import { actorId, type ActorId } from '../../crdt/actor.ts';
import { parseEmojiId, parseStreamId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Row, RowEntry } from '../../crdt/row.ts';

export const RUNS = { numRuns: 300 };

export const emojis: readonly EmojiId[] = ['heart', 'fire', 'clap', 'constructor'].map(parseEmojiId);
export const streams: readonly StreamId[] = ['derby', 'final'].map(parseStreamId);
export const actors: readonly ActorId[] = [
  actorId({ region: 'us', shard: 0, epoch: 1 }),
  actorId({ region: 'us', shard: 1, epoch: 1 }),
  actorId({ region: 'us', shard: 0, epoch: 2 }),
  actorId({ region: 'eu', shard: 0, epoch: 1_795_342_812_345 }),
];

/**
 * Mostly small, so that entries tie and overtake each other; sometimes of more than 32 bits, yet such
 * that sums stay exact.
 */
export const count: fc.Arbitrary<number> = fc.oneof(
  { weight: 4, arbitrary: fc.nat(5) },
  { weight: 1, arbitrary: fc.nat(2 ** 48) },
);

export const entry: fc.Arbitrary<RowEntry> = fc.record({
  emoji: fc.constantFrom(...emojis),
  increments: count,
  decrements: count,
});

export const ROW_FIELDS = {
  stream: fc.constantFrom(...streams),
  actor: fc.constantFrom(...actors),
  sequence: fc.integer({ min: 1, max: 8 }),
};

export const row: fc.Arbitrary<Row> = fc.record({ ...ROW_FIELDS, entries: fc.array(entry, { maxLength: 5 }) });

export const rows: fc.Arbitrary<Row[]> = fc.array(row, { maxLength: 8 });

export function ledgerOf(...parts: readonly Iterable<Row>[]): Ledger {
  const ledger = new Ledger();
  for (const part of parts) joinAll(ledger, part);
  return ledger;
}

/** The join of ledgers is the join of their rows. True when any of them changed the ledger. */
export function joinAll(ledger: Ledger, part: Iterable<Row>): boolean {
  let changed = false;
  for (const each of part) if (ledger.join(each)) changed = true;
  return changed;
}

/** Every entry of a ledger, `stream emoji actor` → [increments, decrements], in no order that matters. */
export function entriesOf(ledger: Ledger): Record<string, readonly [number, number]> {
  const entries: Record<string, readonly [number, number]> = {};
  for (const tally of ledger.tallies()) {
    for (const [emoji, counter] of tally.counters()) {
      for (const [actor, { increments, decrements }] of counter.entries()) {
        entries[`${tally.stream} ${emoji} ${actor}`] = [increments, decrements];
      }
    }
  }
  return entries;
}

/** Everything that two ledgers which merged the same rows must agree on. */
export function stateOf(ledger: Ledger): object {
  return {
    entries: entriesOf(ledger),
    sequences: Object.fromEntries([...ledger.actors()].map((actor) => [actor, ledger.sequence(actor)])),
    values: Object.fromEntries(
      [...ledger.tallies()].flatMap((tally) =>
        [...tally.counters()].map(([emoji, { value }]) => [`${tally.stream} ${emoji}`, value]),
      ),
    ),
    digests: [...streams.map((stream) => ledger.streamDigest(stream)), ledger.regionDigest('us'), ledger.regionDigest('eu')],
  };
}
