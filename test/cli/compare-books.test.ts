import { expect, test } from 'vitest';
import type { Books, Entry } from '../../src/cli/audit/books.ts';
import { compareBooks } from '../../src/cli/audit/compare-books.ts';

const US = { actor: 'us/0/1', emoji: 'heart', increments: 10, decrements: 0 };
const EU = { actor: 'eu/0/1', emoji: 'heart', increments: 5, decrements: 2 };

function books(region: string, entries: readonly Entry[] = [US, EU], changes: Partial<Books> = {}): Books {
  const actor = `${region}/0/1`;
  const acknowledged = entries.filter((entry) => entry.actor === actor).reduce((sum, entry) => sum + entry.increments, 0);
  return { region, digest: 'd1', actor, acknowledged, entries, stored: entries, ...changes };
}

test('books that agree have no differences, and their totals are net of decrements', () => {
  expect(compareBooks([books('us'), books('eu')])).toEqual({ differences: [], warnings: [], totals: { heart: 13 }, total: 13, entryCount: 2 });
});

test('[CLI-2] an entry that a region lacks or holds in part is named with both values', () => {
  const { differences } = compareBooks([books('us'), books('eu', [{ ...US, increments: 7 }, EU], { stored: [US, EU] }), books('ap', [EU], { stored: [US, EU] })]);
  expect(differences).toEqual([
    { kind: 'entry', text: 'eu holds 7 heart of us/0/1 instead of 10' },
    { kind: 'entry', text: 'ap holds 0 heart of us/0/1 instead of 10' },
  ]);
});

test('[CLI-2] a region that could not settle what moved is warned of, and that is no difference', () => {
  const { differences, warnings } = compareBooks([books('us', [US, EU], { claimsInDoubt: 2 }), books('eu', [US, EU], { claimsInDoubt: 0 })]);
  expect(differences).toEqual([]);
  expect(warnings).toEqual(['us could not settle whether another region has counted 2 batches as well, of some stream: what moved there may count twice']);
});

test('[CLI-2] what the database lacks, has too much of, or cannot tell is a difference', () => {
  const extra = { actor: 'us/0/1', emoji: 'fire', increments: 1, decrements: 0 };
  const kinds = compareBooks([
    books('us', [US, EU], { stored: [{ ...US, increments: 9 }, EU] }),
    books('eu', [US, EU], { stored: [US, EU, extra] }),
    books('ap', [US, EU], { stored: { unknown: 'it is away' } }),
  ]).differences;
  expect(kinds).toEqual([
    { kind: 'stored', text: 'the database asked by us holds 9 heart of us/0/1 instead of 10' },
    { kind: 'stored', text: 'the database asked by eu holds 1 fire of us/0/1 instead of 0' },
    { kind: 'unknown', text: 'ap cannot tell what is stored: it is away' },
  ]);
  expect(compareBooks([books('eu', [US, EU], { stored: [US, { ...EU, decrements: 0 }] })]).differences).toEqual([
    { kind: 'stored', text: 'the database asked by eu holds 5 heart of eu/0/1 instead of 5 − 2' },
  ]);
  expect(compareBooks([books('us', [US, EU], { stored: { unknown: 'none' } })], false).differences).toEqual([]);
});

test('[CLI-2] decrements, digests and acknowledgements are compared too', () => {
  const kinds = (all: readonly Books[]): string[] => compareBooks(all, false).differences.map(({ kind }) => kind);
  expect(kinds([books('us'), books('ap', [US, { ...EU, decrements: 1 }])])).toEqual(['entry']);
  expect(kinds([books('us'), books('ap', [US, EU], { digest: 'd2' })])).toEqual(['digest']);
  expect(kinds([books('us', [US, EU], { acknowledged: 11 })])).toEqual(['acknowledged']);
  expect(kinds([books('us', [US, EU], { acknowledged: 9 })])).toEqual(['acknowledged']);
});

test('entries of zeros are no entries', () => {
  const zero = { actor: 'us/0/2', emoji: 'heart', increments: 0, decrements: 0 };
  expect(compareBooks([books('us', [US, EU, zero]), books('eu')]).differences).toEqual([]);
});
