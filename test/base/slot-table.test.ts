import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GUESSES_MAX, SlotTable } from '../../src/base/slot-table.ts';

const key = fc.tuple(fc.nat({ max: 3 }), fc.integer({ min: 0, max: 400 }).map((number) => `key-${number}`));
const command = fc.oneof(
  { weight: 3, arbitrary: key.map(([scope, text]) => ({ kind: 'insert' as const, scope, text })) },
  { weight: 2, arbitrary: key.map(([scope, text]) => ({ kind: 'remove' as const, scope, text })) },
);

describe('slot table', () => {
  it('[AGG-12] holds exactly the keys inserted and not removed, each in a slot of its own', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 3000, size: 'max' }), fc.integer(), (commands, seed) => {
        const table = new SlotTable(1_000_000, seed, 2);
        const model = new Map<string, number>();
        for (const { kind, scope, text } of commands) {
          const slot = table.find(scope, text);
          if (slot !== (model.get(`${scope} ${text}`) ?? -1)) throw new Error(`${scope} ${text} was found at ${slot}`);
          if (kind === 'insert' && slot < 0) model.set(`${scope} ${text}`, table.insert(scope, text));
          if (kind === 'remove' && slot >= 0) {
            table.remove(slot);
            model.delete(`${scope} ${text}`);
          }
        }
        expect(new Set(model.values()).size).toBe(model.size);
        expect(table.size).toBe(model.size);
        expect([...table.slots()].map((slot) => `${table.scopeOf(slot)} ${table.textOf(slot)}`).sort()).toEqual([...model.keys()].sort());
      }),
      { numRuns: 30 },
    );
  });

  it('[AGG-12] keeps all keys while it grows, and reuses the slots of removed ones', () => {
    const table = new SlotTable(1_000_000, 7, 2);
    for (let index = 0; index < 50_000; index++) table.insert(index % 5, `text-${index}`);
    const astray = (index: number): boolean => table.find(index % 5, `text-${index}`) !== index;
    expect(range(0, 50_000, 1).filter(astray)).toEqual([]);
    const { capacity } = table;
    for (let index = 0; index < 50_000; index += 2) table.remove(index);
    for (let index = 0; index < 25_000; index++) table.insert(9, `more-${index}`);
    expect(table.capacity).toBe(capacity);
    expect(range(1, 50_000, 2).filter(astray)).toEqual([]);
  });

  it('[AGG-12] guesses where keys are without looking at their texts', () => {
    const table = new SlotTable(10_000, 7, 2);
    for (let index = 0; index < 5_000; index++) table.insert(index % 5, `text-${index}`);
    for (let index = 0; index < 5_000; index += 3) table.remove(index);
    const [scopes, guesses] = [new Int32Array(GUESSES_MAX), new Int32Array(GUESSES_MAX)];
    for (let start = 0; start + GUESSES_MAX <= 5_000; start += GUESSES_MAX) {
      const texts = range(start, start + GUESSES_MAX, 1).map((index) => `text-${index}`);
      scopes.forEach((_, index) => (scopes[index] = (start + index) % 5));
      table.guess(GUESSES_MAX, scopes, texts, guesses);
      expect([...guesses]).toEqual(texts.map((text, index) => table.find((start + index) % 5, text)));
    }
  });

  it('[AGG-9] takes no key beyond its bound', () => {
    const table = new SlotTable(3, 0, 2);
    const slots = ['a', 'b', 'c'].map((text) => table.insert(0, text));
    expect(table.insert(0, 'd')).toBe(-1);
    table.remove(slots[1]!);
    expect(table.insert(0, 'd')).toBe(slots[1]);
  });

  it('sweeps the expired only, all of them within one round', () => {
    const table = new SlotTable(10_000, 0, 2);
    for (let index = 0; index < 1000; index++) table.insert(0, `text-${index}`);
    for (let round = 0; round < 1000 / 8; round++) table.sweep(8, (slot) => slot % 3 === 0);
    expect(table.size).toBe(666);
    expect([...table.slots()].every((slot) => slot % 3 !== 0)).toBe(true);
  });
});

function range(from: number, to: number, by: number): number[] {
  return Array.from({ length: Math.ceil((to - from) / by) }, (_, index) => from + index * by);
}
