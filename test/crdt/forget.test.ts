/** A ledger that forgets streams: as if they had never been, whenever each replica does it. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ledger } from '../../crdt/ledger.ts';
import type { StreamId } from '../../crdt/ids.ts';
import type { Row } from '../../crdt/row.ts';
import { RUNS, actors, entriesOf, ledgerOf, rows, streams } from './arbitraries.ts';

const NOTHING = '0000000000000000';
const gone = streams[0]!;
const stays = (all: readonly Row[]): Row[] => all.filter(({ stream }) => stream !== gone);

/** All that two ledgers compare of each other. */
function comparedOf(ledger: Ledger): object {
  return {
    entries: entriesOf(ledger),
    digests: ['us', 'eu'].map((region) => ledger.regionDigest(region)),
    stream: ledger.streamDigest(gone),
    sequences: actors.map((actor) => ledger.sequence(actor)),
    forgotten: ledger.forgottenDigest(),
    streams: ledger.streamCount,
  };
}

function forgetting(before: readonly Row[], after: readonly Row[], forgotten: readonly StreamId[] = [gone]): Ledger {
  const ledger = ledgerOf(before);
  ledger.forget(forgotten);
  for (const row of after) ledger.join(row);
  return ledger;
}

describe('a ledger that forgets a stream', () => {
  it('[CRDT-16] is as if the stream had never been, whatever was heard of it before or after', () => {
    fc.assert(
      fc.property(rows, rows, (before, after) => {
        const never = comparedOf(forgetting([], [...stays(before), ...stays(after)]));
        expect(comparedOf(forgetting(before, after))).toEqual(never);
        expect(comparedOf(forgetting([...before, ...after], []))).toEqual(never);
        expect(comparedOf(forgetting([], [...after, ...before]))).toEqual(never);
      }),
      RUNS,
    );
  });

  it('[CRDT-16] says that nothing is new in what it hears of it, and tells no tracker', () => {
    fc.assert(
      fc.property(rows, rows, (before, after) => {
        const ledger = forgetting(before, []);
        const dirty = ledger.track();
        for (const row of after) if (row.stream === gone) expect(ledger.join(row)).toBe(false);
        expect(dirty.size).toBe(0);
        expect(ledger.tally(gone)).toBeUndefined();
        expect(ledger.hasForgotten(gone)).toBe(true);
      }),
      RUNS,
    );
  });

  it('[CRDT-16] answers whose rows it held, once', () => {
    fc.assert(
      fc.property(rows, (all) => {
        const ledger = ledgerOf(all);
        const held = new Set([...ledger.rows()].filter(({ stream }) => stream === gone).map(({ actor }) => actor));
        expect(new Set(ledger.forget([gone, gone]).map(({ actor }) => actor))).toEqual(held);
        expect(ledger.forget([gone])).toEqual([]);
        expect(ledger.forgottenCount).toBe(1);
      }),
      RUNS,
    );
  });

  it('[CRDT-16] tells by a digest which ones it has forgotten, in whatever order', () => {
    const ids = Array.from({ length: 100 }, (_, index) => `s${index}` as StreamId);
    const one = forgetting([], [], ids);
    const other = forgetting([], [], ids.slice(0, 50).toReversed());
    expect(other.forgottenDigest()).not.toBe(one.forgottenDigest());
    other.forget(ids);
    expect(other.forgottenDigest()).toBe(one.forgottenDigest());
    expect(one.forgottenDigest()).not.toBe(NOTHING);
    expect(new Ledger().forgottenDigest()).toBe(NOTHING);
  });
});
