/** The laws of the PN-counter and of the tally, its product over emoji. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PnCounter, ZERO_ENTRY } from '../../crdt/pn-counter.ts';
import { Tally } from '../../crdt/tally.ts';
import { RUNS, actors, count, emojis, row, streams } from './arbitraries.ts';

type Write = readonly [actor: (typeof actors)[number], increments: number, decrements: number];

const writes: fc.Arbitrary<Write[]> = fc.array(fc.tuple(fc.constantFrom(...actors), count, count), { maxLength: 8 });

function counterOf(...parts: readonly (readonly Write[])[]): PnCounter {
  const counter = new PnCounter();
  for (const part of parts) for (const [actor, increments, decrements] of part) counter.join(actor, increments, decrements);
  return counter;
}

function merged(...counters: readonly PnCounter[]): PnCounter {
  const sum = new PnCounter();
  for (const counter of counters) sum.merge(counter);
  return sum;
}

function contents(counter: PnCounter): object {
  return { entries: Object.fromEntries(counter.entries()), value: counter.value, increments: counter.increments };
}

describe('PnCounter', () => {
  it('[CRDT-1] merge is commutative', () => {
    fc.assert(
      fc.property(writes, writes, (a, b) => {
        expect(contents(merged(counterOf(a), counterOf(b)))).toEqual(contents(merged(counterOf(b), counterOf(a))));
      }),
      RUNS,
    );
  });

  it('[CRDT-1] merge is associative', () => {
    fc.assert(
      fc.property(writes, writes, writes, (a, b, c) => {
        const left = merged(merged(counterOf(a), counterOf(b)), counterOf(c));
        const right = merged(counterOf(a), merged(counterOf(b), counterOf(c)));
        expect(contents(left)).toEqual(contents(right));
      }),
      RUNS,
    );
  });

  it('[CRDT-1] merge is idempotent, and says so', () => {
    fc.assert(
      fc.property(writes, (a) => {
        const counter = counterOf(a);
        const before = contents(counter);
        expect(counter.merge(counterOf(a))).toBe(false);
        expect(counter.merge(counter)).toBe(false);
        expect(contents(counter)).toEqual(before);
      }),
      RUNS,
    );
  });

  it('[CRDT-2] merge is inflationary: no field of any entry ever falls', () => {
    fc.assert(
      fc.property(writes, writes, (a, b) => {
        const counter = counterOf(a);
        const before = new Map(counter.entries());
        const changed = counter.merge(counterOf(b));
        let grew = counter.decrements > counterOf(a).decrements || counter.increments > counterOf(a).increments;
        for (const [actor, after] of counter.entries()) {
          const held = before.get(actor) ?? ZERO_ENTRY;
          expect(after.increments).toBeGreaterThanOrEqual(held.increments);
          expect(after.decrements).toBeGreaterThanOrEqual(held.decrements);
          grew ||= after.increments > held.increments || after.decrements > held.decrements;
        }
        expect([...before.keys()].filter((actor) => counter.entry(actor) === ZERO_ENTRY)).toEqual([]);
        expect(changed).toBe(grew);
      }),
      RUNS,
    );
  });

  it('[CRDT-3] its value is Σ increments − Σ decrements over the entries', () => {
    const small = fc.array(fc.tuple(fc.constantFrom(...actors), fc.nat(1000), fc.nat(1000)), { maxLength: 12 });
    fc.assert(
      fc.property(small, (a) => {
        const counter = counterOf(a);
        const entries = [...counter.entries()].map(([, held]) => held);
        expect(counter.increments).toBe(entries.reduce((sum, held) => sum + held.increments, 0));
        expect(counter.value).toBe(entries.reduce((sum, held) => sum + held.increments - held.decrements, 0));
      }),
      RUNS,
    );
  });

  it('[CRDT-3] without decrements it is a G-counter: its value is its increments and never falls', () => {
    const growing = fc.array(fc.tuple(fc.constantFrom(...actors), fc.nat(1000)), { maxLength: 12 });
    fc.assert(
      fc.property(growing, (a) => {
        const counter = new PnCounter();
        let value = 0;
        for (const [actor, increments] of a) {
          counter.join(actor, increments, 0);
          expect(counter.value).toBeGreaterThanOrEqual(value);
          value = counter.value;
        }
        expect(counter.value).toBe(counter.increments);
      }),
      RUNS,
    );
  });
});

describe('Tally', () => {
  const stream = streams[0]!;
  const ownRow = row.map(({ actor, sequence, entries }) => ({ stream, actor, sequence, entries }));
  const ownRows = fc.array(ownRow, { maxLength: 8 });

  function tallyOf(rows: Iterable<Parameters<Tally['join']>[0]>): Tally {
    const tally = new Tally(stream);
    for (const each of rows) tally.join(each);
    return tally;
  }

  function tallyMerged(...tallies: readonly Tally[]): Tally {
    const sum = new Tally(stream);
    for (const tally of tallies) sum.merge(tally);
    return sum;
  }

  function tallyContents(tally: Tally): object {
    const rowsByActor = [...tally.actors()].map((actor) => [actor, new Set(tally.row(actor)!.entries), tally.row(actor)!.sequence]);
    return {
      rows: new Set(rowsByActor),
      values: emojis.map((emoji) => tally.counter(emoji)?.value ?? 0),
    };
  }

  it('[CRDT-1] merge is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(ownRows, ownRows, ownRows, (a, b, c) => {
        const all = tallyContents(tallyMerged(tallyMerged(tallyOf(a), tallyOf(b)), tallyOf(c)));
        expect(tallyContents(tallyMerged(tallyOf(a), tallyMerged(tallyOf(c), tallyOf(b))))).toEqual(all);
        expect(tallyContents(tallyMerged(tallyOf(c), tallyOf(a), tallyOf(b), tallyOf(a)))).toEqual(all);
      }),
      RUNS,
    );
  });

  it('[CRDT-2] join says true exactly when it moved an entry or the actor’s sequence', () => {
    fc.assert(
      fc.property(ownRows, ownRow, (a, b) => {
        const tally = tallyOf(a);
        const before = tallyContents(tally);
        const moved: unknown[] = [];
        const changed = tally.join(b, (actor, emoji, held, joined) => {
          moved.push(emoji);
          expect(actor).toBe(b.actor);
          expect(joined.increments).toBeGreaterThanOrEqual(held.increments);
          expect(joined.decrements).toBeGreaterThanOrEqual(held.decrements);
          expect(joined).not.toEqual(held);
          expect(tally.counter(emoji)?.entry(actor)).toEqual(joined);
        });
        if (moved.length > 0) expect(changed).toBe(true);
        if (changed) expect(tallyContents(tally)).not.toEqual(before);
        else expect(tallyContents(tally)).toEqual(before);
        expect(tally.join(b)).toBe(false);
      }),
      RUNS,
    );
  });

  it('[CRDT-4] an emoji named twice in a row joins by maximum, as two rows would', () => {
    fc.assert(
      fc.property(ownRow, (a) => {
        const apart = a.entries.map((each) => ({ ...a, entries: [each] }));
        expect(tallyContents(tallyOf([a]))).toEqual(tallyContents(tallyOf([{ ...a, entries: [] }, ...apart])));
      }),
      RUNS,
    );
  });
});
