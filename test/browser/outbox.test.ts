import { describe, expect, it } from 'vitest';
import { RESEND_MS_MAX } from '../../src/protocol/messages.ts';
import { IN_FLIGHT_MAX, Outbox, RESEND_MS } from '../../src/web/live/outbox.ts';

describe('outbox of the live page', () => {
  it('[PAGE-1] numbers batches from 1 and puts the taps since the last one into each', () => {
    const outbox = new Outbox();
    expect(outbox.nextBatch(0, 0)).toBeNull();
    for (const emoji of ['heart', 'fire', 'heart']) outbox.tap(emoji, 10);
    expect(outbox.nextBatch(20, 1_700)).toEqual({
      type: 'batch',
      seq: 1,
      timestamp: 1_700,
      reactions: [{ emoji_id: 'heart', count: 2 }, { emoji_id: 'fire', count: 1 }],
    });
    outbox.tap('wow', 30);
    expect(outbox.nextBatch(40, 1_800)).toMatchObject({ seq: 2, reactions: [{ emoji_id: 'wow', count: 1 }] });
  });

  it('[PAGE-2] keeps a batch unchanged until it is answered', () => {
    const outbox = new Outbox();
    outbox.tap('heart', 5);
    const first = outbox.nextBatch(10, 1_700);
    outbox.tap('heart', 15);
    const second = outbox.nextBatch(20, 1_800);
    expect(outbox.unackedFrom).toBe(1);
    expect(outbox.unacknowledged(30)).toEqual([first, second]);
    expect(outbox.settle(1)).toMatchObject({ tappedAt: 5, message: first });
    expect(outbox.settle(1)).toBeUndefined();
    expect(outbox.unacknowledged(30)).toEqual([second]);
    expect(outbox.unackedFrom).toBe(2);
    outbox.settle(2);
    expect(outbox.unackedFrom).toBe(3);
  });

  it('[PAGE-3] has at most 32 batches without an answer, and loses no tap while it waits', () => {
    const outbox = new Outbox();
    for (let index = 0; index < IN_FLIGHT_MAX; index++) {
      outbox.tap('heart', index);
      expect(outbox.nextBatch(index, index)).not.toBeNull();
    }
    outbox.tap('heart', 50);
    outbox.tap('heart', 51);
    expect(outbox.nextBatch(60, 60)).toBeNull();
    outbox.settle(4);
    expect(outbox.nextBatch(70, 70)).toMatchObject({ seq: 33, reactions: [{ emoji_id: 'heart', count: 2 }] });
  });

  it('[PAGE-3] refuses a tap beyond what one batch may carry', () => {
    const outbox = new Outbox();
    for (let index = 0; index < 10_000; index++) expect(outbox.tap('heart', 0)).toBe(true);
    expect(outbox.tap('heart', 0)).toBe(false);
    expect(outbox.nextBatch(1, 1)).toMatchObject({ reactions: [{ count: 10_000 }] });
  });

  it('[PAGE-2] never sends a batch again when the region may have forgotten it', () => {
    expect(RESEND_MS).toBe(RESEND_MS_MAX);
    const outbox = new Outbox();
    outbox.tap('heart', 0);
    const batch = outbox.nextBatch(0, 0);
    expect(outbox.resend(1, RESEND_MS - 1)).toEqual(batch);
    expect(outbox.resend(1, RESEND_MS)).toBeUndefined();
    expect(outbox.unacknowledged(RESEND_MS)).toEqual([]);
  });
});
