/** When ledgers and shards forget a stream that has ended. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { DOCUMENT_GRACES, STREAM_GRACE_MS, StreamLives } from '../../src/moderation/stream-life.ts';

const MINUTE = 60_000;
const T = 100 * MINUTE;
const derby = 'derby' as StreamId;

/** Lives whose ledger forgets what is due at once. */
function livesOf(graceMs?: number) {
  const forgotten = new Set<StreamId>();
  const lives = new StreamLives((stream) => forgotten.has(stream), graceMs);
  const sweep = (now: number, derivedBefore = now): StreamId[] => {
    const due = lives.due({ now, derivedBefore });
    for (const stream of due) forgotten.add(stream);
    lives.over(now);
    return due;
  };
  return { lives, sweep };
}

describe('the life of a stream', () => {
  it('[MOD-30] ledgers forget it at the first full minute that is a grace after its end, and once', () => {
    const { lives, sweep } = livesOf();
    lives.heard(derby, T + 1, T + 500);
    expect(sweep(T + STREAM_GRACE_MS + 1)).toEqual([]);
    expect(sweep(T + STREAM_GRACE_MS + MINUTE - 1)).toEqual([]);
    expect(sweep(T + STREAM_GRACE_MS + MINUTE)).toEqual([derby]);
    expect(sweep(T + STREAM_GRACE_MS + 2 * MINUTE)).toEqual([]);
  });

  it('[MOD-30] regions whose clocks differ by less than that forget the same, whenever they look and hear', () => {
    const ends = fc.array(fc.integer({ min: 0, max: 20 * MINUTE }), { maxLength: 10 });
    fc.assert(
      fc.property(ends, fc.integer({ min: 11, max: 40 }), fc.array(fc.nat(MINUTE - 1), { minLength: 2, maxLength: 4 }), (endedAts, minute, offsets) => {
        const forgotten = offsets.map((offset) => {
          const { lives, sweep } = livesOf();
          for (const [index, endedAt] of endedAts.entries()) lives.heard(`s${index}` as StreamId, endedAt, offset);
          return sweep(minute * MINUTE + offset).sort();
        });
        for (const one of forgotten) expect(one).toEqual(forgotten[0]);
      }),
      { numRuns: 200 },
    );
  });

  it('[MOD-30] nothing is forgotten before what was counted until then is where it belongs', () => {
    const { lives, sweep } = livesOf();
    lives.heard(derby, T, T);
    expect(sweep(T + 30 * MINUTE, T + STREAM_GRACE_MS - 1)).toEqual([]);
    expect(lives.isOver(derby)).toBe(false);
    expect(sweep(T + 31 * MINUTE, T + STREAM_GRACE_MS)).toEqual([derby]);
  });

  it('[MOD-31] shards keep it for a grace after this process heard of the end, however late that was', () => {
    const { lives, sweep } = livesOf();
    const late = T + 5 * STREAM_GRACE_MS;
    lives.heard(derby, T, late);
    expect(sweep(late)).toEqual([derby]);
    expect(lives.isOver(derby)).toBe(false);
    sweep(late + STREAM_GRACE_MS - 1);
    expect(lives.isOver(derby)).toBe(false);
    sweep(late + STREAM_GRACE_MS);
    expect(lives.isOver(derby)).toBe(true);
    expect(lives.size).toBe(0);
  });

  it('[MOD-31] what is over stays over, whatever is heard of it', () => {
    const { lives, sweep } = livesOf(MINUTE);
    lives.heard(derby, T, T);
    sweep(T + 2 * MINUTE);
    lives.heard(derby, null, T + 2 * MINUTE);
    lives.heard(derby, T + 10 * MINUTE, T + 3 * MINUTE);
    expect(lives.isOver(derby)).toBe(true);
    expect(lives.size).toBe(0);
  });

  it('[MOD-34] its document is kept for two hours after the end, and until shards have let go, however late that was', () => {
    const { lives, sweep } = livesOf();
    const late = 'late' as StreamId;
    lives.heard(derby, T, T);
    sweep(T + 2 * STREAM_GRACE_MS);
    const longAfter = T + DOCUMENT_GRACES * STREAM_GRACE_MS;
    expect(longAfter - T).toBe(2 * 60 * MINUTE);
    expect(lives.longOver(longAfter - 1)).toEqual([]);
    lives.heard(late, T, longAfter);
    sweep(longAfter);
    expect(lives.longOver(longAfter)).toEqual([derby]);
    expect(lives.longOver(longAfter)).toEqual([]);
    sweep(longAfter + STREAM_GRACE_MS);
    expect(lives.longOver(longAfter + STREAM_GRACE_MS)).toEqual([late]);
  });

  it('[MOD-30] a live stream is never forgotten', () => {
    const { lives, sweep } = livesOf();
    lives.heard(derby, null, T);
    expect(sweep(T + 1e9)).toEqual([]);
    expect(lives.isOver(derby)).toBe(false);
  });
});
