/** The set of rows that changed, against a plain set. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStreamId } from '../../crdt/ids.ts';
import { DirtyRows, type RowId } from '../../crdt/ledger.ts';
import { RUNS, actors } from './arbitraries.ts';

const ids: readonly RowId[] = ['a', 'b', 'c', 'd'].flatMap((stream) =>
  actors.slice(0, 3).map((actor) => ({ stream: parseStreamId(stream), actor })),
);
const anyId = fc.constantFrom(...ids);

function nameOf({ stream, actor }: RowId): string {
  return `${stream} ${actor}`;
}

describe('DirtyRows', () => {
  it('[CRDT-14] no marked row is lost, none is handed out twice, and a limit is kept', () => {
    const step = fc.oneof({ weight: 3, arbitrary: anyId }, { weight: 1, arbitrary: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const dirty = new DirtyRows();
        const model = new Set<string>();
        for (const each of steps) {
          if (typeof each === 'object') {
            dirty.mark(each);
            model.add(nameOf(each));
          } else {
            const taken = dirty.take(each).map(nameOf);
            expect(taken.length).toBe(Math.min(each, model.size));
            for (const name of taken) expect(model.delete(name)).toBe(true);
          }
          expect(dirty.size).toBe(model.size);
        }
        expect(new Set(dirty.take().map(nameOf))).toEqual(model);
        expect(dirty.size).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  it('[CRDT-14] however often rows are marked, there are never more than rows', () => {
    const dirty = new DirtyRows();
    for (let round = 0; round < 10_000; round++) for (const id of ids) dirty.mark(id);
    expect(dirty.size).toBe(ids.length);
    expect(dirty.take(Infinity).length).toBe(ids.length);
  });

  it('[CRDT-14] a row that changes all the time starves no other', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...ids], { minLength: 1 }), fc.integer({ min: 1, max: 4 }), (order, limit) => {
        const dirty = new DirtyRows();
        for (const id of order) dirty.mark(id);
        const seen = new Set<string>();
        for (let round = 0; round < order.length * 3; round++) {
          const taken = dirty.take(limit);
          for (const id of taken) {
            seen.add(nameOf(id));
            dirty.mark(id);
          }
        }
        expect(seen.size).toBe(order.length);
      }),
      RUNS,
    );
  });
});
