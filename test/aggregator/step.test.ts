import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Batch, Reaction } from '../../src/aggregator/ingest.ts';
import { retract } from '../../src/aggregator/retraction.ts';
import { changedBytes, checkPolicies, emptyState, restore, restored, takeChanges, wholeState, type ShardState } from '../../src/aggregator/shard-state.ts';
import { step } from '../../src/aggregator/step.ts';
import { windowStartOf } from '../../src/base/window.ts';
import { encodeCommit } from '../../src/hot-store/commit-codec.ts';
import { COMMIT_RETENTION_MS, type Commit } from '../../src/hot-store/hot-store.ts';
import { compareMutes } from '../../src/moderation/mutes.ts';
import { DEFAULT_POLICY, takenBackBy, type Mute, type Policy, type PolicyOf } from '../../src/moderation/policy.ts';
import { ShardModel } from './shard-model.ts';

const LIMITS = { streamsMax: 100, sessionsMax: 1000, bucketsMax: 1000 };
const START = 1_795_000_000_000;
const DERBY = 'derby' as StreamId;

const batchOf = (fields: Partial<Batch> = {}): Batch => ({
  stream: DERBY,
  viewer: 'viewer',
  device: null,
  address: null,
  session: 'session',
  sequence: 1,
  reactions: [['heart' as EmojiId, 3]],
  ...fields,
});
const counted = (accepted: number, clamped = 0, duplicate = false) => ({ kind: 'counted', accepted, clamped, duplicate });
const refused = (reason: string) => ({ kind: 'refused', reason });

describe('step', () => {
  const start = (limits = LIMITS): ((fields?: Partial<Batch>, now?: number, policy?: Policy) => unknown) => {
    const state = emptyState(limits, 1);
    return (fields, now = START, policy = DEFAULT_POLICY) => step(state, batchOf(fields), policy, now);
  };

  it('[AGG-3] counts a batch once, and gives a resend the first answer', () => {
    const submit = start();
    expect(submit()).toEqual(counted(3));
    expect(submit()).toEqual(counted(3, 0, true));
    expect(submit({ sequence: 2, reactions: [['heart' as EmojiId, 210]] })).toEqual(counted(197, 13));
    expect(submit({ sequence: 2, reactions: [['heart' as EmojiId, 210]] }, START + 60_000)).toEqual(counted(197, 13, true));
    expect(submit({ sequence: 1 })).toEqual(counted(3, 0, true));
  });

  it('[AGG-9] says of what a recovered commit finds no room', () => {
    const session = { session: 's', highest: 1, low: 1, high: 0, clamped: [] };
    const contribution = { viewer: 'v', device: null, emoji: 'heart' as EmojiId, at: START, counted: 1, retracted: 0, actor: null, number: 1 };
    const claim = { session: 's', sequence: 1, viewer: 'v', device: null, at: START, attempt: 1, reactions: [], clamped: 0, page: '0.1.1', rivals: ['eu'], given: 0 };
    const actor = actorId({ region: 'us', shard: 0, epoch: 1 });
    const base = { actor, sequence: 1, at: START, windowsStoredBefore: 0, rows: [], sessions: [], contributions: [], corrections: [] };
    const state = emptyState({ ...LIMITS, streamsMax: 1, sessionsMax: 1 }, 1);
    const missing = (commit: Partial<Commit>): string[] => [...restore(state, { ...base, ...commit }, () => true, START)];
    const other = 'other' as StreamId;
    expect(missing({ sessions: [{ stream: DERBY, ...session }], contributions: [{ stream: DERBY, ...contribution }], claims: [{ stream: DERBY, ...claim }] })).toEqual([]);
    expect(missing({ sessions: [{ stream: DERBY, ...session, session: 'another' }] })).toEqual(['sessions']);
    expect(missing({ contributions: [{ stream: other, ...contribution }] })).toEqual(['contributions']);
    expect(missing({ claims: [{ stream: other, ...claim }] })).toEqual(['claims']);
  });

  it('[AGG-3] counts batches that come out of order within the window, each once', () => {
    const submit = start();
    for (const sequence of [5, 3, 1, 2, 4]) expect(submit({ sequence }), `${sequence}`).toEqual(counted(3));
    for (const sequence of [1, 2, 3, 4, 5]) expect(submit({ sequence }), `${sequence}`).toEqual(counted(3, 0, true));
    expect(submit({ sequence: 100 }, START + 60_000)).toEqual(counted(3));
    expect(submit({ sequence: 36 }, START + 60_000)).toEqual(refused('stale-sequence'));
    expect(submit({ sequence: 37 }, START + 60_000)).toEqual(counted(3));
  });

  it('[AGG-3] counts a batch without a session every time', () => {
    const submit = start();
    expect(submit({ session: null, sequence: 0 })).toEqual(counted(3));
    expect(submit({ session: null, sequence: 0 })).toEqual(counted(3));
  });

  it('[AGG-3] keeps sessions of different streams apart', () => {
    const submit = start();
    expect(submit()).toEqual(counted(3));
    expect(submit({ stream: 'other' as StreamId })).toEqual(counted(3));
  });

  it('[AGG-4] refuses what the policy forbids and leaves no trace, but answers a resend as before', () => {
    const submit = start();
    const ended: Policy = { ...DEFAULT_POLICY, state: 'ended' };
    const narrow: Policy = { ...DEFAULT_POLICY, palette: new Map([['fire' as EmojiId, 'F']]) };
    expect(submit()).toEqual(counted(3));
    expect(submit({ sequence: 2 }, START, ended)).toEqual(refused('stream-ended'));
    expect(submit({ sequence: 2 }, START, narrow)).toEqual(refused('unknown-emoji'));
    expect(submit({ sequence: 2, reactions: [['fire' as EmojiId, 1], ['heart' as EmojiId, 1]] }, START, narrow)).toEqual(refused('unknown-emoji'));
    expect(submit({ sequence: 1 }, START, ended)).toEqual(counted(3, 0, true));
    expect(submit({ sequence: 1 }, START, narrow)).toEqual(counted(3, 0, true));
    expect(submit({ sequence: 2 })).toEqual(counted(3));
  });

  it('[AGG-9] refuses new streams, sessions and viewers beyond its bounds, and serves those it has', () => {
    for (const [limits, stranger] of [
      [{ ...LIMITS, streamsMax: 1 }, { stream: 'other' as StreamId }],
      [{ ...LIMITS, sessionsMax: 1 }, { session: 'other' }],
      [{ ...LIMITS, bucketsMax: 1 }, { session: 'other', viewer: 'other' }],
    ] as const) {
      const submit = start(limits);
      expect(submit()).toEqual(counted(3));
      expect(submit(stranger)).toEqual(refused('overloaded'));
      expect(submit(stranger)).toEqual(refused('overloaded'));
      expect(submit({ sequence: 2 })).toEqual(counted(3));
    }
  });

  it('[AGG-9] forgets a session 10 minutes after its last batch, and not before', () => {
    const state = emptyState({ ...LIMITS, sessionsMax: 1 }, 1);
    const submit = (fields: Partial<Batch>, now: number): unknown => {
      const reply = step(state, batchOf(fields), DEFAULT_POLICY, now);
      takeChanges(state);
      return reply;
    };
    const last = START + 1000;
    expect(submit({}, START)).toEqual(counted(3));
    expect(submit({ sequence: 2 }, last)).toEqual(counted(3));
    expect(submit({ session: 'other' }, last + COMMIT_RETENTION_MS)).toEqual(refused('overloaded'));
    expect(submit({}, last + COMMIT_RETENTION_MS)).toEqual(counted(3, 0, true));
    expect(submit({ session: 'other' }, last + COMMIT_RETENTION_MS + 1000)).toEqual(counted(3));
  });

  it('[AGG-9] forgets no session whose record is still to be committed', () => {
    const state = emptyState({ ...LIMITS, sessionsMax: 1 }, 1);
    step(state, batchOf(), DEFAULT_POLICY, START);
    expect(step(state, batchOf({ session: 'other' }), DEFAULT_POLICY, START + 2 * COMMIT_RETENTION_MS)).toEqual(refused('overloaded'));
    expect(takeChanges(state)?.sessions).toMatchObject([{ session: 'session', highest: 1 }]);
  });

  it('[AGG-11] bounds the size of a commit from above, closely enough', () => {
    const state = emptyState({ streamsMax: 5000, sessionsMax: 5000, bucketsMax: 5000 }, 1);
    for (let index = 0; index < 3000; index++) {
      const stream = `${'s'.repeat(index % 50)}-${index % 500}` as StreamId;
      const session = `${'x'.repeat(index % 60)}${index}`;
      const reactions = [...DEFAULT_POLICY.palette.keys()].slice(index % 6).map((emoji): Reaction => [emoji, 1 + (index % 40)]);
      step(state, batchOf({ stream, session, viewer: session, sequence: 2 ** (index % 50), reactions }), DEFAULT_POLICY, START);
      if (index % 3 === 0) step(state, batchOf({ stream, session, viewer: session, sequence: 2 ** (index % 50) + 1, reactions }), DEFAULT_POLICY, START);
    }
    const bound = changedBytes(state);
    const actor = actorId({ region: 'us', shard: 0, epoch: START });
    const changes = takeChanges(state)!;
    const { length } = encodeCommit({ actor, sequence: 1, at: START, windowsStoredBefore: START, ...changes });
    expect(length).toBeLessThanOrEqual(bound);
    expect(length).toBeGreaterThan(bound / 5);
    expect(changedBytes(state)).toBe(0);
    expect(takeChanges(state)).toBeNull();
    let pieces = 0;
    for (const piece of wholeState(state, START, 50_000)) {
      pieces += 1;
      expect(encodeCommit({ actor, sequence: 1, at: START, windowsStoredBefore: START, ...piece }).length).toBeLessThan(60_000);
    }
    expect(pieces).toBeGreaterThan(5);
  });
});

const STREAMS = ['a', 'b'] as StreamId[];
const arbitraryReaction = fc.tuple(
  fc.constantFrom('heart', 'heart', 'fire', 'clap', 'poo') as fc.Arbitrary<EmojiId>,
  fc.integer({ min: 1, max: 12 }),
);
const arbitraryCommand = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      stream: fc.constantFrom(...STREAMS),
      session: fc.constantFrom('s1', 's2', 's3', null),
      device: fc.constantFrom('d1', 'd2', null),
      // Relative to the session's highest: mostly the next few, resends, and a few below the window.
      offset: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: -31, max: 1 }), fc.constantFrom(-70, -64, -63, 40, 2 ** 33)),
      reactions: fc.uniqueArray(arbitraryReaction, { minLength: 1, maxLength: 3, selector: ([emoji]) => emoji }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit' as const), afterMs: fc.nat({ max: 1500 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const), order: fc.array(fc.nat(), { minLength: 1, maxLength: 20 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('mute' as const),
      stream: fc.constantFrom(...STREAMS, null),
      of: fc.constantFrom('viewer s1', 'viewer s2', 'viewer nobody', 'device d1', 'device d2'),
      /** Before now; a mute that is learnt of late may be over. */
      fromAgo: fc.option(fc.integer({ min: -2000, max: 6000 })),
      untilIn: fc.option(fc.integer({ min: -3000, max: 3000 })),
      liftedAgo: fc.option(fc.integer({ min: 0, max: 3000 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('die halfway' as const), bytes: fc.nat({ max: 2000 }), order: fc.array(fc.nat(), { minLength: 1, maxLength: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), stream: fc.constantFrom(...STREAMS) }) },
);

describe('step against the model', () => {
  it('[AGG-10] [AGG-31] [AGG-33] [AGG-34] [AGG-35] replies, counts and windows are the model\'s through resends, reorder, clamps, mutes, retractions and restarts from any superset of commits in any order', () => {
    fc.assert(
      fc.property(fc.array(arbitraryCommand, { maxLength: 120, size: 'max' }), (commands) => {
        const shard = new JournalledShard();
        const model = new ShardModel();
        const policies = new Map(STREAMS.map((stream) => [stream, DEFAULT_POLICY]));
        const policyOf = (stream: StreamId): Policy => policies.get(stream)!;
        const commit = (): void => {
          shard.commit(policyOf);
          model.retract(policyOf);
          model.commit();
        };
        for (const command of commands) {
          if (command.kind === 'batch') {
            const { stream, session, device, reactions, offset } = command;
            const sequence = session === null ? 0 : Math.max(1, model.highest(stream, session) + offset);
            const batch = batchOf({ stream, viewer: session ?? 'nobody', device, session, sequence, reactions });
            const policy = policyOf(stream);
            expect(step(shard.state, batch, policy, shard.now)).toEqual(model.submit(batch, policy, shard.now));
          } else if (command.kind === 'commit') {
            commit();
            shard.now += command.afterMs;
          } else if (command.kind === 'crash') {
            shard.crash(command.order);
            model.crash();
          } else if (command.kind === 'die halfway') {
            shard.commitPart(policyOf, command.bytes);
            model.commit();
            shard.crash(command.order);
            model.crash();
            commit();
          } else if (command.kind === 'mute') {
            const { now } = shard;
            for (const stream of command.stream === null ? STREAMS : [command.stream]) {
              policies.set(stream, muted(policyOf(stream), command.of, {
                until: command.untilIn === null ? null : now + command.untilIn,
                retractFrom: command.fromAgo === null ? null : now - command.fromAgo,
                liftedAt: command.liftedAgo === null ? null : now - command.liftedAgo,
              }));
            }
          } else {
            const policy = policyOf(command.stream);
            policies.set(command.stream, { ...policy, state: policy.state === 'ended' ? 'live' : 'ended' });
          }
        }
        commit();
        expect(shard.totals()).toEqual(sorted(model.state.totals));
        expect(shard.windows()).toEqual(sorted(model.state.windows));
      }),
      { numRuns: 300 },
    );
  });
});

/** The step with a journal around it, and what others derive from its commits. */
class JournalledShard {
  state: ShardState = emptyState(LIMITS, 1);
  now = START;
  readonly #journal: Commit[] = [];
  #epoch = 1;
  #sequence = 0;

  /** Carries out all that policies take back, in as many small commits as it needs. */
  commit(policyOf: PolicyOf): void {
    do this.commitPart(policyOf, 500);
    while (this.state.checks.size > 0);
  }

  commitPart(policyOf: PolicyOf, bytesMax: number): void {
    checkPolicies(this.state, policyOf, null);
    retract(this.state, policyOf, this.now, bytesMax);
    const changes = takeChanges(this.state);
    if (changes === null) return;
    this.#sequence += 1;
    const actor = actorId({ region: 'us', shard: 0, epoch: this.#epoch });
    this.#journal.push({ actor, sequence: this.#sequence, at: this.now, windowsStoredBefore: 0, ...changes });
  }

  /** Starts anew from the journal, each commit at least once, in the order of the numbers given. */
  crash(order: readonly number[]): void {
    this.#epoch += 1;
    this.#sequence = 0;
    this.state = emptyState(LIMITS, this.#epoch);
    const replayed = this.#journal.map((commit, index) => ({ commit, rank: order[index % order.length]! }));
    replayed.sort((a, b) => a.rank - b.rank);
    for (const { commit } of [...replayed, ...replayed.slice(0, 5)]) restore(this.state, commit, () => true, commit.at);
    restored(this.state);
  }

  totals(): [string, number][] {
    const ledger = new Ledger();
    for (const { actor, sequence, rows } of this.#journal.toReversed()) {
      for (const { stream, entries } of rows) ledger.join({ stream, actor, sequence, entries });
    }
    const totals = new Map<string, number>();
    for (const tally of ledger.tallies()) {
      for (const [emoji, counter] of tally.counters()) totals.set(`${tally.stream} ${emoji}`, counter.value);
    }
    return sorted(totals);
  }

  /** Of each actor's window the greatest values, and the sum over actors: as the database does it. */
  windows(): [string, number][] {
    const greatest = new Map<string, number>();
    const raise = (key: string, count: number): void => void greatest.set(key, Math.max(count, greatest.get(key) ?? 0));
    for (const { actor, at, rows, corrections } of this.#journal.toReversed()) {
      for (const { stream, entries } of rows) {
        for (const { emoji, windowIncrements } of entries) raise(`+ ${actor} ${stream} ${windowStartOf(at)} ${emoji}`, windowIncrements);
      }
      for (const { stream, emoji, windowStart, decrements } of corrections) raise(`- ${actor} ${stream} ${windowStart} ${emoji}`, decrements);
    }
    const windows = new Map<string, number>();
    for (const [composed, count] of greatest) {
      const [sign, , ...key] = composed.split(' ');
      windows.set(key.join(' '), (windows.get(key.join(' ')) ?? 0) + (sign === '-' ? -count : count));
    }
    return sorted(windows);
  }
}

function muted(policy: Policy, of: string, fields: Pick<Mute, 'until' | 'retractFrom' | 'liftedAt'>): Policy {
  const [kind, id] = of.split(' ') as ['viewer' | 'device', string];
  const decided: Mute = { by: 'moderator', reason: '', at: 0, ...fields };
  const which = kind === 'viewer' ? 'mutedViewers' : 'mutedDevices';
  const held = policy[which].get(id);
  const mute = held === undefined || compareMutes(decided, held) > 0 ? decided : held;
  const time = takenBackBy(decided);
  const retractions = time === null ? policy.retractions : [...policy.retractions, { kind, id, ...time }];
  return { ...policy, [which]: new Map([...policy[which], [id, mute]]), retractions };
}

/** Without what is 0, which is the same as nothing. */
function sorted(map: ReadonlyMap<string, number>): [string, number][] {
  return [...map].filter(([, count]) => count !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
}
