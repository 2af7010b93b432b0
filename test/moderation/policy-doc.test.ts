import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { EMPTY_CONTENT, MUTES_MAX, SECTIONS, derivePolicy, readContent, subjectOfDocument, type Section } from '../../src/moderation/policy-content.ts';
import {
  InvalidEdit,
  contentOf,
  endStream,
  lift,
  mute,
  rawContentOf,
  retract,
  revoke,
  setEmoji,
  setLevel,
  setLimit,
  setSpread,
  setState,
} from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE, DEFAULT_POLICY, PALETTE_MAX, isGlyph, isInForce, isRate, takenBackBy, type Policy } from '../../src/moderation/policy.ts';
import { edits } from './arbitrary-edits.ts';

const DERBY = 'derby' as StreamId;
const ADA = { by: 'ada', at: 1_000_000 };
const ANN = { kind: 'viewer', id: 'ann' } as const;

function policyOf(doc: Y.Doc, all = new Y.Doc()): Policy {
  return derivePolicy(DEFAULT_BASE, contentOf(all).content, contentOf(doc).content, DERBY);
}

function docOf(...updates: readonly Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}

/** Everything that the hot path relies on. */
function expectSound(policy: Policy): void {
  expect(Object.isFrozen(policy) && Object.isFrozen(policy.limits) && Object.isFrozen(policy.retractions)).toBe(true);
  for (const { from, to } of policy.retractions) expect(from < to).toBe(true);
  expect(policy.palette.size).toBeLessThanOrEqual(PALETTE_MAX);
  for (const glyph of policy.palette.values()) expect(isGlyph(glyph)).toBe(true);
  for (const limit of Object.values(policy.limits)) expect(isRate(limit.tapsPerSecondMax) && isRate(limit.tapBurstMax)).toBe(true);
  for (const { until, at, liftedAt, retractFrom, by, reason } of [...policy.mutedViewers.values(), ...policy.mutedDevices.values()]) {
    expect(Number.isFinite(at)).toBe(true);
    for (const time of [until, liftedAt, retractFrom]) expect(time === null || Number.isFinite(time)).toBe(true);
    expect([typeof by, typeof reason]).toEqual(['string', 'string']);
  }
  expect(policy.state === 'ended').toBe(policy.endedAt !== null);
  expect(Number.isInteger(policy.spread)).toBe(true);
}

describe('the policy document', () => {
  it('[MOD-3] is the same policy however its updates are merged: any order, doubled, in parts, across a partition', () => {
    fc.assert(
      fc.property(edits, edits, edits, fc.infiniteStream(fc.nat()), (first, left, right, random) => {
        const next = (): number => random.next().value as number;
        const shared = new Y.Doc();
        first.forEach((edit) => edit(shared));
        // Two moderators go on from the same document on both sides of a cut.
        const start = Y.encodeStateAsUpdate(shared);
        const sides = [left, right].map((editsOfSide) => {
          const doc = docOf(start);
          const updates: Uint8Array[] = [];
          doc.on('update', (update: Uint8Array) => void updates.push(update));
          editsOfSide.forEach((edit) => edit(doc));
          return { doc, updates };
        });
        const expected = policyOf(docOf(Y.encodeStateAsUpdate(sides[0]!.doc), Y.encodeStateAsUpdate(sides[1]!.doc)));
        const pieces = [start, ...sides.flatMap(({ updates }) => updates)];
        const shuffled = [...pieces, ...pieces.filter(() => next() % 3 === 0)]
          .map((piece) => [next(), piece] as const)
          .sort(([a], [b]) => a - b)
          .map(([, piece]) => piece);
        expect(policyOf(docOf(...shuffled))).toEqual(expected);
        expect(policyOf(docOf(Y.mergeUpdates(shuffled)))).toEqual(expected);
        expect([...policyOf(docOf(...shuffled)).palette]).toEqual([...expected.palette]);
        expectSound(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('[MOD-2] what is malformed is ignored and reported, and what stands beside it is heard', () => {
    const junk = fc.oneof(fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true }), fc.constant(Number.NaN));
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom('heart', 'viewer', 'viewer:ann', 'd1:viewer:ann', 'd2:viewer:ann', 'd1:device:', 'state', 'ended', 'level', 'spread', '__proto__', 'constructor'),
    );
    const field = fc.constantFrom('glyph', 'enabled', 'order', 'tapsPerSecondMax', 'tapBurstMax', 'until', 'by', 'reason', 'retractFrom', 'at', 'liftedAt', 'value', 'before', '__proto__');
    const value = fc.oneof(junk, fc.dictionary(field, junk));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...SECTIONS), name, value), { maxLength: 12 }), (writes) => {
        const raw = new Map<Section, Map<string, unknown>>(SECTIONS.map((section) => [section, new Map()]));
        for (const [section, key, written] of writes) raw.get(section)!.set(key, written);
        raw.get('palette')!.set('star', { glyph: '⭐' });
        raw.get('mutes')!.set('d1:viewer:bot', { until: null, by: 'ada', reason: '', retractFrom: 5, at: 9, liftedAt: null });
        const { content } = readContent(raw);
        const policy = derivePolicy(DEFAULT_BASE, content, content, DERBY);
        expectSound(policy);
        expect(policy.palette.get('star' as EmojiId)).toBe('⭐');
        expect(policy.mutedViewers.get('bot')).toMatchObject({ retractFrom: 5, at: 9 });
        expect(policy.retractions).toContainEqual({ kind: 'viewer', id: 'bot', from: 5, to: Infinity });
      }),
      { numRuns: 250 },
    );
  });

  it.each([
    ['palette', 'no id', { glyph: 'x' }, 'palette/no id'],
    ['palette', 'heart', { glyph: 7 }, 'palette/heart/glyph'],
    ['palette', 'heart', 'x', 'palette/heart'],
    ['palette', 'heart', { colour: 1 }, 'palette/heart/colour'],
    ['limits', 'galaxy', {}, 'limits/galaxy'],
    ['limits', 'viewer', { tapBurstMax: -1 }, 'limits/viewer/tapBurstMax'],
    ['mutes', 'ann', {}, 'mutes/ann'],
    ['mutes', 'viewer:ann', { at: 1, by: 'ada' }, 'mutes/viewer:ann'],
    ['mutes', 'd1:viewer:ann', { by: 'ada' }, 'mutes/d1:viewer:ann'],
    ['mutes', 'd1:viewer:ann', { at: 1, until: 'tomorrow' }, 'mutes/d1:viewer:ann/until'],
    ['mutes', 'd1:viewer:ann', { at: 1, retractFrom: -1 }, 'mutes/d1:viewer:ann/retractFrom'],
    ['stream', 'state', { value: 'asleep' }, 'stream/state/value'],
    ['stream', 'ended', {}, 'stream/ended'],
    ['stream', 'level', { value: 'low' }, 'stream/level/value'],
    ['stream', 'spread', { value: 1.5 }, 'stream/spread/value'],
    ['stream', 'colour', {}, 'stream/colour'],
    ['revoked', 'ann', {}, 'revoked/ann'],
    ['revoked', 'a b', { before: 1 }, 'revoked/a b'],
  ])('[MOD-2] reports %s %s %j at %s, and nothing follows from it', (section, key, value, path) => {
    const doc = new Y.Doc();
    doc.getMap(section).set(key, value);
    expect(contentOf(doc).problems.map((problem) => problem.path)).toEqual([path]);
    expect(policyOf(doc)).toEqual(DEFAULT_POLICY);
  });

  it('[MOD-2] hears the latest mutes of too many, and says which it does not hear', () => {
    const mutes = new Map(Array.from({ length: MUTES_MAX + 2 }, (_, index) => [`d1:viewer:v${index}`, { at: index, by: 'ada' }]));
    const { content, problems } = readContent(new Map([['mutes', mutes]]));
    expect(content.mutes.size).toBe(MUTES_MAX);
    expect(problems.map(({ path }) => path)).toEqual(['mutes/d1:viewer:v1', 'mutes/d1:viewer:v0']);
  });

  it('[MOD-3] the stream wins over all streams, and these over the file, field by field', () => {
    const [all, one] = [new Y.Doc(), new Y.Doc()];
    setLimit(all, 'viewer', { tapBurstMax: 9, tapsPerSecondMax: 3 });
    setLimit(one, 'viewer', { tapBurstMax: 7 });
    setEmoji(all, 'fire', { enabled: false });
    setEmoji(all, 'heart', { glyph: '💜' });
    setEmoji(one, 'heart', { order: 99 });
    setEmoji(one, 'star', { glyph: '⭐', order: -1 });
    setLevel(all, 'hearts', ADA);
    setState(all, 'draining', ADA);
    setSpread(one, 4, ADA);
    mute(all, ANN, { ...ADA, reason: 'all' });
    mute(one, ANN, { ...ADA, reason: 'one' });
    mute(all, { kind: 'device', id: 'tv' }, ADA);
    const policy = policyOf(one, all);
    expect(policy.limits).toEqual({ ...DEFAULT_BASE.limits, viewer: { tapBurstMax: 7, tapsPerSecondMax: 3 } });
    expect([...policy.palette.keys()]).toEqual(['star', 'clap', 'laugh', 'wow', 'sad', 'heart']);
    expect(policy.palette.get('heart' as EmojiId)).toBe('💜');
    expect(policy).toMatchObject({ level: 'hearts', state: 'draining', spread: 4 });
    expect(policy.mutedViewers.get('ann')!.reason).toBe('one');
    expect([...policy.mutedDevices.keys()]).toEqual(['tv']);
    setLevel(one, null, ADA);
    setState(one, 'live', ADA);
    expect(policyOf(one, all)).toMatchObject({ level: null, state: 'live' });
  });

  it('[MOD-3] an end is final and of one stream only; of several edits of one key one is heard', () => {
    const [all, one] = [new Y.Doc(), new Y.Doc()];
    endStream(all, ADA);
    expect(policyOf(one, all).state).toBe('live');
    expect(endStream(one, ADA)).toBe(true);
    expect(endStream(one, { by: 'bob', at: 5 })).toBe(false);
    setState(one, 'live', ADA);
    expect(policyOf(one)).toMatchObject({ state: 'ended', endedAt: ADA.at });
  });

  it('[MOD-4] a mute is in force until it ends or is lifted, and takes back what was counted from a time to its end', () => {
    const doc = new Y.Doc();
    const held = (): NonNullable<ReturnType<Policy['mutedViewers']['get']>> => policyOf(doc).mutedViewers.get('ann')!;
    mute(doc, ANN, { by: 'ada', at: 100, until: 200, reason: 'bot', retractFrom: 50 });
    expect([99, 199, 200].map((now) => isInForce(held(), now))).toEqual([true, true, false]);
    expect(policyOf(doc).retractions).toEqual([{ ...ANN, from: 50, to: 200 }]);
    // Of what holds together the one that lasts longest is told, and what the older takes back stays so by itself.
    mute(doc, ANN, { by: 'bob', at: 110, retractFrom: 60 });
    mute(doc, ANN, { by: 'bob', at: 120, until: 130 });
    expect(held()).toEqual({ until: null, by: 'bob', reason: '', retractFrom: 60, at: 110, liftedAt: null });
    expect(policyOf(doc).retractions).toEqual([{ ...ANN, from: 60, to: Infinity }, { ...ANN, from: 50, to: 200 }]);
    expect(lift(doc, ANN, { by: 'bob', at: 150 })).toBe(true);
    expect(isInForce(held(), 151)).toBe(false);
    expect(policyOf(doc).retractions).toEqual([{ ...ANN, from: 60, to: 150 }, { ...ANN, from: 50, to: 150 }]);
    expect(lift(doc, ANN, { by: 'bob', at: 160 })).toBe(false);
    expect(lift(doc, { kind: 'device', id: 'ann' }, ADA)).toBe(false);
  });

  it('[MOD-4] a retraction without a mute takes back up to now and mutes nobody', () => {
    const doc = new Y.Doc();
    retract(doc, ANN, { by: 'ada', at: 100, from: 20 });
    const held = policyOf(doc).mutedViewers.get('ann')!;
    expect(isInForce(held, 100)).toBe(false);
    expect(takenBackBy(held)).toEqual({ from: 20, to: 100 });
    mute(doc, ANN, { by: 'ada', at: 200, until: 300, reason: 'bot' });
    retract(doc, ANN, { by: 'ada', at: 210, from: 120 });
    retract(doc, ANN, { by: 'ada', at: 220, from: 130, reason: 'bots' });
    expect(policyOf(doc).mutedViewers.get('ann')).toMatchObject({ until: 300, retractFrom: 130, at: 220, reason: 'bots', liftedAt: null });
    expect(contentOf(doc).content.muteRecords.map(({ mute: { reason } }) => reason)).toEqual(['bots', 'bot', 'bot', '']);
    expect(policyOf(doc).retractions.map(({ from, to }) => [from, to])).toEqual([[130, 300], [120, 300], [20, 100]]);
  });

  it('[MOD-5] an edit that no region would heed is refused and changes nothing', () => {
    const doc = new Y.Doc();
    const before = Y.encodeStateAsUpdate(doc);
    const bad: (() => unknown)[] = [
      () => mute(doc, { kind: 'viewer', id: '' }, ADA),
      () => mute(doc, ANN, { ...ADA, until: Number.NaN }),
      () => mute(doc, ANN, { ...ADA, reason: 'x'.repeat(281) }),
      () => mute(doc, ANN, { ...ADA, at: -1 }),
      () => retract(doc, ANN, { ...ADA, from: -1 }),
      () => setEmoji(doc, 'no id', { glyph: 'x' }),
      () => setEmoji(doc, 'heart', { glyph: '' }),
      () => setEmoji(doc, 'heart', { order: Infinity }),
      () => setLimit(doc, 'galaxy' as 'viewer', {}),
      () => setLimit(doc, 'viewer', { tapBurstMax: 0 }),
      () => setState(doc, 'ended' as 'live', ADA),
      () => setLevel(doc, 'low' as 'exact', ADA),
      () => setSpread(doc, 257, ADA),
      () => revoke(doc, 'a b', 1, ADA),
    ];
    for (const edit of bad) expect(edit).toThrow(InvalidEdit);
    expect(Y.encodeStateAsUpdate(doc)).toEqual(before);
  });

  it('[MOD-5] every edit through the functions is read back without a problem', () => {
    fc.assert(
      fc.property(edits, (writes) => {
        const doc = new Y.Doc();
        writes.forEach((edit) => edit(doc));
        expect(contentOf(doc).problems).toEqual([]);
        expect([...rawContentOf(doc).keys()]).toEqual([...SECTIONS]);
      }),
      { numRuns: 100 },
    );
  });

  it('[MOD-3] nothing written is the file alone; a document is named for its stream', () => {
    expect(derivePolicy(DEFAULT_BASE, EMPTY_CONTENT, EMPTY_CONTENT, DERBY)).toEqual(DEFAULT_POLICY);
    const over = derivePolicy({ ...DEFAULT_BASE, endedStreams: new Set(['derby']) }, EMPTY_CONTENT, EMPTY_CONTENT, DERBY);
    expect(over).toMatchObject({ state: 'ended', endedAt: 0 });
    expect(subjectOfDocument('global')).toEqual({ stream: null });
    expect(subjectOfDocument('stream.global')).toEqual({ stream: 'global' });
    expect(['stream.', 'stream.a b', 'stream.a.b', 'derby', 'stream.__proto__', ''].map(subjectOfDocument)).toEqual([null, null, null, null, null, null]);
  });
});
