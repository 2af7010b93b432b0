import { describe, expect, it } from 'vitest';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import { emptyState, restore, takeChanges } from '../../src/aggregator/shard-state.ts';
import { step } from '../../src/aggregator/step.ts';
import { DEFAULT_POLICY, type Policy } from '../../src/moderation/policy.ts';

const LIMITS = { streamsMax: 100, sessionsMax: 1000, bucketsMax: 1000 };
const START = 1_795_000_000_000;
const batchOf = (sequence: number, fields: Partial<Batch> = {}): Batch => ({
  stream: 'derby' as StreamId,
  viewer: 'bot',
  device: null,
  address: null,
  session: 'session',
  sequence,
  reactions: [['heart' as EmojiId, 1]],
  ...fields,
});

describe('a shard and its judge', () => {
  it('[SPAM-11] answers a shadowed batch as clamped whole, counts nothing of it, and gives a resend the same answer, also in the next life', () => {
    const state = emptyState(LIMITS, 1);
    let sequence = 0;
    let counted = 0;
    let reply: IngestReply;
    do {
      sequence += 1;
      reply = step(state, batchOf(sequence), DEFAULT_POLICY, START + 200 * sequence);
      if (reply.kind === 'counted') counted += reply.accepted;
    } while (reply.kind === 'counted' && reply.accepted === 1 && sequence < 2000);
    expect(reply).toEqual({ kind: 'counted', accepted: 0, clamped: 1, duplicate: false });
    expect(step(state, batchOf(sequence), DEFAULT_POLICY, START + 10 ** 6)).toEqual({ kind: 'counted', accepted: 0, clamped: 1, duplicate: true });
    const changes = takeChanges(state)!;
    expect(changes.rows[0]!.entries[0]).toMatchObject({ increments: counted });
    expect(counted).toBe(sequence - 1);

    const next = emptyState(LIMITS, 2);
    restore(next, { ...changes, actor: 'us/0/1' as never, sequence: 1, at: START + 200 * sequence, windowsStoredBefore: 0 }, () => true, START + 200 * sequence);
    expect(step(next, batchOf(sequence), DEFAULT_POLICY, START + 10 ** 6)).toEqual({ kind: 'counted', accepted: 0, clamped: 1, duplicate: true });
    expect(step(next, batchOf(sequence + 1), DEFAULT_POLICY, START + 10 ** 6)).toEqual({ kind: 'counted', accepted: 1, clamped: 0, duplicate: false });
  });

  it('[SPAM-1] limits device and network as the stream’s policy says', () => {
    const state = emptyState(LIMITS, 1);
    const limit = { tapsPerSecondMax: 10, tapBurstMax: 15 };
    const policy: Policy = { ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, device: limit, address: { ...limit, tapBurstMax: 25 } } };
    const submit = (viewer: string, device: string): unknown =>
      step(state, batchOf(1, { viewer, device, address: '203.0.113.0/24', session: viewer, reactions: [['heart' as EmojiId, 12]] }), policy, START);
    expect(submit('a', 'phone')).toMatchObject({ accepted: 12, clamped: 0 });
    expect(submit('b', 'phone')).toMatchObject({ accepted: 3, clamped: 9 });
    expect(submit('c', 'tablet')).toMatchObject({ accepted: 10, clamped: 2 });
    expect(submit('d', 'laptop')).toMatchObject({ accepted: 0, clamped: 12 });
  });
});
