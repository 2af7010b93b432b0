import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { StreamId } from '../../crdt/ids.ts';
import { recordKeyOf, subjectOfRecord, type MuteSubject } from '../../src/moderation/mutes.ts';
import { EMPTY_CONTENT, MUTES_MAX, derivePolicy } from '../../src/moderation/policy-content.ts';
import { contentOf, lift, mute, retract } from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE, isInForce, takenBackBy, type Mute, type Policy, type Retraction } from '../../src/moderation/policy.ts';

const ANN: MuteSubject = { kind: 'viewer', id: 'ann' };
const BOT: MuteSubject = { kind: 'device', id: 'c:d' };
const TIME_MAX = 40;

/** What was decided, whoever knows of it. */
interface Decided extends Pick<Mute, 'until' | 'retractFrom' | 'at'> {
  readonly subject: MuteSubject;
  /** The times at which somebody lifted it. */
  readonly liftedAt: Set<number>;
}

/** A moderator's page: its document, and what is known there, said as plainly as possible. */
class Page {
  readonly doc = new Y.Doc();
  readonly known = new Set<Decided>();
  readonly lifted = new Set<Decided>();

  inForce(subject: MuteSubject, now: number): Decided[] {
    return [...this.known].filter((one) => one.subject === subject && !this.lifted.has(one) && now < (one.until ?? Infinity));
  }

  learn(other: Page): void {
    Y.applyUpdate(this.doc, Y.encodeStateAsUpdate(other.doc));
    for (const one of other.known) this.known.add(one);
    for (const one of other.lifted) this.lifted.add(one);
  }
}

function policyOf(doc: Y.Doc): Policy {
  return derivePolicy(DEFAULT_BASE, EMPTY_CONTENT, contentOf(doc).content, 'derby' as StreamId);
}

function muteOf({ mutedViewers, mutedDevices }: Policy, { kind, id }: MuteSubject): Mute | undefined {
  return (kind === 'viewer' ? mutedViewers : mutedDevices).get(id);
}

const page = fc.nat(2);
const subject = fc.constantFrom(ANN, BOT);
const time = fc.integer({ min: 0, max: TIME_MAX });
const timeOrNull = fc.option(time, { nil: null });
const arbitraryStep = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('mute' as const), page, subject, at: time, until: timeOrNull, retractFrom: timeOrNull }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('retract' as const), page, subject, at: time, from: time }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('lift' as const), page, subject, at: time }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('learn' as const), page, from: page }) },
);

describe('mutes', () => {
  it('[MOD-3] [MOD-23] what is decided of one at the same time holds together: nothing that is taken back is lost by a merge, and a lift ends what was known', () => {
    fc.assert(
      fc.property(fc.array(arbitraryStep, { maxLength: 30, size: 'max' }), fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (steps, order) => {
        const pages = [new Page(), new Page(), new Page()];
        const decided: Decided[] = [];
        const add = (at: Page, one: Omit<Decided, 'liftedAt'>): void => {
          decided.push({ ...one, liftedAt: new Set() });
          at.known.add(decided.at(-1)!);
        };
        for (const step of steps) {
          const at = pages[step.page]!;
          if (step.kind === 'learn') at.learn(pages[step.from]!);
          else if (step.kind === 'mute') {
            mute(at.doc, step.subject, { ...step, by: 'ada' });
            add(at, step);
          } else if (step.kind === 'retract') {
            const ends = at.inForce(step.subject, step.at).map(({ until }) => until ?? Infinity);
            const until = ends.length === 0 ? step.at : Math.max(...ends);
            retract(at.doc, step.subject, { ...step, by: 'ada' });
            add(at, { subject: step.subject, at: step.at, until: until === Infinity ? null : until, retractFrom: step.from });
          } else {
            const held = at.inForce(step.subject, step.at);
            expect(lift(at.doc, step.subject, { by: 'ada', at: step.at })).toBe(held.length > 0);
            for (const one of held) {
              one.liftedAt.add(Math.max(step.at, one.at));
              at.lifted.add(one);
            }
          }
        }
        const merged = order.map((first) => {
          const doc = new Y.Doc();
          for (let next = 0; next < 3; next++) Y.applyUpdate(doc, Y.encodeStateAsUpdate(pages[(first + next) % 3]!.doc));
          return doc;
        });
        const [policy, ...others] = merged.map(policyOf) as [Policy, ...Policy[]];
        for (const other of others) expect(other).toEqual(policy);
        expect(contentOf(merged[0]!).problems).toEqual([]);
        for (const who of [ANN, BOT]) {
          const held = muteOf(policy, who);
          for (let now = 0; now <= TIME_MAX; now++) {
            const isMuted = decided.some((one) => one.subject === who && one.liftedAt.size === 0 && now < (one.until ?? Infinity));
            expect(held !== undefined && isInForce(held, now)).toBe(isMuted);
          }
        }
        expectTakenBack(policy.retractions, decided);
      }),
      { numRuns: 300 },
    );
  });

  /** Each retraction stands for a decision and each decision that takes back has one, up to its end or up to when it was lifted. */
  function expectTakenBack(retractions: readonly Retraction[], decided: readonly Decided[]): void {
    const left = [...retractions];
    for (const { subject: who, at, until, retractFrom, liftedAt } of decided) {
      const ends = (liftedAt.size === 0 ? [Infinity] : [...liftedAt]).map((end) => Math.min(end, until ?? Infinity));
      const found = left.findIndex(({ kind, id, from, to }) => kind === who.kind && id === who.id && from === retractFrom && ends.includes(to));
      if (found >= 0) left.splice(found, 1);
      // What had been counted when it was decided is taken back, whoever lifts it, and by whatever clock.
      else expect(retractFrom === null || retractFrom >= Math.min(at, until ?? Infinity) || ends.some((end) => retractFrom >= end)).toBe(true);
    }
    expect(left).toEqual([]);
  }

  it('[MOD-23] two moderators on both sides of a cut mute the same, one to take back and one not: whoever merges first, it is taken back', () => {
    for (const [first, second] of [[1, 2], [2, 1]] as const) {
      const [ada, bob] = [new Y.Doc(), new Y.Doc()];
      [ada.clientID, bob.clientID] = [first, second];
      mute(ada, ANN, { by: 'ada', at: 100, until: 200, retractFrom: 50 });
      mute(bob, ANN, { by: 'bob', at: 100 });
      expect(lift(ada, ANN, { by: 'ada', at: 150 })).toBe(true);
      Y.applyUpdate(ada, Y.encodeStateAsUpdate(bob));
      Y.applyUpdate(bob, Y.encodeStateAsUpdate(ada));
      expect(policyOf(ada)).toEqual(policyOf(bob));
      expect(policyOf(ada).retractions).toEqual([{ ...ANN, from: 50, to: 150 }]);
      expect(policyOf(ada).mutedViewers.get('ann')).toMatchObject({ by: 'bob', until: null, liftedAt: null });
      expect(lift(bob, ANN, { by: 'bob', at: 160 })).toBe(true);
      expect(isInForce(policyOf(bob).mutedViewers.get('ann')!, 161)).toBe(false);
    }
  });

  it('[MOD-23] a mute of all streams and one of a stream hold together, whichever ends first', () => {
    const [all, one] = [new Y.Doc(), new Y.Doc()];
    const both = (): Policy => derivePolicy(DEFAULT_BASE, contentOf(all).content, contentOf(one).content, 'derby' as StreamId);
    mute(all, ANN, { by: 'ada', at: 100, retractFrom: 90 });
    mute(one, ANN, { by: 'bob', at: 110, until: 200, retractFrom: 80 });
    expect(both().mutedViewers.get('ann')).toMatchObject({ by: 'ada', until: null });
    expect(both().retractions).toEqual([{ ...ANN, from: 80, to: 200 }, { ...ANN, from: 90, to: Infinity }]);
    lift(all, ANN, { by: 'ada', at: 120 });
    expect(both().mutedViewers.get('ann')).toMatchObject({ by: 'bob', until: 200 });
    expect(Object.isFrozen(both().retractions) && both().retractions.every((each) => Object.isFrozen(each))).toBe(true);
  });

  it('[MOD-4] a lift by a clock that is behind does not undo what the mute took back', () => {
    const doc = new Y.Doc();
    mute(doc, ANN, { by: 'ada', at: 100, retractFrom: 50 });
    lift(doc, ANN, { by: 'bob', at: 20 });
    expect(takenBackBy(policyOf(doc).mutedViewers.get('ann')!)).toEqual({ from: 50, to: 100 });
  });

  it('[MOD-23] a record has a key of its own, also of one client at one time', () => {
    const doc = new Y.Doc();
    doc.clientID = 2 ** 32 - 1;
    for (let decision = 0; decision < 3; decision++) mute(doc, BOT, { by: 'ada', at: 1_700_000_000_000.5, retractFrom: decision });
    mute(doc, ANN, { by: 'ada', at: 1_700_000_000_000 });
    expect([...doc.getMap('mutes').keys()]).toEqual(['1z141z3loyw3v28:device:c:d', '1z141z3loyw3v29:device:c:d', '1z141z3loyw3v2a:device:c:d', '1z141z3loyw3v28:viewer:ann']);
    expect(policyOf(doc).retractions.map(({ from }) => from).sort()).toEqual([0, 1, 2]);
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1), fc.nat(10 ** 13), fc.nat(10 ** 13), (client, other, at, later) => {
        const [key, its] = [recordKeyOf(BOT, client, at, () => false), recordKeyOf(BOT, other, later, () => false)];
        expect(subjectOfRecord(key)).toEqual(BOT);
        expect(key === its).toBe(client === other && at === later);
      }),
    );
    for (const key of ['viewer:ann', ':viewer:ann', 'D:viewer:ann', 'd:viewer:', 'd:galaxy:ann', `${'d'.repeat(33)}:viewer:ann`, 'd:viewer:a b', 'd d:viewer:a']) expect(subjectOfRecord(key)).toBeNull();
  });

  it('[MOD-2] hears as many decisions as there may be in little time', () => {
    const doc = new Y.Doc();
    for (let index = 0; index < MUTES_MAX + 2; index++) doc.getMap('mutes').set(`d${index}:viewer:ann`, { at: index, retractFrom: index, until: index + 1 });
    const { content, problems } = contentOf(doc);
    expect(content.muteRecords).toHaveLength(MUTES_MAX);
    expect(content.retractions).toHaveLength(MUTES_MAX);
    expect([...content.mutes.values()]).toMatchObject([{ until: MUTES_MAX + 2 }]);
    expect(problems.map(({ path }) => path)).toEqual(['mutes/d1:viewer:ann', 'mutes/d0:viewer:ann']);
  });
});
