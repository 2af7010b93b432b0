/** The sequence window against a model that forgets nothing but what the window must forget. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WINDOW_BITS, admit, emptyWindow, mergeWindow, verdictOf, type SequenceVerdict, type SequenceWindow } from '../../crdt/sequence-window.ts';
import { RUNS } from './arbitraries.ts';

/** Numbers that stay, fall behind, and leap over all lengths of shift, beyond 32 bits too. */
const sequences: fc.Arbitrary<number[]> = fc
  .tuple(
    fc.constantFrom(1, 1000, 2 ** 31 - 40, 2 ** 32 - 40, 2 ** 53 - 4000),
    fc.array(fc.oneof({ weight: 4, arbitrary: fc.integer({ min: -70, max: 40 }) }, { weight: 1, arbitrary: fc.constantFrom(31, 32, 33, 63, 64, 65, 200) }), {
      maxLength: 40,
    }),
  )
  .map(([start, steps]) => {
    let at = start;
    return steps.map((step) => (at = Math.max(1, at + step)));
  });

class Model {
  readonly admitted = new Set<number>();
  highest = 0;

  admit(sequence: number): SequenceVerdict {
    if (this.highest - sequence >= WINDOW_BITS) return 'stale';
    if (this.admitted.has(sequence)) return 'duplicate';
    this.admitted.add(sequence);
    this.highest = Math.max(this.highest, sequence);
    return 'new';
  }
}

function windowOf(admissions: readonly number[]): SequenceWindow {
  const window = emptyWindow();
  for (const sequence of admissions) admit(window, sequence);
  return window;
}

/** The numbers that a window says were admitted. */
function members(window: SequenceWindow): number[] {
  const found: number[] = [];
  for (let sequence = window.highest; sequence > 0 && sequence > window.highest - WINDOW_BITS; sequence--) {
    if (verdictOf(window, sequence) === 'duplicate') found.push(sequence);
  }
  return found;
}

function expectedMembers(admissions: readonly number[]): number[] {
  const highest = Math.max(0, ...admissions);
  return [...new Set(admissions)].filter((sequence) => highest - sequence < WINDOW_BITS).sort((a, b) => b - a);
}

describe('sequence window', () => {
  it('[CRDT-12] it answers as the model does: new once, then duplicate, stale below the window', () => {
    fc.assert(
      fc.property(sequences, (admissions) => {
        const window = emptyWindow();
        const model = new Model();
        for (const sequence of admissions) {
          const wanted = model.admit(sequence);
          expect(verdictOf(window, sequence)).toBe(wanted);
          expect(admit(window, sequence)).toBe(wanted);
          expect(window.highest).toBe(model.highest);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('[CRDT-12] 32 batches in flight arrive in any order and are admitted once each', () => {
    const numbers = Array.from({ length: 32 }, (_, index) => index + 1);
    fc.assert(
      fc.property(fc.shuffledSubarray([...numbers, ...numbers], { minLength: 64 }), fc.nat(2 ** 40), (order, start) => {
        const window = emptyWindow();
        const news = order.filter((number) => admit(window, start + number) === 'new');
        expect(news.sort((a, b) => a - b)).toEqual(numbers);
      }),
      RUNS,
    );
  });

  it('[CRDT-12] verdictOf changes nothing, nor does admitting a duplicate or a stale number', () => {
    fc.assert(
      fc.property(sequences, sequences, (admissions, others) => {
        const window = windowOf(admissions);
        for (const sequence of others) {
          const before = { ...window };
          if (verdictOf(window, sequence) !== 'new') admit(window, sequence);
          expect(window).toEqual(before);
        }
      }),
      RUNS,
    );
  });

  it('[CRDT-13] merge is the union of what either admitted', () => {
    fc.assert(
      fc.property(sequences, sequences, (a, b) => {
        const into = windowOf(a);
        const from = windowOf(b);
        const untouched = { ...from };
        mergeWindow(into, from);
        expect(from).toEqual(untouched);
        expect(into.highest).toBe(Math.max(0, ...a, ...b));
        expect(members(into)).toEqual(expectedMembers([...members(windowOf(a)), ...members(windowOf(b))]));
      }),
      { numRuns: 1000 },
    );
  });

  it('[CRDT-13] however admissions are split over two windows, merging gives the same window', () => {
    fc.assert(
      fc.property(sequences.chain((all) => fc.tuple(fc.constant(all), fc.array(fc.boolean(), { minLength: all.length, maxLength: all.length }))), ([all, sides]) => {
        // Only what one window would have admitted: a stale number counts nowhere.
        const model = new Model();
        const admitted = all.filter((sequence) => model.admit(sequence) === 'new');
        const left = windowOf(admitted.filter((_, index) => sides[index]));
        const right = windowOf(admitted.filter((_, index) => !sides[index]));
        const other = { ...right };
        mergeWindow(right, left);
        mergeWindow(left, other);
        expect(left).toEqual(right);
        expect(left).toEqual(windowOf(admitted));
      }),
      { numRuns: 1000 },
    );
  });

  it('[CRDT-13] merge is associative and idempotent', () => {
    fc.assert(
      fc.property(sequences, sequences, sequences, (a, b, c) => {
        const left = windowOf(a);
        mergeWindow(left, windowOf(b));
        mergeWindow(left, windowOf(c));
        const right = windowOf(b);
        mergeWindow(right, windowOf(c));
        mergeWindow(right, windowOf(a));
        mergeWindow(right, right);
        mergeWindow(right, windowOf(c));
        expect(left).toEqual(right);
      }),
      RUNS,
    );
  });
});
