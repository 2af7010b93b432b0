import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { GroundTruth } from '../../src/cli/load/ground-truth.ts';
import { ViewerSession } from '../../src/cli/load/session.ts';
import { BATCHES_IN_FLIGHT_MAX, REACTIONS_PER_BATCH_MAX, TAPS_PER_REACTION_MAX, type BatchMessage } from '../../src/protocol/messages.ts';

const ack = (seq: number, accepted: number, clamped = 0, duplicate = false) => ({ type: 'ack', seq, accepted, clamped, duplicate }) as const;
const error = (seq: number, temporary: boolean, code = 'overloaded') => ({ type: 'error', seq, code, message: '', temporary }) as const;

test('[CLI-3] a batch is resent unchanged, in order, until it is answered; later taps go into a later one', () => {
  const session = new ViewerSession('s', new GroundTruth());
  session.tap('heart', 2, 0);
  const first = session.nextBatch(1)!;
  session.tap('heart', 5, 2);
  const second = session.nextBatch(3)!;
  session.tap('fire', 1, 4);
  expect([...session.resends(5, true)]).toEqual([first, second]);
  expect(session.unackedFrom).toBe(1);
  session.acknowledge(ack(1, 2));
  expect([...session.resends(6, true)]).toEqual([second]);
  expect(session.unackedFrom).toBe(2);
  expect(session.nextBatch(7)).toMatchObject({ seq: 3, reactions: [{ emoji_id: 'fire', count: 1 }] });
});

test('[CLI-3] at most 32 batches are unanswered; what is tapped meanwhile waits and is not lost', () => {
  const truth = new GroundTruth();
  const session = new ViewerSession('s', truth);
  for (let tap = 0; tap < 40; tap++) {
    session.tap('heart', 1, tap);
    session.nextBatch(tap);
  }
  expect(session.unansweredCount).toBe(BATCHES_IN_FLIGHT_MAX);
  for (let seq = 1; seq <= 32; seq++) session.acknowledge(ack(seq, 1));
  expect(session.nextBatch(50)).toMatchObject({ seq: 33, reactions: [{ emoji_id: 'heart', count: 8 }] });
  session.acknowledge(ack(33, 8));
  expect(session.idle).toBe(true);
  expect(truth).toMatchObject({ tapped: 40, acknowledged: 40, inDoubt: 0 });
});

test('a temporary refusal is resent when its time has come, a permanent one never', () => {
  const truth = new GroundTruth();
  const session = new ViewerSession('s', truth);
  session.tap('heart', 1, 0);
  session.nextBatch(0);
  session.tap('nope', 2, 0);
  session.nextBatch(0);
  session.refuse({ ...error(1, true), retry_after_ms: 300 }, 1000);
  session.refuse(error(2, false, 'unknown-emoji'), 1000);
  expect(session.resendAt).toBe(1300);
  expect([...session.resends(1299, false)]).toEqual([]);
  expect([...session.resends(1300, false)].map(({ seq }) => seq)).toEqual([1]);
  expect(truth).toMatchObject({ refused: 2, inDoubt: 0 });
});

test('what can no longer be told is in doubt, what was never sent is not', () => {
  const truth = new GroundTruth();
  const session = new ViewerSession('s', truth);
  session.tap('heart', 3, 0);
  session.nextBatch(0);
  session.refuse(error(1, false, 'stale-sequence'), 0);
  session.tap('heart', 2, 0);
  session.nextBatch(0);
  session.tap('heart', 1, 0);
  session.abandon();
  expect(truth).toMatchObject({ tapped: 6, acknowledged: 0, refused: 1, inDoubt: 5 });
  expect(truth.byEmoji().get('heart')).toEqual({ min: 0, max: 5 });
});

test('[CLI-4] every tap is in exactly one of acknowledged, clamped, refused, in doubt, however answers come', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('tap' as const), emoji: fc.constantFrom('a', 'b', 'c'), count: fc.integer({ min: 1, max: 30_000 }) }),
    fc.record({ kind: fc.constant('send' as const) }),
    fc.record({ kind: fc.constantFrom('ack' as const, 'temporary' as const, 'permanent' as const), pick: fc.nat(), clamp: fc.nat(5) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const truth = new GroundTruth();
      const session = new ViewerSession('s', truth);
      const sent: BatchMessage[] = [];
      let now = 0;
      for (const step of actions) {
        now += 10;
        if (step.kind === 'tap') session.tap(step.emoji, step.count, now);
        else if (step.kind === 'send') {
          const batch = session.nextBatch(now);
          if (batch === null) continue;
          expect(batch.seq).toBe(sent.length + 1);
          expect(batch.reactions.length).toBeLessThanOrEqual(REACTIONS_PER_BATCH_MAX);
          for (const { count } of batch.reactions) expect(count).toBeLessThanOrEqual(TAPS_PER_REACTION_MAX);
          sent.push(batch);
        } else if (sent.length > 0) {
          // Answers come in any order, and twice.
          const { seq, reactions } = sent[step.pick % sent.length]!;
          const taps = reactions.reduce((sum, { count }) => sum + count, 0);
          const clamped = Math.min(step.clamp, taps);
          if (step.kind === 'ack') session.acknowledge(ack(seq, taps - clamped, clamped));
          else session.refuse(error(seq, step.kind === 'temporary'), now);
        }
      }
      session.abandon();
      expect(truth.acknowledged + truth.clamped + truth.refused + truth.inDoubt).toBe(truth.tapped);
      const ranges = [...truth.byEmoji().values()];
      expect(ranges.reduce((sum, { min }) => sum + min, 0)).toBeLessThanOrEqual(truth.total().min);
      expect(ranges.reduce((sum, { max }) => sum + max, 0)).toBeGreaterThanOrEqual(truth.total().max);
    }),
    { numRuns: 300 },
  );
});
