import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { StreamId } from '../../crdt/ids.ts';
import { createControlPlane, type ControlPlane, type ControlPlaneParts, type RecordedChange } from '../../src/moderation/control-plane.ts';
import { DOCUMENT_BYTES_MAX, MERGED_BYTES_MAX } from '../../src/moderation/document-gate.ts';
import { documentOfLogKey, logKeyOf } from '../../src/moderation/policy-documents.ts';
import { endStream, lift, mute, revoke, setEmoji, setLevel } from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE, DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { edits, type Edit } from './arbitrary-edits.ts';

const DERBY = 'derby' as StreamId;
const DERBY_DOCUMENT = 'stream.derby';
const ADA = { by: 'ada', at: 1_000 };
const ANN = { kind: 'viewer', id: 'ann' } as const;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

interface World {
  readonly plane: ControlPlane;
  readonly published: string[];
  readonly recorded: RecordedChange[];
  now: number;
}

function world(parts: Partial<ControlPlaneParts> = {}): World {
  const published: string[] = [];
  const recorded: RecordedChange[] = [];
  const state = { published, recorded, now: 1_000 };
  const plane = createControlPlane({
    base: DEFAULT_BASE,
    clock: { now: () => state.now },
    log: silent,
    publish: (document) => void published.push(document),
    record: (change) => void recorded.push(change),
    ...parts,
  });
  return Object.assign(state, { plane });
}

/** What a console would send that has the document as the plane has it. */
function updateOf(plane: ControlPlane, document: string, edit: Edit): Uint8Array {
  const doc = new Y.Doc();
  const state = plane.state(document);
  if (state !== null) Y.applyUpdate(doc, state);
  const vector = Y.encodeStateVector(doc);
  edit(doc);
  return Y.encodeStateAsUpdate(doc, vector);
}

function write(plane: ControlPlane, document: string, edit: Edit): void {
  expect(plane.apply(document, updateOf(plane, document, edit), 'ada')).toEqual({ kind: 'applied' });
}

describe('the control plane', () => {
  it('[MOD-6] a change is in force at once, of one stream or of all, and the policy of a stream is one frozen value until it changes', () => {
    const { plane } = world();
    const told: (string | null)[] = [];
    plane.onPolicy((stream) => told.push(stream));
    expect(plane.policyOf(DERBY)).toEqual(DEFAULT_POLICY);
    expect(plane.policyOf(DERBY)).toBe(plane.policyOf('other' as StreamId));
    write(plane, DERBY_DOCUMENT, (doc) => mute(doc, ANN, ADA));
    const muted = plane.policyOf(DERBY);
    expect([...muted.mutedViewers.keys()]).toEqual(['ann']);
    expect(plane.policyOf(DERBY)).toBe(muted);
    expect(plane.policyOf('other' as StreamId).mutedViewers.size).toBe(0);
    write(plane, 'global', (doc) => setLevel(doc, 'hearts', ADA));
    expect(plane.policyOf(DERBY)).toMatchObject({ level: 'hearts', mutedViewers: muted.mutedViewers });
    expect(plane.policyOf('other' as StreamId).level).toBe('hearts');
    expect(told).toEqual(['derby', null]);
    const { plane: withFile } = world({ base: { ...DEFAULT_BASE, endedStreams: new Set(['over']) } });
    write(withFile, 'global', (doc) => setLevel(doc, 'hearts', ADA));
    expect(withFile.policyOf('over' as StreamId)).toMatchObject({ state: 'ended', level: 'hearts' });
    expect(withFile.policyOf(DERBY).state).toBe('live');
  });

  it('[MOD-7] regions that hand on what they hold agree, whatever was written where and in whatever order it is heard, and fall silent', () => {
    fc.assert(
      fc.property(edits, edits, edits, fc.infiniteStream(fc.nat()), (first, second, third, random) => {
        const worlds = [world(), world(), world()];
        worlds.forEach(({ plane }, index) => {
          for (const edit of [first, second, third][index]!) {
            const result = plane.apply(DERBY_DOCUMENT, updateOf(plane, DERBY_DOCUMENT, edit), 'ada');
            expect(result).toEqual({ kind: 'applied' });
          }
        });
        let turns = 0;
        while (worlds.some(({ published }) => published.length > 0)) {
          // A region hears a log's last version, some time later.
          const from = worlds[(random.next().value as number) % 3]!;
          if (from.published.splice(0).length === 0) continue;
          const state = from.plane.state(DERBY_DOCUMENT)!;
          for (const { plane } of worlds) if (plane !== from.plane) plane.merge(DERBY_DOCUMENT, state, 'peer');
          expect((turns += 1)).toBeLessThan(50);
        }
        const [policy, ...others] = worlds.map(({ plane }) => plane.policyOf(DERBY));
        for (const other of others) expect(other).toEqual(policy);
        // A restart finds in the log what it would write, and writes nothing.
        for (const { plane } of worlds) {
          const state = plane.state(DERBY_DOCUMENT);
          if (state === null) continue;
          const restarted = world();
          restarted.plane.merge(DERBY_DOCUMENT, state, 'own');
          expect(restarted.plane.state(DERBY_DOCUMENT)).toEqual(state);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('[MOD-7] an update that comes before the one it builds upon is kept, handed on, and heard once both are there', () => {
    const [us, eu] = [world(), world()];
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => void updates.push(update));
    mute(doc, ANN, ADA);
    mute(doc, ANN, { by: 'bob', at: 2_000 });
    expect(us.plane.apply(DERBY_DOCUMENT, updates[1]!, 'ada')).toEqual({ kind: 'applied' });
    expect(us.plane.policyOf(DERBY).mutedViewers.size).toBe(0);
    expect(us.published).toEqual([DERBY_DOCUMENT]);
    eu.plane.merge(DERBY_DOCUMENT, us.plane.state(DERBY_DOCUMENT)!, 'us');
    eu.published.length = 0;
    eu.plane.merge(DERBY_DOCUMENT, us.plane.state(DERBY_DOCUMENT)!, 'us');
    expect(eu.published).toEqual([]);
    expect(eu.plane.apply(DERBY_DOCUMENT, updates[0]!, 'ada')).toEqual({ kind: 'applied' });
    expect(eu.plane.policyOf(DERBY).mutedViewers.get('ann')!.by).toBe('bob');
    us.plane.merge(DERBY_DOCUMENT, eu.plane.state(DERBY_DOCUMENT)!, 'eu');
    expect(us.plane.policyOf(DERBY)).toEqual(eu.plane.policyOf(DERBY));
  });

  it('[MOD-7] what a log held is in force after a restart, and nothing new is told', () => {
    const before = world();
    write(before.plane, DERBY_DOCUMENT, (doc) => mute(doc, ANN, ADA));
    write(before.plane, 'global', (doc) => setEmoji(doc, 'star', { glyph: '⭐' }));
    const after = world();
    for (const document of before.plane.documents()) after.plane.merge(document, before.plane.state(document)!, 'own');
    expect(after.plane.policyOf(DERBY)).toEqual(before.plane.policyOf(DERBY));
    after.published.length = 0;
    for (const document of before.plane.documents()) after.plane.merge(document, before.plane.state(document)!, 'own');
    expect(after.published).toEqual([]);
    expect([...before.plane.documents()].map(logKeyOf).map(documentOfLogKey)).toEqual(['stream.derby', 'global']);
    expect(['policy.', 'policy.x', 'claims.global', 'policy.stream.a.b'].map(documentOfLogKey)).toEqual([null, null, null, null]);
  });

  it('[MOD-8] an end is final: whoever takes it out of the document, also unseen and in another region, it is there again', () => {
    const { plane } = world();
    write(plane, DERBY_DOCUMENT, (doc) => endStream(doc, { by: 'ada', at: 700 }));
    write(plane, DERBY_DOCUMENT, (doc) => doc.getMap('stream').delete('ended'));
    expect(plane.policyOf(DERBY)).toMatchObject({ state: 'ended', endedAt: 700 });
    write(plane, DERBY_DOCUMENT, (doc) => doc.getMap('stream').set('ended', 'never'));
    expect(plane.policyOf(DERBY)).toMatchObject({ state: 'ended', endedAt: 700 });
    // A copy in which it was taken out: merged, it is an end all the same, and the copy's region learns of it.
    const elsewhere = new Y.Doc();
    Y.applyUpdate(elsewhere, plane.state(DERBY_DOCUMENT)!);
    elsewhere.getMap('stream').delete('ended');
    const other = world();
    other.plane.merge(DERBY_DOCUMENT, Y.encodeStateAsUpdate(elsewhere), 'eu');
    plane.merge(DERBY_DOCUMENT, other.plane.state(DERBY_DOCUMENT)!, 'eu');
    other.plane.merge(DERBY_DOCUMENT, plane.state(DERBY_DOCUMENT)!, 'us');
    expect([plane, other.plane].map(({ policyOf }) => policyOf(DERBY).state)).toEqual(['ended', 'ended']);
  });

  it('[MOD-33] of a stream that is over only the bytes are kept, and it can be written to and merged as before', () => {
    const { plane } = world();
    write(plane, DERBY_DOCUMENT, (doc) => setEmoji(doc, 'star', { glyph: '*' }));
    plane.archive(DERBY);
    expect(plane.policyOf(DERBY).palette.get('star' as never)).toBe('*');
    write(plane, DERBY_DOCUMENT, (doc) => endStream(doc, { by: 'ada', at: 700 }));
    const state = plane.state(DERBY_DOCUMENT);
    plane.archive(DERBY);
    plane.archive(DERBY);
    const other = 'other' as typeof DERBY;
    write(plane, 'stream.other', (doc) => endStream(doc, { by: 'ada', at: 9 }));
    plane.archive(other);
    expect(plane.policyOf(DERBY)).toMatchObject({ state: 'ended' });
    // Nothing is kept for each of them, whatever changes for all.
    expect(plane.policyOf(DERBY)).toBe(plane.policyOf(other));
    write(plane, 'global', (doc) => setEmoji(doc, 'moon', { glyph: 'o' }));
    expect(plane.policyOf(DERBY)).toBe(plane.policyOf(other));
    expect(plane.state(DERBY_DOCUMENT)).toBe(state);
    expect([...plane.documents()]).toContain(DERBY_DOCUMENT);
    plane.merge(DERBY_DOCUMENT, state!, 'eu');
    expect(plane.state(DERBY_DOCUMENT)).toBe(state);
    write(plane, DERBY_DOCUMENT, (doc) => doc.getMap('stream').delete('ended'));
    expect(plane.policyOf(DERBY)).toMatchObject({ state: 'ended', endedAt: 700 });
    expect(plane.policyOf(DERBY).palette.get('star' as never)).toBe('*');
  });

  it('[MOD-9] what would make a document too large, or the documents too many, is refused and changes nothing; what makes it smaller is taken', () => {
    const { plane } = world({ documentsMax: 2 });
    const fill = (from: number, to: number): Edit => (doc) => {
      for (let index = from; index < to; index++) mute(doc, { kind: 'viewer', id: `v${index}` }, { ...ADA, reason: 'x'.repeat(180) });
    };
    write(plane, DERBY_DOCUMENT, fill(0, 200));
    const held = plane.state(DERBY_DOCUMENT)!;
    expect(plane.apply(DERBY_DOCUMENT, updateOf(plane, DERBY_DOCUMENT, fill(200, 260)), 'ada')).toMatchObject({ kind: 'refused', reason: 'too-large' });
    expect(plane.apply(DERBY_DOCUMENT, new Uint8Array(DOCUMENT_BYTES_MAX + 1), 'ada')).toMatchObject({ kind: 'refused', reason: 'too-large' });
    expect(plane.state(DERBY_DOCUMENT)).toEqual(held);
    // Both sides of a cut may fill it; the merge is taken, and so is what makes it smaller again.
    const other = world();
    write(other.plane, DERBY_DOCUMENT, fill(300, 500));
    plane.merge(DERBY_DOCUMENT, other.plane.state(DERBY_DOCUMENT)!, 'eu');
    expect(plane.state(DERBY_DOCUMENT)!.length).toBeGreaterThan(DOCUMENT_BYTES_MAX);
    expect(plane.policyOf(DERBY).mutedViewers.size).toBe(400);
    expect(plane.apply(DERBY_DOCUMENT, updateOf(plane, DERBY_DOCUMENT, fill(600, 601)), 'ada').kind).toBe('refused');
    write(plane, DERBY_DOCUMENT, (doc) => [...doc.getMap('mutes').keys()].slice(0, 300).forEach((key) => doc.getMap('mutes').delete(key)));
    expect(plane.state(DERBY_DOCUMENT)!.length).toBeLessThan(DOCUMENT_BYTES_MAX);
    write(plane, 'global', (doc) => setLevel(doc, 'hearts', ADA));
    expect(plane.apply('stream.third', updateOf(plane, 'stream.third', (doc) => setLevel(doc, 'exact', ADA)), 'ada')).toMatchObject({ reason: 'overloaded' });
    plane.merge('stream.third', other.plane.state(DERBY_DOCUMENT)!, 'eu');
    expect([...plane.documents()]).toEqual([DERBY_DOCUMENT, 'global']);
    expect(plane.stats).toMatchObject({ documents: 2, refused: 4, mergesRefused: 1 });
    const bytes = [...plane.documents()].reduce((sum, document) => sum + plane.state(document)!.length, 0);
    expect(plane.stats.documentBytes).toBe(bytes);
    plane.merge(DERBY_DOCUMENT, new Uint8Array(MERGED_BYTES_MAX + 1), 'eu');
    expect(plane.stats.mergesRefused).toBe(2);
  });

  it('[MOD-9] who looks at a document that nobody wrote, and says that there is nothing new, makes none', () => {
    const { plane, published } = world();
    expect(plane.apply(DERBY_DOCUMENT, Y.encodeStateAsUpdate(new Y.Doc()), 'ada')).toEqual({ kind: 'applied' });
    plane.merge(DERBY_DOCUMENT, Y.encodeStateAsUpdate(new Y.Doc()), 'eu');
    expect([plane.state(DERBY_DOCUMENT), [...plane.documents()], published]).toEqual([null, [], []]);
  });

  it('[MOD-11] bytes that are no update, or one that no console writes, are refused and change nothing, whatever they are', () => {
    const { plane } = world();
    write(plane, DERBY_DOCUMENT, (doc) => mute(doc, ANN, ADA));
    const held = plane.state(DERBY_DOCUMENT)!;
    const policy = plane.policyOf(DERBY);
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged(held)), (bytes) => {
        const fresh = world().plane;
        fresh.merge(DERBY_DOCUMENT, held, 'own');
        const result = fresh.apply(DERBY_DOCUMENT, bytes, 'bot');
        fresh.merge(DERBY_DOCUMENT, bytes, 'peer');
        if (result.kind === 'refused') expect(result.reason).toBe('malformed');
        expect(Object.isFrozen(fresh.policyOf(DERBY))).toBe(true);
        expect(() => Y.applyUpdate(new Y.Doc(), fresh.state(DERBY_DOCUMENT)!)).not.toThrow();
      }),
      { numRuns: 250 },
    );
    const foreign: Edit[] = [
      (doc) => doc.getText('notes').insert(0, 'x'),
      (doc) => doc.getMap('other').set('a', 1),
      (doc) => doc.getMap('mutes').set('d1:viewer:bot', new Y.Map()),
      (doc) => doc.getMap('mutes').set('d1:viewer:bot', new Y.Doc()),
      (doc) => doc.getMap('mutes').set('d1:viewer:bot', Uint8Array.of(1)),
      (doc) => doc.getArray('mutes').push([1]),
      (doc) => doc.getText('palette').insert(0, 'x'),
      (doc) => doc.getMap('palette').set('heart', { a: { b: { c: { d: { e: {} } } } } }),
    ];
    for (const edit of foreign) {
      const doc = new Y.Doc();
      edit(doc);
      expect(plane.apply(DERBY_DOCUMENT, Y.encodeStateAsUpdate(doc), 'bot')).toMatchObject({ kind: 'refused', reason: 'malformed' });
    }
    for (const name of ['', 'derby', 'stream.', 'stream.a/b', 'stream.__proto__', 'globals']) {
      expect(plane.apply(name, updateOf(plane, DERBY_DOCUMENT, (doc) => lift(doc, ANN, ADA)), 'bot')).toMatchObject({ reason: 'malformed' });
    }
    expect(plane.state(DERBY_DOCUMENT)).toEqual(held);
    expect(plane.policyOf(DERBY)).toBe(policy);
  });

  it('[MOD-11] a length that lies costs no memory', () => {
    const { plane } = world();
    // One client, 30 million structs, and then nothing.
    const lie = Uint8Array.of(1, 0x80, 0x87, 0xa7, 0x0e, 1, 0);
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 20; round++) expect(plane.apply(DERBY_DOCUMENT, lie, 'bot').kind).toBe('refused');
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  it('[MOD-10] mutes that were over two hours ago are removed, in each region alike, and a newer one of the same viewer stays', () => {
    const [us, eu] = [world(), world()];
    write(us.plane, DERBY_DOCUMENT, (doc) => {
      mute(doc, ANN, { ...ADA, until: 2_000 });
      mute(doc, { kind: 'viewer', id: 'bot' }, ADA);
    });
    eu.plane.merge(DERBY_DOCUMENT, us.plane.state(DERBY_DOCUMENT)!, 'us');
    us.now = eu.now = 2_000 + 2 * 3_600_000;
    us.plane.compact();
    expect(us.plane.policyOf(DERBY).mutedViewers.size).toBe(2);
    us.now = eu.now += 1;
    // At the same time eu mutes her again.
    write(eu.plane, DERBY_DOCUMENT, (doc) => mute(doc, ANN, { by: 'bob', at: eu.now }));
    us.plane.compact();
    expect([...us.plane.policyOf(DERBY).mutedViewers.keys()]).toEqual(['bot']);
    const [ofUs, ofEu] = [us, eu].map(({ plane }) => plane.state(DERBY_DOCUMENT)!);
    us.plane.merge(DERBY_DOCUMENT, ofEu!, 'eu');
    eu.plane.merge(DERBY_DOCUMENT, ofUs!, 'us');
    expect(us.plane.policyOf(DERBY).mutedViewers.get('ann')!.by).toBe('bob');
    expect(eu.plane.policyOf(DERBY)).toEqual(us.plane.policyOf(DERBY));
    expect(us.plane.stats.compactions).toBe(1);
  });

  it('[MOD-20] each key that a moderator changed is recorded once, as it was and as it is, by the region that took it', () => {
    const { plane, recorded } = world();
    write(plane, DERBY_DOCUMENT, (doc) => {
      mute(doc, ANN, ADA);
      doc.getMap('palette').set('odd\0', { glyph: 'a\0\ud800', order: 10n, deep: [undefined, Number.NaN] });
    });
    write(plane, DERBY_DOCUMENT, (doc) => lift(doc, ANN, { by: 'ada', at: 1_500 }));
    const muted = { until: null, by: 'ada', reason: '', retractFrom: null, at: 1_000, liftedAt: null };
    const who = { document: DERBY_DOCUMENT, by: 'ada', at: 1_000 };
    expect(recorded).toEqual([
      { ...who, path: 'palette/odd\ufffd', before: null, after: { glyph: 'a\ufffd\ufffd', order: '10', deep: [null, 'NaN'] } },
      { ...who, path: expect.stringMatching(/^mutes\/[a-z0-9]+:viewer:ann$/) as unknown, before: null, after: muted },
      { ...who, path: recorded[1]!.path, before: muted, after: { ...muted, liftedAt: 1_500 } },
    ]);
    const other = world();
    other.plane.merge(DERBY_DOCUMENT, plane.state(DERBY_DOCUMENT)!, 'us');
    expect(other.recorded).toEqual([]);
    expect(plane.problems(DERBY_DOCUMENT).map(({ path }) => path)).toEqual(['palette/odd\0']);
  });

  it('[MOD-14] who is revoked stands in the global document', () => {
    const { plane } = world();
    expect(plane.revokedBefore('ada')).toBe(null);
    write(plane, 'global', (doc) => revoke(doc, 'ada', 5_000, ADA));
    write(plane, DERBY_DOCUMENT, (doc) => revoke(doc, 'bob', 5_000, ADA));
    expect([plane.revokedBefore('ada'), plane.revokedBefore('bob')]).toEqual([5_000, null]);
  });
});

/** The bytes with some of them changed, or cut off. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  return fc.tuple(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(bytes.length)).map(([changes, cut]) => {
    const copy = Uint8Array.from(bytes);
    for (const [index, byte] of changes) copy[index] = byte;
    return cut % 3 === 0 ? copy.subarray(0, cut) : copy;
  });
}
