import { expect, it } from 'vitest';
import { FlaggedViewers } from '../../src/antispam/flagged.ts';

const MINUTE_MS = 60_000;
const verdict = (now: number, score = 80) => ({ device: null, standing: 'shadow' as const, score, reasons: [], cells: [1], now });

it('[SPAM-9] the list is full of suspects of today, not of those of streams that nobody taps in any more', () => {
  const flagged = new FlaggedViewers(4);
  for (const viewer of ['a', 'b']) flagged.note(1, viewer, verdict(0));
  flagged.note(2, 'c', verdict(0));
  flagged.note(3, 'd', verdict(5 * MINUTE_MS));
  flagged.note(4, 'e', verdict(6 * MINUTE_MS));
  expect(flagged.list(4, 6 * MINUTE_MS)).toEqual([]);
  flagged.note(4, 'e', verdict(11 * MINUTE_MS));
  expect(flagged.list(4, 11 * MINUTE_MS).map(({ viewer }) => viewer)).toEqual(['e']);
  expect(flagged.size).toBe(2);
  expect(flagged.list(3, 11 * MINUTE_MS).map(({ viewer }) => viewer)).toEqual(['d']);
});
