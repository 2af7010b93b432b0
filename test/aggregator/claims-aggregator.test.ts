import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { decodeVerdicts, encodeClaims, type Claim, type Verdict } from '../../regions/claims.ts';
import type { AggregatorOptions } from '../../src/aggregator/options.ts';
import { ClaimsDesk } from '../../src/aggregator/claims-desk.ts';
import { ClaimWorks, type ClaimWork } from '../../src/aggregator/claim-works.ts';
import { settle } from '../../src/aggregator/claim-rules.ts';
import { Claims } from '../../src/aggregator/claims.ts';
import { forgettableBefore, sessionsHeldFrom } from '../../src/aggregator/claims-horizon.ts';
import { emptyState, restore, restored, takeChanges } from '../../src/aggregator/shard-state.ts';
import { step } from '../../src/aggregator/step.ts';
import { COMMIT_RETENTION_MS, type ClaimRecord } from '../../src/hot-store/hot-store.ts';
import { MemoryJournal } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY, type Mute, type Policy } from '../../src/moderation/policy.ts';
import { muting } from '../support/muting.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';
import { DERBY, HEART, Life, counted, refused } from './shard-life.ts';

const PEERS = { peers: ['eu', 'ap'] };
const HOUR_MS = 3_600_000;

describe('an aggregator with claims', () => {
  let runtime: SimulatedRuntime;
  let journal: MemoryJournal;

  beforeEach(() => {
    runtime = createSimulatedRuntime(7);
    journal = new MemoryJournal();
  });

  const begin = async (options: Partial<AggregatorOptions> = {}, policy?: Policy): Promise<Life> => {
    const life = new Life(runtime, journal, { ...PEERS, ...options }, policy);
    await runtime.settle(life.aggregator.start());
    return life;
  };
  const pending = (life: Life): ClaimRecord[] => [...life.aggregator.pendingClaims()].filter(({ rivals }) => rivals.length > 0);
  const claimOf = (sequence: number, fields: Partial<Claim> = {}): Claim => ({
    stream: DERBY,
    session: 's',
    sequence,
    attempt: 1,
    clamped: 0,
    rivals: ['us'],
    ...fields,
  });
  const verdictOf = (sequence: number, verdict: Verdict['verdict'], clamped = 0): Verdict => ({ stream: DERBY, session: 's', sequence, verdict, clamped });
  const judge = async (life: Life, claim: Claim): Promise<Verdict | null> => {
    let answer: Verdict | null = null;
    life.aggregator.hear({ kind: 'claim', claim, at: runtime.clock.now(), done: (verdict) => (answer = verdict) });
    await runtime.runFor(20);
    return answer;
  };

  it('[CLAIM-2] claims a batch in the commit that counts it, against the regions that it came by and that there are', async () => {
    const life = await begin();
    life.submit(1, { via: ['eu', 'mars', 'us', 'eu'] });
    life.submit(2, { via: ['mars'] });
    life.submit(3);
    await runtime.runFor(20);
    expect(life.replies).toEqual([counted(2), counted(2), counted(2)]);
    expect(life.commits).toHaveLength(1);
    expect(life.commits[0]!.claims).toMatchObject([{ session: 's', sequence: 1, attempt: 4, rivals: ['eu'], given: 0, reactions: [[HEART, 2]] }]);
    expect(life.commits[0]!.rows).toHaveLength(1);
  });

  it('[CLAIM-3] refuses for now what a viewer may not claim, or nobody, and counts nothing of it', async () => {
    const life = await begin();
    for (let sequence = 1; sequence <= 65; sequence++) life.submit(sequence, { via: ['eu'], viewer: 'greedy', session: `s${sequence}`, reactions: [[HEART, 1]] });
    await runtime.runFor(20);
    expect(life.replies.slice(0, 64).every(({ kind }) => kind === 'counted')).toBe(true);
    expect(life.replies[64]).toEqual(refused('overloaded'));
    expect(life.total()).toBe(64);
    life.submit(1, { via: ['eu'], viewer: 'other', session: 'other' });
    life.submit(65, { via: ['eu'], viewer: 'greedy', session: 's64' });
    await runtime.runFor(20);
    expect(life.replies.slice(65)).toEqual([counted(2), refused('overloaded')]);
    await runtime.runFor(2000);
    life.submit(65, { via: ['eu'], viewer: 'greedy', session: 's64' });
    await runtime.runFor(20);
    expect(life.replies[67]).toEqual(counted(2));
    const full = await begin({ claimsMax: 67 });
    full.submit(9, { via: ['eu'], session: 'z' });
    full.submit(9, { session: 'y' });
    await runtime.runFor(20);
    expect(full.replies).toMatchObject([{ kind: 'counted' }, { kind: 'counted' }]);
    full.submit(10, { via: ['eu'], session: 'z' });
    await runtime.runFor(20);
    expect(full.replies[2]).toEqual(refused('overloaded'));
  });

  it('[LOAD-8] gives each of those that find no room in a commit a turn of its own', async () => {
    const life = await begin({ claimsMax: 0 });
    for (let sequence = 1; sequence <= 20; sequence++) life.submit(sequence, { via: ['eu'] });
    await runtime.runFor(20);
    expect(life.replies).toEqual(Array.from({ length: 20 }, () => refused('overloaded')));
    expect(new Set(life.replies.map((reply) => reply.kind === 'refused' && reply.retryAfterMs)).size).toBeGreaterThan(10);
  });

  it('[CLAIM-4] tells a verdict only once what it rests on is durable', async () => {
    const life = await begin();
    life.store.hold();
    const heard: (Verdict | null)[] = [];
    life.submit(1);
    for (const sequence of [1, 2]) {
      life.aggregator.hear({ kind: 'claim', claim: claimOf(sequence), at: runtime.clock.now(), done: (verdict) => heard.push(verdict) });
    }
    await runtime.runFor(1000);
    expect(life.store.tried).toHaveLength(1);
    expect(heard).toEqual([]);
    life.store.release();
    await runtime.runFor(20);
    // What was judged is not counted any more, in whichever order they came.
    expect(heard).toEqual([verdictOf(1, 'keep'), verdictOf(2, 'keep')]);
    expect(life.replies).toEqual([counted(2, 0, true)]);
    expect(life.total()).toBe(0);
    const next = await begin();
    next.submit(2);
    await runtime.runFor(20);
    expect(next.replies).toEqual([counted(2, 0, true)]);
  });

  it('[CLAIM-1] answers claims by attempts, and gives back each tap once', async () => {
    const life = await begin();
    life.submit(1, { reactions: [[HEART, 210]] });
    life.submit(2, { via: ['eu', 'ap'], viewer: 'w' });
    await runtime.runFor(20);
    expect(await judge(life, claimOf(1))).toEqual(verdictOf(1, 'counted', 10));
    expect(await judge(life, claimOf(1, { attempt: 8 }))).toEqual(verdictOf(1, 'counted', 10));
    expect(await judge(life, claimOf(2, { attempt: 1 }))).toEqual(verdictOf(2, 'keep'));
    expect(await judge(life, claimOf(2, { attempt: 3 }))).toEqual(verdictOf(2, 'counted'));
    life.submit(100);
    await runtime.runFor(1000);
    expect(await judge(life, claimOf(36))).toEqual(verdictOf(36, 'unknown'));
    const before = life.total();
    const hear = async (from: string, verdict: Verdict): Promise<number> => {
      life.aggregator.hear({ kind: 'verdict', from, verdict });
      await runtime.runFor(20);
      return before - life.total();
    };
    expect(await hear('us', verdictOf(2, 'counted'))).toBe(0);
    expect(await hear('eu', verdictOf(2, 'counted', 1))).toBe(1);
    expect(await hear('eu', verdictOf(2, 'counted'))).toBe(1);
    expect(await hear('ap', verdictOf(2, 'counted'))).toBe(2);
    expect(await hear('ap', verdictOf(2, 'counted'))).toBe(2);
    expect(pending(life)).toEqual([]);
  });

  it('[CLAIM-6] knows of each batch of a session whether it could know, also after it was asked for another one', async () => {
    const fresh = await begin();
    for (const sequence of [1, 2, 3]) expect(await judge(fresh, claimOf(sequence))).toEqual(verdictOf(sequence, 'keep'));
    // The own log knows of an earlier life, and its journal is gone.
    const life = new Life(runtime, new MemoryJournal(), PEERS);
    life.ledger.join({ stream: DERBY, actor: 'us/0/5' as never, sequence: 1, entries: [{ emoji: HEART, increments: 2, decrements: 0 }] });
    await runtime.settle(life.aggregator.start());
    for (const sequence of [1, 2, 3]) expect(await judge(life, claimOf(sequence))).toEqual(verdictOf(sequence, 'unknown'));
    life.submit(1, { session: 'other' });
    await runtime.runFor(20);
    expect(await judge(life, claimOf(2, { session: 'other' }))).toEqual({ ...verdictOf(2, 'keep'), session: 'other' });
  });

  it('[CLAIM-9] what a moderator took back is not given back, and what was given back is not taken back', async () => {
    const mute: Mute = { until: null, by: 'mod', reason: '', retractFrom: 0, at: 0, liftedAt: null };
    const muted = muting({ v: mute });
    for (const isMutedFirst of [true, false]) {
      journal = new MemoryJournal();
      const life = await begin();
      const retract = async (): Promise<void> => {
        life.policy = muted;
        life.aggregator.policyChanged(null);
        await runtime.runFor(50);
      };
      life.submit(1, { via: ['eu'], reactions: [[HEART, 5]] });
      life.submit(2, { reactions: [[HEART, 4]] });
      await runtime.runFor(20);
      if (isMutedFirst) await retract();
      life.aggregator.hear({ kind: 'verdict', from: 'eu', verdict: verdictOf(1, 'counted') });
      await runtime.runFor(20);
      expect(life.total()).toBe(isMutedFirst ? 0 : 4);
      if (!isMutedFirst) await retract();
      expect(life.total()).toBe(0);
      const decrements = life.commits.flatMap(({ corrections }) => corrections).reduce((most, one) => Math.max(most, one.decrements), 0);
      expect(decrements).toBe(9);
    }
  });

  it('[CLAIM-10] what is pending outlives the journal by which it came, and a day ends it', async () => {
    const life = await begin();
    life.submit(1, { via: ['eu'] });
    await runtime.runFor(3 * COMMIT_RETENTION_MS);
    const next = await begin();
    expect(pending(next)).toMatchObject([{ sequence: 1, rivals: ['eu'] }]);
    next.aggregator.hear({ kind: 'verdict', from: 'eu', verdict: verdictOf(1, 'counted') });
    next.submit(2, { via: ['eu'] });
    await runtime.runFor(20);
    expect(next.aggregator.stats['tapsGivenBack']).toBe(2);
    await runtime.runFor(23 * HOUR_MS);
    expect(pending(next)).toHaveLength(1);
    await runtime.runFor(2 * HOUR_MS);
    expect(pending(next)).toEqual([]);
    expect(next.aggregator.stats['claimsExpired']).toBe(1);
    const last = await begin();
    expect(pending(last)).toEqual([]);
  });

  it('[CLAIM-8] refuses work while it is not running', async () => {
    const life = new Life(runtime, journal, PEERS);
    const work: ClaimWork = { kind: 'verdict', from: 'eu', verdict: verdictOf(1, 'keep') };
    expect(life.aggregator.hear(work)).toBe(false);
    await runtime.settle(life.aggregator.start());
    expect(life.aggregator.hear(work)).toBe(true);
    life.submit(1);
    expect(refused('overloaded')).toBeDefined();
    await runtime.settle(life.aggregator.stop());
    expect(life.aggregator.hear(work)).toBe(false);
  });
});

const COUNTED_AT = 1_795_000_000_000;
const SETTLED: ClaimRecord = { stream: DERBY, session: 's', sequence: 1, viewer: 'v', device: null, at: COUNTED_AT, attempt: 1, reactions: [[HEART, 2]], clamped: 0, page: '0.1.1', rivals: [], given: 2 };
const verdictOn = (sequence: number): Verdict => ({ stream: DERBY, session: 's', sequence, verdict: 'counted', clamped: 0 });

describe('the claims of a shard', () => {
  it('[CLAIM-1] are joined from any superset of what was said of them, in any order, also after the life has begun', () => {
    const answers = fc.shuffledSubarray(['eu', 'ap', 'sa']);
    fc.assert(
      fc.property(answers, fc.array(fc.nat({ max: 3 }), { maxLength: 8 }), fc.nat({ max: 12 }), fc.infiniteStream(fc.nat()), (answered, more, beginAt, ranks) => {
        const said: ClaimRecord[] = [{ ...SETTLED, rivals: ['eu', 'ap', 'sa'], given: 0 }];
        for (const from of answered) said.push({ ...said.at(-1)!, rivals: said.at(-1)!.rivals.filter((rival) => rival !== from), given: said.length });
        const heard = [...said, ...more.map((index) => said[index % said.length]!)].map((record) => ({ record, rank: ranks.next().value! }));
        const claims = new Claims({ peers: ['eu', 'ap', 'sa'], claimsMax: 9 }, 1);
        for (const [index, { record }] of heard.sort((a, b) => a.rank - b.rank).entries()) {
          if (index === beginAt % heard.length) claims.begin(0, 2);
          claims.join(record);
        }
        claims.joined();
        claims.join(said[0]!);
        expect([...claims.records()]).toEqual([said.at(-1)]);
        expect(claims.size).toBe(answered.length < 3 ? 1 : 0);
      }),
    );
  });

  it('[CLAIM-3] are remembered up to a bound once they are settled, the latest of them', () => {
    const claims = new Claims({ peers: ['eu'], claimsMax: 3 }, 1);
    for (let sequence = 1; sequence <= 5; sequence++) claims.join({ ...SETTLED, sequence });
    for (let sequence = 1; sequence <= 5; sequence++) claims.join({ ...SETTLED, sequence, rivals: ['eu'] });
    claims.joined();
    const sequences = (): number[] => Array.from(claims.records(), ({ sequence }) => sequence);
    expect(sequences()).toEqual([3, 4, 5]);
    for (const sequence of [6, 7]) {
      claims.add({ ...SETTLED, sequence, rivals: ['eu'] }, COUNTED_AT);
      claims.answer('eu', verdictOn(sequence), COUNTED_AT, () => 2);
    }
    expect(sequences()).toEqual([5, 6, 7]);
    expect(claims.size).toBe(0);
    expect(claims.stats).toMatchObject({ claimsForgottenEarly: 4, claimsSettled: 2, tapsGivenBack: 4 });
  });

  const LIMITS = { streamsMax: 10, sessionsMax: 100_000, bucketsMax: 100_000, peers: ['eu'] };
  const batch = { stream: DERBY, viewer: 'mover', device: null, address: null, session: 's', reactions: [[HEART, 2]] as const };

  it('[CLAIM-9] are given back also of taps that were not noted', () => {
    const state = emptyState(LIMITS, 1);
    const claims = [{ ...SETTLED, rivals: ['eu'], given: 0 }];
    restore(state, { actor: 'us/0/1' as never, sequence: 1, at: COUNTED_AT, rows: [], sessions: [], contributions: [], corrections: [], claims, windowsStoredBefore: 0 }, () => true, COUNTED_AT);
    restored(state);
    settle(state, 'eu', verdictOn(1), COUNTED_AT + 10);
    expect(takeChanges(state)).toMatchObject({ rows: [{ entries: [{ decrements: 2 }] }], corrections: [{ decrements: 2 }], claims: [{ given: 2, rivals: [] }] });
    expect(state.claims.stats.tapsGivenBack).toBe(2);
  });

  it('[CLAIM-1] are settled a bounded part at a time where many tapped in the second of which something is given back', () => {
    const state = emptyState(LIMITS, 1);
    for (let viewer = 0; viewer < 25_000; viewer++) step(state, { ...batch, viewer: `v${viewer}`, session: `s${viewer}`, sequence: 1 }, DEFAULT_POLICY, COUNTED_AT);
    const works = new ClaimWorks();
    for (let sequence = 1; sequence <= 20; sequence++) {
      step(state, { ...batch, sequence, via: ['eu'] }, DEFAULT_POLICY, COUNTED_AT);
      works.put({ kind: 'verdict', from: 'eu', verdict: verdictOn(sequence) });
    }
    works.work(state, COUNTED_AT, Infinity);
    expect(works.size).toBeGreaterThan(8);
    for (let commit = 0; commit < 3; commit++) works.work(state, COUNTED_AT, Infinity);
    expect(works.size).toBe(0);
    expect(state.claims.stats.tapsGivenBack).toBe(40);
  });
});

/** Desks of one region, one after the other, over what they left in its log. */
function desks() {
  const asked: Claim[] = [];
  const log = new Map<string, Uint8Array>();
  const room = { isFull: false };
  const answer: { verdict: Verdict['verdict'] } = { verdict: 'counted' };
  const runtime = createSimulatedRuntime(1);
  const heardAt = new Map<string, number>();
  const page = { at: 5, claims: [{ stream: DERBY, session: 's', sequence: 1, attempt: 1, clamped: 0, rivals: ['us'] }] };
  const open = (): ClaimsDesk => {
    const desk: ClaimsDesk = new ClaimsDesk({
      region: 'us',
      shardFor: () => ({
        hear(work) {
          if (work.kind !== 'claim') return true;
          asked.push(work.claim);
          work.done({ stream: DERBY, session: 's', sequence: work.claim.sequence, ...answer, clamped: 0 });
          return true;
        },
      }),
      shards: () => [],
      markDocument(key) {
        const bytes = desk.kinds.find(({ kind }) => key.startsWith(`${kind}.`))!.read(key);
        if (room.isFull && bytes !== null) return true;
        return bytes === null ? log.delete(key) : log.set(key, bytes) !== undefined;
      },
      lacksDocument: (key) => !log.has(key),
      heardAt: (peer) => heardAt.get(peer) ?? null,
      runtime,
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    for (const [key, bytes] of log) if (key.startsWith('verdicts.')) desk.kinds[1]!.receive('us', key, bytes);
    desk.start();
    return desk;
  };
  const hear = (desk: ClaimsDesk, claims: readonly Claim[] | null): void =>
    desk.kinds[0]!.receive('eu', 'claims.0.1.1', claims && encodeClaims({ ...page, claims }));
  return { asked, log, room, answer, runtime, heardAt, page, open, hear };
}

describe('the desk', () => {
  it('[CLAIM-5] a verdict that was given stays, over restarts and whatever is asked again, until the page is gone', () => {
    const { asked, log, answer, page, open, hear } = desks();
    const first = open();
    hear(first, page.claims);
    expect(asked).toHaveLength(1);
    answer.verdict = 'unknown';
    const second = open();
    for (let again = 0; again < 3; again++) hear(second, page.claims);
    hear(second, [...page.claims, { ...page.claims[0]!, sequence: 2 }]);
    expect(asked.map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect([...log].flatMap(([, bytes]) => decodeVerdicts(bytes)).map(({ verdict }) => verdict)).toEqual(['counted', 'unknown']);
    hear(second, null);
    expect(log.size).toBe(0);
  });

  it('[CLAIM-5] a verdict on a page that went while nobody was there goes as soon as its claimant has said which pages it has', async () => {
    const { runtime, heardAt, log, open, hear, page } = desks();
    const first = open();
    hear(first, page.claims);
    open();
    const startedAt = runtime.clock.now();
    heardAt.set('eu', startedAt);
    await runtime.runFor(2_000);
    expect(log.size).toBe(1);
    heardAt.set('eu', startedAt + 1_000);
    await runtime.runFor(1_000);
    expect(log.size).toBe(0);
  });
});

describe('the desk over a log that is full', () => {
  it('[CLAIM-2] [CLAIM-5] offers pages and verdicts again that the log did not take', async () => {
    const { runtime, log, room, open, hear, page } = desks();
    const desk = open();
    room.isFull = true;
    hear(desk, page.claims);
    desk.committed({ actor: 'us/0/1' as never, sequence: 1, at: 1, rows: [], sessions: [], contributions: [], corrections: [], claims: [{ ...SETTLED, rivals: ['eu'], given: 0 }], windowsStoredBefore: 0 });
    await runtime.runFor(3_000);
    expect(log.size).toBe(0);
    room.isFull = false;
    await runtime.runFor(1_000);
    expect([...log.keys()].sort()).toEqual(['claims.0.1.1', 'verdicts.eu.0.1.1']);
  });
});

describe('how far back sessions are remembered', () => {
  const NOW = 10 * HOUR_MS;
  const MINUTE_MS = 60_000;

  it('[CLAIM-6] up to five minutes before each peer was heard, an hour at most, in a new life all of it', () => {
    expect(sessionsHeldFrom(NOW, 0, [])).toBe(Infinity);
    expect(sessionsHeldFrom(NOW, 0, [NOW, NOW - MINUTE_MS])).toBe(NOW - 6 * MINUTE_MS);
    expect(sessionsHeldFrom(NOW, 0, [NOW, NOW - 30 * MINUTE_MS])).toBe(NOW - 35 * MINUTE_MS);
    expect(sessionsHeldFrom(NOW, 0, [NOW, NOW - 3 * HOUR_MS])).toBe(NOW - HOUR_MS);
    expect(sessionsHeldFrom(NOW, 0, [NOW, null])).toBe(NOW - HOUR_MS);
    expect(sessionsHeldFrom(NOW, NOW - MINUTE_MS, [NOW, null])).toBe(0);
    expect(sessionsHeldFrom(NOW, NOW - MINUTE_MS, [NOW - 3 * HOUR_MS])).toBe(NOW - 3 * HOUR_MS - 5 * MINUTE_MS);
    const memory = { now: NOW, startedAt: NOW - HOUR_MS, recoveredUntil: NOW - HOUR_MS, heldFrom: NOW - 6 * MINUTE_MS };
    expect(forgettableBefore(memory)).toBe(NOW - 10 * MINUTE_MS);
    expect(forgettableBefore({ ...memory, heldFrom: NOW - 30 * MINUTE_MS })).toBe(NOW - 30 * MINUTE_MS);
    // In its first minutes a life keeps all that earlier ones left, but for an hour of it at most.
    const young = { ...memory, startedAt: NOW - MINUTE_MS };
    expect(forgettableBefore({ ...young, recoveredUntil: NOW - 5 * MINUTE_MS })).toBe(NOW - 5 * MINUTE_MS - HOUR_MS);
    expect(forgettableBefore({ ...young, recoveredUntil: -Infinity })).toBe(-Infinity);
    expect(forgettableBefore({ ...young, recoveredUntil: NOW + 9 * HOUR_MS })).toBe(NOW - MINUTE_MS);
  });
});
