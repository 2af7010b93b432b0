import { expect, test } from 'vitest';
import type { Books } from '../../src/cli/audit/books.ts';
import { GroundTruth } from '../../src/cli/load/ground-truth.ts';
import { judge } from '../../src/cli/load/verdict.ts';

function books(counts: Readonly<Record<string, number>>, stored: Readonly<Record<string, number>> = counts): Books {
  const entriesOf = (totals: Readonly<Record<string, number>>) =>
    Object.entries(totals).map(([emoji, increments]) => ({ actor: 'us/0/1', emoji, increments, decrements: 0 }));
  const acknowledged = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { region: 'us', digest: '', actor: 'us/0/1', acknowledged, entries: entriesOf(counts), stored: entriesOf(stored) };
}

function truthOf(...acks: readonly (readonly [Readonly<Record<string, number>>, clamped: number])[]): GroundTruth {
  const truth = new GroundTruth();
  for (const [taps, clamped] of acks) {
    const reactions = Object.entries(taps).map(([emoji_id, count]) => ({ emoji_id, count }));
    const sum = reactions.reduce((total, { count }) => total + count, 0);
    truth.tap(sum);
    truth.acknowledge(reactions, sum - clamped, clamped, false);
  }
  return truth;
}

test('[CLI-5] the books balance when counted is acknowledged, net of what was there before', () => {
  const verdict = judge(truthOf([{ heart: 5, fire: 2 }, 0]), [books({ heart: 100 })], [books({ heart: 105, fire: 2 })], true);
  expect(verdict.problems).toEqual([]);
  expect(verdict).toMatchObject({ balanced: true, counts: [{ who: 'us', counted: 7, lost: 0, double: 0 }, { counted: 7 }] });
});

test.each([
  ['lost', { heart: 4 }, { lost: 1, double: 0 }, 'us: 1 taps of heart are lost (4 of 5)'],
  ['double', { heart: 8 }, { lost: 0, double: 3 }, 'us: 3 taps of heart too many (8 instead of 5)'],
  ['another emoji', { fire: 5 }, { lost: 0, double: 0 }, 'us: 5 taps of heart are lost (0 of 5)'],
])('[CLI-5] one tap %s and they do not', (_, counts, expected, problem) => {
  const verdict = judge(truthOf([{ heart: 5 }, 0]), [books({})], [books(counts)], true);
  expect(verdict.balanced).toBe(false);
  expect(verdict.counts[0]).toMatchObject(expected);
  expect(verdict.problems).toContain(problem);
});

test('[CLI-5] what is counted and not stored does not balance, unless nobody asked for the database', () => {
  const after = [books({ heart: 5 }, { heart: 3 })];
  expect(judge(truthOf([{ heart: 5 }, 0]), [books({})], after, true).problems).toContain('stored, asked by us: 2 taps of heart are lost (3 of 5)');
  expect(judge(truthOf([{ heart: 5 }, 0]), [books({})], after, false).balanced).toBe(true);
});

test('[CLI-4] a clamped batch of several emoji leaves each a range, and the total exact', () => {
  const truth = truthOf([{ heart: 5, fire: 5 }, 3]);
  const balanced = (counts: Readonly<Record<string, number>>): boolean => judge(truth, [books({})], [books(counts)], true).balanced;
  expect(balanced({ heart: 5, fire: 2 })).toBe(true);
  expect(balanced({ heart: 3, fire: 4 })).toBe(true);
  expect(balanced({ heart: 1, fire: 6 })).toBe(false);
  expect(balanced({ heart: 4, fire: 4 })).toBe(false);
  expect(balanced({ heart: 2, fire: 4 })).toBe(false);
});

test('taps in doubt never balance, and are neither lost nor double', () => {
  const truth = truthOf([{ heart: 5 }, 0]);
  truth.tap(2);
  truth.lose([{ emoji_id: 'heart', count: 2 }], 'in-doubt', 'no-answer');
  const verdict = judge(truth, [books({})], [books({ heart: 6 })], true);
  expect(verdict.balanced).toBe(false);
  expect(verdict.counts[0]).toMatchObject({ lost: 0, double: 0 });
});
