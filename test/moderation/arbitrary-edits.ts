/** Whatever moderators may do to a policy document, as generated edits. */

import * as fc from 'fast-check';
import type * as Y from 'yjs';
import type { LimitScope } from '../../src/moderation/policy-content.ts';
import { endStream, lift, mute, retract, revoke, setEmoji, setLevel, setLimit, setSpread, setState } from '../../src/moderation/policy-doc.ts';

export type Edit = (doc: Y.Doc) => unknown;

const time = fc.integer({ min: 0, max: 1_000 });
const decision = fc.record({ by: fc.constantFrom('ada', 'bob'), at: time });
const subject = fc.record({ kind: fc.constantFrom('viewer' as const, 'device' as const), id: fc.constantFrom('ann', 'bot', 'c:d') });
const timeOrNull = fc.option(time, { nil: null });
const scope = fc.constantFrom<LimitScope>('viewer', 'device', 'address');
const rate = fc.integer({ min: 1, max: 100 });
const emoji = fc.constantFrom('heart', 'fire', 'star', 'moon');
const entry = fc.record(
  { glyph: fc.constantFrom('x', '⭐', '<b>'), enabled: fc.boolean(), order: fc.integer({ min: -3, max: 3 }) },
  { requiredKeys: [] },
);

export const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(subject, decision, timeOrNull, timeOrNull).map(([who, by, until, retractFrom]): Edit => (doc) => mute(doc, who, { ...by, until, retractFrom })),
  fc.tuple(subject, decision).map(([who, by]): Edit => (doc) => lift(doc, who, by)),
  fc.tuple(subject, decision, time).map(([who, by, from]): Edit => (doc) => retract(doc, who, { ...by, from })),
  fc.tuple(emoji, fc.option(entry, { nil: null })).map(([id, fields]): Edit => (doc) => setEmoji(doc, id, fields)),
  fc.tuple(scope, fc.option(fc.record({ tapsPerSecondMax: rate, tapBurstMax: rate }, { requiredKeys: [] }), { nil: null }))
    .map(([which, fields]): Edit => (doc) => setLimit(doc, which, fields)),
  fc.tuple(fc.constantFrom('live' as const, 'draining' as const), decision).map(([state, by]): Edit => (doc) => setState(doc, state, by)),
  fc.tuple(fc.constantFrom('exact' as const, 'hearts' as const, null), decision).map(([level, by]): Edit => (doc) => setLevel(doc, level, by)),
  fc.tuple(fc.integer({ min: 1, max: 256 }), decision).map(([spread, by]): Edit => (doc) => setSpread(doc, spread, by)),
  fc.tuple(fc.constantFrom('ada', 'bob'), time, decision).map(([sub, before, by]): Edit => (doc) => revoke(doc, sub, before, by)),
  decision.map((by): Edit => (doc) => endStream(doc, by)),
);

export const edits: fc.Arbitrary<Edit[]> = fc.array(edit, { maxLength: 12 });
