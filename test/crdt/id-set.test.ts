/** The set of ids that only grows, against a plain one. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdSet } from '../../crdt/id-set.ts';
import { RUNS } from './arbitraries.ts';

const ids = fc.array(fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/), { maxLength: 200 });

describe('a set of ids', () => {
  it('[CRDT-17] has what was added and nothing else, each once, in order', () => {
    fc.assert(
      fc.property(ids, ids, (added, asked) => {
        const set = new IdSet();
        const model = new Set<string>();
        for (const id of added) {
          expect(set.add(id)).toBe(!model.has(id));
          model.add(id);
        }
        for (const id of [...added, ...asked]) {
          expect(set.has(id)).toBe(model.has(id));
          const start = set.find(id);
          if (!model.has(id)) expect(start).toBe(-1);
          else expect(new TextDecoder().decode(set.slice(start, set.startFrom(start + 1)))).toBe(`${id}\n`);
        }
        expect(set.size).toBe(model.size);
        expect(new TextDecoder().decode(set.slice(0, set.byteLength))).toBe(Array.from(model, (id) => `${id}\n`).join(''));
      }),
      RUNS,
    );
  });

  it('[CRDT-17] finds each of 100,000 that differ in little, and no beginning or continuation of one', () => {
    const set = new IdSet();
    const nameOf = (index: number): string => `stream-of-today-${index}`;
    const all = Array.from({ length: 100_000 }, (_, index) => nameOf(index));
    expect(all.filter((id) => set.add(id)).length).toBe(100_000);
    expect(all.every((id) => set.has(id))).toBe(true);
    expect(all.some((id) => set.add(id) || set.has(`${id}-`) || set.has(`-${id}`))).toBe(false);
    expect([set.has('stream-of-today-'), set.has('stream-of-today-100000'), set.has('')]).toEqual([false, false, false]);
    expect(set.size).toBe(100_000);
  });
});
