import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { intervalsOf, noteBatch, variationOf } from '../../src/antispam/cadence.ts';
import { isUniform, noteCell, viewersIn } from '../../src/antispam/crowd.ts';
import { StreamNorm } from '../../src/antispam/stream-norm.ts';
import { EmojiPlaces, addEmoji, countOf, entropyOf, onlyEmoji, topEmoji } from '../../src/antispam/emoji-mix.ts';
import { CELLS, CELL_MS, addTaps, cellOf, cellsOf, cellsSince, strayOf, turnTo, unbrokenMean } from '../../src/antispam/rhythm.ts';
import { seeded } from '../support/viewer-population.ts';

const START = 1_795_000_000_000;
const grain = (at: number): number => Math.ceil(at / 10) * 10;
/** Approximately normal, by the sum of uniforms. */
const normal = (random: () => number): number => Array.from({ length: 12 }, random).reduce((sum, one) => sum + one, -6);

describe('cadence', () => {
  const variation = (batches: number, nextInterval: (index: number) => number, tapsOf: (index: number) => number): number => {
    const row = new Int32Array(4);
    let at = START;
    for (let index = 0; index < batches; index++) noteBatch(row, 0, tapsOf(index), grain((at += nextInterval(index))));
    return variationOf(row, 0);
  };

  it('[SPAM-4] finds a timer even whatever its period, and fingers never, by themselves or through a player', () => {
    fc.assert(
      fc.property(fc.integer({ min: 150, max: 2000 }), fc.integer(), fc.integer({ min: 1, max: 9 }), (period, seed, count) => {
        const random = seeded(seed);
        expect(variation(200, () => period, () => count), 'timer').toBeLessThan(0.04);
        expect(variation(200, () => Math.max(110, period * (1 + 0.1 * normal(random))), () => 1), 'finger').toBeGreaterThan(0.04);
        expect(variation(200, () => 250 * (0.9 + 0.2 * random()), () => 1), 'player').toBeGreaterThan(0.04);
        expect(variation(200, () => 250, () => (random() < 0.2 ? 2 : 1)), 'even player').toBeGreaterThan(0.04);
      }),
    );
  });

  it('[SPAM-4] begins anew after a pause, and does not take a backlog for a beat', () => {
    const row = new Int32Array(4);
    for (let index = 0; index < 10; index++) noteBatch(row, 0, 1, START + 200 * index);
    expect(intervalsOf(row, 0)).toBe(9);
    expect(noteBatch(row, 0, 1, START + 1800)).toBe(0);
    expect(intervalsOf(row, 0)).toBe(9);
    expect(noteBatch(row, 0, 1, START + 10_000)).toBe(8200);
    expect(intervalsOf(row, 0)).toBe(0);
    // Seven weeks later, when the times have come round.
    expect(noteBatch(row, 0, 1, START + 10_000 + 2 ** 31 + 5)).toBe(Infinity);
    expect(intervalsOf(row, 0)).toBe(0);
  });
});

describe('rhythm', () => {
  it('[SPAM-5] keeps the taps of the last 16 cells, whatever is between', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ afterMs: fc.oneof(fc.nat({ max: 4000 }), fc.nat({ max: 200_000 })), taps: fc.integer({ min: 1, max: 300 }) }), { maxLength: 60 }), (taps) => {
        const row = new Int32Array(5);
        const model = new Map<number, number>();
        let now = START;
        for (const { afterMs, taps: count } of taps) {
          now += afterMs;
          if (cellsSince(row, 0, cellOf(now)) !== 0) turnTo(row, 0, cellOf(now));
          addTaps(row, 0, count);
          const cell = Math.floor(now / CELL_MS);
          model.set(cell, (model.get(cell) ?? 0) + count);
          const expected = Array.from({ length: CELLS }, (_, index) => Math.min(255, model.get(cell - CELLS + index) ?? 0));
          expect(cellsOf(row, 0)).toEqual(expected);
        }
      }),
    );
  });

  it('[SPAM-5] a timer strays no further than gathering makes it, and fingers do', () => {
    const stray = (next: () => number, batchMs: number): { stray: number; mean: number } => {
      const row = new Int32Array(5);
      for (let at = START; at < START + (CELLS + 2) * CELL_MS; at += next()) {
        const sentAt = batchMs === 0 ? at : Math.ceil(at / batchMs) * batchMs;
        if (cellsSince(row, 0, cellOf(sentAt)) !== 0) turnTo(row, 0, cellOf(sentAt));
        addTaps(row, 0, 1);
      }
      const mean = unbrokenMean(row, 0);
      return { stray: strayOf(row, 0, mean), mean };
    };
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 900 }), fc.constantFrom(0, 250), (period, batchMs) => {
        const { stray: strayed, mean } = stray(() => period, batchMs);
        expect(strayed).toBeLessThanOrEqual(2 + (0.35 * mean) / 6);
      }),
    );
    const random = seeded(7);
    const results = Array.from({ length: 100 }, () => stray(() => 200 * Math.max(0.3, 1 + 0.2 * normal(random)), 250));
    expect(results.filter(({ stray: strayed, mean }) => strayed <= 1 + (0.28 * mean) / 6).length).toBeLessThan(15);
  });
});

describe('emoji mix', () => {
  it('[SPAM-2] knows who taps one emoji only, lately', () => {
    const row = new Int32Array(2);
    for (let tap = 0; tap < 31; tap++) addEmoji(row, 0, 5, 1);
    expect(onlyEmoji(row, 0, 32)).toBe(-1);
    addEmoji(row, 0, 5, 1);
    expect(onlyEmoji(row, 0, 32)).toBe(5);
    for (let tap = 0; tap < 20; tap++) addEmoji(row, 0, 2, 1);
    expect(onlyEmoji(row, 0, 32)).toBe(-1);
    expect(topEmoji(row, 0), 'of who mixes').toBe(5);
    for (let tap = 0; tap < 2000; tap++) addEmoji(row, 0, 2, 1);
    expect(onlyEmoji(row, 0, 32)).toBe(2);
  });

  it('[SPAM-2] halves all counters together, and never leaves a byte', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 7 }), fc.integer({ min: 1, max: 10_000 })), { maxLength: 300 }), (taps) => {
        const row = new Int32Array(2);
        for (const [place, count] of taps) {
          const before = Array.from({ length: 8 }, (_, index) => countOf(row, 0, index));
          addEmoji(row, 0, place, count);
          const halved = before[place]! + Math.min(count, 127) > 255;
          for (let index = 0; index < 8; index++) {
            const sum = before[index]! + (index === place ? Math.min(count, 127) : 0);
            expect(countOf(row, 0, index)).toBe(halved ? sum >> 1 : sum);
          }
        }
      }),
    );
  });

  it('[SPAM-6] holds a single emoji against nobody where all tap it', () => {
    const [varied, plain] = [new StreamNorm(), new StreamNorm()];
    for (let cell = 0; cell < 600; cell++) {
      varied.note(1 + (cell % 20), cell % 4);
      plain.note(1 + (cell % 20), 3);
    }
    expect([varied.isVaried(), plain.isVaried(), new StreamNorm().isVaried()]).toEqual([true, false, false]);
    expect(varied.outlierTaps).toBeGreaterThan(18);
    expect(new StreamNorm().outlierTaps).toBe(Infinity);
  });

  it('[SPAM-3] gives counters to a bounded number of emoji, in turn', () => {
    const places = new EmojiPlaces();
    const seen = Array.from({ length: 3000 }, (_, index) => places.of(`emoji-${index}`));
    expect(seen.slice(0, 9)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 0]);
    expect(places.of('emoji-3')).toBe(3);
    expect(places.of('emoji-2999')).toBe('emoji-2999'.length & 7);
    expect(entropyOf((place) => (place < 4 ? 10 : 0))).toBeCloseTo(2);
    expect(entropyOf(() => 0)).toBe(0);
  });
});

describe('crowd', () => {
  const crowd = (viewers: number, cells: number, tapsOf: (random: () => number) => number): Int32Array => {
    const rows = new Int32Array(8);
    const random = seeded(viewers);
    for (let cell = 0; cell < cells; cell++) {
      for (let viewer = 0; viewer < viewers; viewer++) {
        const taps = tapsOf(random);
        if (taps > 0) noteCell(rows, 0, viewer, 1000 + cell, taps, cell > 0);
      }
    }
    return rows;
  };

  it('[SPAM-7] tells copies of a program from people who all tap at once', () => {
    const copies = crowd(20, 40, (random) => 15 + Math.round(4 * (random() + random() - 1)));
    const people = crowd(20, 40, (random) => Math.round(60 * random() ** 2));
    expect([isUniform(copies, 0), isUniform(people, 0)]).toEqual([true, false]);
    expect(viewersIn(copies, 0)).toBeGreaterThan(12);
    expect(viewersIn(copies, 0)).toBeLessThan(32);
    expect(isUniform(crowd(6, 10, () => 15), 0), 'too little is known').toBe(false);
  });

  it('[SPAM-7] forgets a crowd that has gone, and never overflows', () => {
    const rows = crowd(30, 40, () => 15);
    noteCell(rows, 0, 1, 1000 + 40 + 3 * CELLS, 15, true);
    expect(viewersIn(rows, 0)).toBeCloseTo(1, 0);
    for (let index = 0; index < 100_000; index++) noteCell(rows, 0, index, 1100, 60_000, true);
    expect(rows.every((value, column) => column < 2 || value >= 0)).toBe(true);
    expect(isUniform(rows, 0)).toBe(true);
  });
});
