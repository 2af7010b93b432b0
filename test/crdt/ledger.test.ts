/** The laws of the ledger, its digests, and its deltas. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ledger } from '../../crdt/ledger.ts';
import type { Row } from '../../crdt/row.ts';
import { ROW_FIELDS, RUNS, actors, emojis, entriesOf, joinAll, ledgerOf, row, rows, stateOf, streams } from './arbitraries.ts';

/** So few possible entries that two draws are often the same. */
const tinyEntry = fc.record({ emoji: fc.constantFrom(...emojis), increments: fc.nat(2), decrements: fc.nat(1) });
const NO_ENTRIES = '0000000000000000';

describe('Ledger', () => {
  it('[CRDT-1] merge is commutative and associative', () => {
    fc.assert(
      fc.property(rows, rows, rows, (a, b, c) => {
        const all = stateOf(ledgerOf(a, b, c));
        expect(stateOf(ledgerOf(c, b, a))).toEqual(all);
        expect(stateOf(ledgerOf(ledgerOf(b, c).rows(), a))).toEqual(all);
        expect(stateOf(ledgerOf(ledgerOf(a, b).rows(), ledgerOf(c).rows()))).toEqual(all);
      }),
      RUNS,
    );
  });

  it('[CRDT-1] merge is idempotent, and says so', () => {
    fc.assert(
      fc.property(rows, (a) => {
        const ledger = ledgerOf(a);
        const before = stateOf(ledger);
        expect(joinAll(ledger, a)).toBe(false);
        expect(joinAll(ledger, [...ledger.rows()])).toBe(false);
        expect(stateOf(ledger)).toEqual(before);
      }),
      RUNS,
    );
  });

  it('[CRDT-2] merge is inflationary', () => {
    fc.assert(
      fc.property(rows, row, (a, b) => {
        const ledger = ledgerOf(a);
        const before = entriesOf(ledger);
        const sequence = ledger.sequence(b.actor);
        ledger.join(b);
        const after = entriesOf(ledger);
        for (const [name, [increments, decrements]] of Object.entries(before)) {
          expect(after[name]![0]).toBeGreaterThanOrEqual(increments);
          expect(after[name]![1]).toBeGreaterThanOrEqual(decrements);
        }
        expect(ledger.sequence(b.actor)).toBe(Math.max(sequence, b.sequence));
      }),
      RUNS,
    );
  });

  it('[CRDT-5] the rows that a tracker was told of are a delta: joined, they give the full state', () => {
    fc.assert(
      fc.property(rows, rows, (base, news) => {
        const ledger = ledgerOf(base);
        const replica = ledgerOf(base);
        const dirty = ledger.track();
        joinAll(ledger, news);
        const delta = dirty.take().map((id) => ledger.row(id)!);
        joinAll(replica, delta);
        expect(stateOf(replica)).toEqual(stateOf(ledger));
        expect(delta.length).toBeLessThanOrEqual(new Set(news.map(({ stream, actor }) => `${stream} ${actor}`)).size);
      }),
      RUNS,
    );
  });

  it('[CRDT-5] a tracker hears of the accepted actors only, and of nothing that changed nothing', () => {
    fc.assert(
      fc.property(rows, fc.subarray([...actors]), (a, accepted) => {
        const ledger = new Ledger();
        const dirty = ledger.track((actor) => accepted.includes(actor));
        joinAll(ledger, a);
        expect(new Set(dirty.take())).toEqual(new Set([...ledger.rows((actor) => accepted.includes(actor))].map(idOf)));
        joinAll(ledger, a);
        expect(dirty.take()).toEqual([]);
      }),
      RUNS,
    );
  });
});

describe('Ledger digests', () => {
  it('[CRDT-6] digests are equal exactly when the entries are equal', () => {
    const few = fc.array(fc.record({ ...ROW_FIELDS, entries: fc.array(tinyEntry, { maxLength: 1 }) }), { maxLength: 3 });
    fc.assert(
      fc.property(few, few, (a, b) => {
        const [left, right] = [ledgerOf(a), ledgerOf(b)];
        for (const stream of streams) {
          const same = sameEntries(left, right, (name) => name.startsWith(`${stream} `));
          expect(left.streamDigest(stream) === right.streamDigest(stream)).toBe(same);
        }
        for (const region of ['us', 'eu']) {
          const same = sameEntries(left, right, (name) => name.includes(` ${region}/`));
          expect(left.regionDigest(region) === right.regionDigest(region)).toBe(same);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('[CRDT-6] digests do not depend on the order in which, or how often, rows came', () => {
    fc.assert(
      fc.property(
        rows.chain((a) => fc.tuple(fc.constant(a), fc.shuffledSubarray([...a, ...a], { minLength: a.length * 2 }))),
        ([a, shuffled]) => {
          expect(stateOf(ledgerOf(shuffled))).toEqual(stateOf(ledgerOf(a)));
        },
      ),
      RUNS,
    );
  });

  it('[CRDT-6] one tap more, in another field, emoji, actor or stream, is another digest', () => {
    const [stream, otherStream] = [streams[0]!, streams[1]!];
    const [actor, otherActor] = [actors[0]!, actors[1]!];
    const [emoji, otherEmoji] = [emojis[0]!, emojis[1]!];
    const base: Row = { stream, actor, sequence: 1, entries: [{ emoji, increments: 2 ** 32 + 7, decrements: 3 }] };
    const others: Row[] = [
      { ...base, entries: [{ emoji, increments: 2 ** 32 + 8, decrements: 3 }] },
      { ...base, entries: [{ emoji, increments: 7, decrements: 3 }] },
      { ...base, entries: [{ emoji, increments: 3, decrements: 2 ** 32 + 7 }] },
      { ...base, entries: [{ emoji: otherEmoji, increments: 2 ** 32 + 7, decrements: 3 }] },
      { ...base, actor: otherActor },
      { ...base, stream: otherStream },
    ];
    const digests = [base, ...others].map((each) => ledgerOf([each]).regionDigest('us'));
    for (const half of [digests.map((digest) => digest.slice(0, 8)), digests.map((digest) => digest.slice(8))]) {
      expect(new Set(half).size).toBe(digests.length);
    }
  });

  it('[CRDT-6] a ledger without entries, or asked about strangers, answers zeros and remembers nothing', () => {
    const ledger = ledgerOf([{ stream: streams[0]!, actor: actors[0]!, sequence: 1, entries: [] }]);
    expect(ledger.regionDigest('us')).toBe(NO_ENTRIES);
    expect(ledger.regionDigest('nowhere')).toBe(NO_ENTRIES);
    expect(ledger.streamDigest(streams[1]!)).toBe(NO_ENTRIES);
    expect(ledger.streamCount).toBe(1);
  });

  it('[CRDT-6] 20,000 entries that differ in little have 20,000 digests', () => {
    const digests = new Set<string>();
    for (let index = 0; index < 20_000; index++) {
      const entries = [{ emoji: emojis[index % 4]!, increments: index >> 2, decrements: index % 3 }];
      if (index < 12) continue;
      digests.add(ledgerOf([{ stream: streams[0]!, actor: actors[0]!, sequence: 1, entries }]).regionDigest('us'));
    }
    expect(digests.size).toBe(20_000 - 12);
  });
});

function idOf({ stream, actor }: Row): { stream: string; actor: string } {
  return { stream, actor };
}

function sameEntries(left: Ledger, right: Ledger, concerns: (name: string) => boolean): boolean {
  const texts = [left, right].map((ledger) =>
    JSON.stringify(
      Object.entries(entriesOf(ledger))
        .filter(([name]) => concerns(name))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
  );
  return texts[0] === texts[1];
}
