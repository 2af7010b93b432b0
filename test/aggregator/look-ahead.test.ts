import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Inbox } from '../../src/aggregator/inbox.ts';
import type { Batch } from '../../src/aggregator/ingest.ts';
import { BATCHES_AHEAD, LookAhead } from '../../src/aggregator/look-ahead.ts';
import { emptyState, takeChanges } from '../../src/aggregator/shard-state.ts';
import { step } from '../../src/aggregator/step.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';

const START = 1_795_000_000_000;
/** Few enough that sessions and viewers are refused, forgotten and come back. */
const LIMITS = { streamsMax: 3, sessionsMax: 40, bucketsMax: 40 };

const batch = fc
  .record({ stream: fc.nat({ max: 3 }), person: fc.nat({ max: 60 }), sequence: fc.integer({ min: 1, max: 70 }), taps: fc.integer({ min: 1, max: 40 }), isBare: fc.nat({ max: 9 }) })
  .map(({ stream, person, sequence, taps, isBare }): Batch => ({
    stream: `stream-${stream}` as StreamId,
    viewer: `viewer-${person % 45}`,
    device: person % 3 === 0 ? null : `device-${person % 7}`,
    address: null,
    session: isBare === 0 ? null : `session-${person}`,
    sequence: isBare === 0 ? 0 : sequence,
    reactions: [[['heart', 'fire', 'clap'][taps % 3] as EmojiId, taps]],
  }));
const commit = fc.record({ batches: fc.array(batch, { minLength: 1, maxLength: BATCHES_AHEAD }), laterMs: fc.constantFrom(0, 40, 1_000, 700_000), wrong: fc.integer({ min: -1, max: 50 }) });

describe('looking ahead', () => {
  it('[AGG-54] changes no reply and no commit, whatever was guessed', () => {
    fc.assert(
      fc.property(fc.array(commit, { minLength: 1, maxLength: 12 }), (commits) => {
        const [plain, foreseen, misled] = [emptyState(LIMITS, 1), emptyState(LIMITS, 1), emptyState(LIMITS, 1)];
        const ahead = new LookAhead();
        let now = START;
        for (const { batches, laterMs, wrong } of commits) {
          now += laterMs;
          ahead.look(foreseen, batches);
          const replies = batches.map((one) => step(plain, one, DEFAULT_POLICY, now));
          const known = [replies, takeChanges(plain)];
          expect([batches.map((one, index) => step(foreseen, one, DEFAULT_POLICY, now, ahead.slotOf(index))), takeChanges(foreseen)]).toEqual(known);
          expect([batches.map((one) => step(misled, one, DEFAULT_POLICY, now, wrong)), takeChanges(misled)]).toEqual(known);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('[AGG-54] sees the sessions that are there', () => {
    const state = emptyState({ streamsMax: 10, sessionsMax: 10_000, bucketsMax: 10_000 }, 1);
    const batches = Array.from({ length: 1_000 }, (_, index): Batch => ({
      stream: `stream-${index % 5}` as StreamId, viewer: `viewer-${index}`, device: null, address: null, session: `session-${index}`, sequence: 1, reactions: [['heart' as EmojiId, 1]],
    }));
    const ahead = new LookAhead();
    ahead.look(state, batches.slice(0, 1));
    expect(ahead.slotOf(0)).toBe(-1);
    for (const one of batches) step(state, one, DEFAULT_POLICY, START);
    for (let start = 0; start + BATCHES_AHEAD <= batches.length; start += BATCHES_AHEAD) {
      ahead.look(state, batches.slice(start, start + BATCHES_AHEAD));
      const slots = batches.slice(start, start + BATCHES_AHEAD).map(({ stream, session }) => state.sessions.find(state.counts.find(stream)!.scope, session!));
      expect(slots.map((_, index) => ahead.slotOf(index))).toEqual(slots);
    }
  });

  it('[AGG-54] is shown the batches that wait in the order in which they are taken', () => {
    const inbox = new Inbox(100);
    const put = (sequence: number): boolean => inbox.put({ batch: { sequence } as Batch, done: () => {}, at: 0 });
    const shown = (countMax: number): number[] => inbox.peek(countMax).map(({ sequence }) => sequence);
    expect(shown(3)).toEqual([]);
    [1, 2, 3, 4].forEach(put);
    expect(shown(3)).toEqual([1, 2, 3]);
    expect(inbox.take()?.batch.sequence).toBe(1);
    [5, 6].forEach(put);
    expect(shown(9)).toEqual([2, 3, 4, 5, 6]);
    expect(shown(4)).toEqual([2, 3, 4, 5]);
    expect(inbox.size).toBe(5);
  });
});
