/** The judges of a hostile run: each fault that they are there to find, and none where there is none. */

import { decode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { AnswerBooks, joined, type Said } from './answer-books.ts';
import { discrepancies, policyProblems, type PolicyAnswer } from './aftermath.ts';
import { isFault } from './attack.ts';
import { hostileMsgpack, nested } from './mutations.ts';
import { SaidOnSocket, enterPost } from './said.ts';

const hearts = (taps: number, session: string | null = 'a-1', seq = 1): Said => ({ session, seq, reactions: [['heart', taps]] });
const counts = (accepted: number) => ({ accepted, duplicate: false });
const again = (accepted: number) => ({ accepted, duplicate: true });

it.each([
  ['http 500', true],
  ['http 501', true],
  ['http 503', false],
  ['http 400', false],
  ['http cut', true],
  ['http silent', true],
  ['socket cut', true],
  ['socket 1011', true],
  ['socket 4400', false],
  ['socket open', false],
  ['left waiting', false],
])('[EDGE-80] of an answer %s is a fault: %s', (answer, expected) => {
  expect(isFault(answer)).toBe(expected);
});

describe('books', () => {
  let now = 0;
  const books = (): AnswerBooks => new AnswerBooks('a-', () => now);

  it('[EDGE-80] know what was told that it counts, the first taps of each batch, and resends once', () => {
    const ours = books();
    ours.answered({ session: 'a-1', seq: 1, reactions: [['heart', 3], ['fire', 2]] }, counts(4));
    ours.answered(hearts(9), again(9));
    ours.answered(hearts(1, null, 0), counts(1));
    ours.answered(hearts(1, null, 0), counts(1));
    expect(ours.close()).toEqual({ least: { heart: 5, fire: 1 }, most: { heart: 5, fire: 1 }, faults: [] });
  });

  it('[EDGE-80] find what was counted twice, unless it was long ago, and what is no batch', () => {
    const ours = books();
    ours.answered(hearts(1), counts(1));
    now += 300_001;
    ours.answered(hearts(1), counts(1));
    expect(ours.close().faults).toEqual([]);
    ours.answered(hearts(1), counts(1));
    ours.answered(null, counts(2));
    expect(ours.close().faults).toEqual(['batch 1 of session a-1 was counted twice', '2 taps were answered of what is no batch']);
  });

  it('[EDGE-80] ask for what was not answered, and leave open what cannot be asked for', () => {
    const ours = books();
    const [counted, lost, unknown, both, other] = [hearts(3, 'a-1'), hearts(4, 'a-2'), hearts(5, 'a-3'), hearts(6, 'a-4'), hearts(7, 'a-4')];
    for (const said of [counted, lost, unknown, both, other, hearts(8, 'b-1'), hearts(9, null)]) ours.unanswered(said);
    expect([ours.takeWaiting(2), ours.waiting]).toEqual([[counted, lost], 3]);
    ours.answered(counted, again(2));
    ours.answered(lost, counts(4));
    ours.answered(both, again(6));
    expect(ours.close()).toMatchObject({ least: { heart: 6 }, most: { heart: 6 + 5 + 6 + 7 + 8 + 9 } });
    // Another batch with its number was counted instead.
    ours.answered({ ...unknown }, counts(1));
    expect(ours.close()).toMatchObject({ least: { heart: 7 }, most: { heart: 7 + 6 + 7 + 8 + 9 } });
    expect(joined([ours.close(), ours.close()]).least).toEqual({ heart: 14 });
  });

  it('[EDGE-80] are kept of what is posted, and of what is said on a socket until it is not read any more', () => {
    const ours = books();
    const good = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'fire', count_since_last: 3, timestamp: 1, session_id: 'a-1', seq: 1 };
    const body = Buffer.from(JSON.stringify({ results: [{ seq: 1, ...counts(3), clamped: 0 }, { seq: null, problem: { type: 'urn:ovation:problem:invalid-batch' } }, { seq: 1, ...again(3) }] }));
    enterPost(ours, 'json', Buffer.from(JSON.stringify([good, 7, good])), { status: 202, body });
    enterPost(ours, 'msgpack', hostileMsgpack({ ...good, seq: 2 }), { status: 'silent', body: Buffer.alloc(0) });
    expect([ours.waiting, ours.close().least]).toEqual([1, { fire: 3 }]);
    const messages = [[1, 1, 1, 'heart', 1], [1, 2, 1, 'heart', 2], [0, 'a-3', 'ann'], [1, 3, 1, 'heart', 4]].map((fields) => ({ isBinary: true, payload: hostileMsgpack(fields) }));
    const said = new SaidOnSocket('msgpack', { session: 'a-2', viewer: 'ann' }, messages);
    said.hear(ours, Buffer.from(hostileMsgpack([3, 2, 2, 0, false])));
    said.end(ours);
    // The third is no hello, so that the fourth is not read.
    expect([ours.waiting, ours.close().least]).toEqual([2, { fire: 3, heart: 2 }]);
    expect(ours.takeWaiting(9).at(-1)).toEqual({ session: 'a-2', seq: 1, reactions: [['heart', 1]] });
  });
});

it('[EDGE-80] totals of more, of less and of what is no emoji are told', () => {
  expect(discrepancies('derby', { heart: 5, fire: 0 }, { heart: 4 }, { heart: 5 })).toEqual([]);
  expect(discrepancies('derby', { heart: 6 }, { heart: 5 }, { heart: 5 })).toEqual(['of derby 5 taps of heart were acknowledged, the totals say 6']);
  expect(discrepancies('derby', {}, { heart: 5 }, { heart: 6 })).toEqual(['of derby 5 to 6 taps of heart were acknowledged, the totals say 0']);
  expect(discrepancies('derby', { '>': 0 }, {}, {})).toEqual(['derby counts ">", which is no emoji of its palette']);
});

it('[EDGE-80] a policy that no region can act upon is told of', () => {
  const limit = { tapsPerSecondMax: 20, tapBurstMax: 200 };
  const mute = { kind: 'viewer', id: 'ann', until: null, by: 'ada', reason: '', retract_from: null, at: 1, lifted_at: null };
  const policy: PolicyAnswer = { palette: { star: '⭐' }, limits: { viewer: limit, device: limit, address: limit }, state: 'live', ended_at: null, level: null, spread: 1, mutes: [mute] };
  expect(policyProblems(policy)).toEqual([]);
  const wrong: Partial<PolicyAnswer>[] = [
    { palette: { 'a.b': '⭐' } }, { palette: { star: {} } }, { limits: { ...policy.limits, device: { ...limit, tapBurstMax: -1 } } }, { state: 'ended' }, { level: 'loud' }, { spread: 1.5 }, { mutes: [{ ...mute, id: '\0' }] }, { mutes: [{ ...mute, until: Number.NaN }] },
  ];
  for (const change of wrong) expect(policyProblems({ ...policy, ...change })).toHaveLength(1);
});

it('[EDGE-80] msgpack keeps what encoders refuse: depth, 64 bits, −0 and a key __proto__', () => {
  expect(hostileMsgpack([nested(60_000, true)])).toHaveLength(60_001);
  expect(() => decode(hostileMsgpack(JSON.parse('{"__proto__":1}')))).toThrow(/__proto__/);
  expect(decode(hostileMsgpack([2n ** 64n - 1n, -(2n ** 63n)]), { useBigInt64: true })).toEqual([2n ** 64n - 1n, -(2n ** 63n)]);
  expect(decode(hostileMsgpack({ a: [-0, 1.5, 'x', null], b: Array.from({ length: 20 }, () => true) }))).toEqual({ a: [-0, 1.5, 'x', null], b: Array.from({ length: 20 }, () => true) });
});
