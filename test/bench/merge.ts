/**
 * merge: a ledger that merges encoded rows, beside Automerge, Yjs and Loro doing the same work.
 *
 * The same for all: three regions write six counters of one stream; each gossip tick every region adds
 * to all six and makes one update, and one peer applies it. Taps are summed within a tick before any library
 * sees them, and each library gets one transaction a tick, so the comparison is generous to them.
 */

import * as Automerge from '@automerge/automerge';
import { LoroDoc } from 'loro-crdt';
import * as Y from 'yjs';
import { actorId } from '../../crdt/actor.ts';
import { parseEmojiId, parseStreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { decodeRow, encodeRow } from '../../crdt/row.ts';
import { cpuMicrosPerUnit, readable, type Benchmark, type Contender } from './measure.ts';

const REGIONS = ['us', 'eu', 'ap'] as const;
const EMOJIS = ['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'] as const;
const TICKS = 200;
const UPDATES = TICKS * REGIONS.length;
const FACTOR = 50;
const ROUNDS = 5;

/** What region adds to an emoji in a tick. */
function tapsOf(tick: number, region: number, emoji: number): number {
  return 1 + ((tick * 7 + region * 3 + emoji * 5) % 90);
}

const TOTAL_HEARTS = sum(TICKS, (tick) => sum(REGIONS.length, (region) => tapsOf(tick, region, 0)));

function sum(length: number, term: (index: number) => number): number {
  let total = 0;
  for (let index = 0; index < length; index++) total += term(index);
  return total;
}

/** A contender whose rounds each apply `updates` to a new replica and check what it counted. */
function applying(name: string, newReplica: () => { apply(index: number): void; hearts(): number }): Contender {
  return {
    name,
    prepare() {
      // One replica takes the work of one tick-length; several, so that short work is measurable.
      const replicas = Array.from({ length: name === 'ovation' ? 200 : 2 }, newReplica);
      return () => {
        for (const replica of replicas) for (let index = 0; index < UPDATES; index++) replica.apply(index);
        for (const replica of replicas) {
          if (replica.hearts() !== TOTAL_HEARTS) throw new Error(`${name} counted ${replica.hearts()} of ${TOTAL_HEARTS}`);
        }
        return replicas.length * UPDATES;
      };
    },
  };
}

function ovation(): Contender {
  const stream = parseStreamId('derby');
  const emojis = EMOJIS.map(parseEmojiId);
  const actors = REGIONS.map((region) => actorId({ region, shard: 0, epoch: 1_795_342_812_345 }));
  const writer = new Ledger();
  const updates: { readonly actor: (typeof actors)[number]; readonly bytes: Uint8Array }[] = [];
  for (let tick = 0; tick < TICKS; tick++) {
    for (const [region, actor] of actors.entries()) {
      const entries = emojis.map((emoji, index) => {
        const held = writer.tally(stream)?.counter(emoji)?.entry(actor).increments ?? 0;
        return { emoji, increments: held + tapsOf(tick, region, index), decrements: 0 };
      });
      writer.join({ stream, actor, sequence: tick + 1, entries });
      updates.push({ actor, bytes: encodeRow(writer.row({ stream, actor })!) });
    }
  }
  return applying('ovation', () => {
    const ledger = new Ledger();
    return {
      apply(index) {
        const { actor, bytes } = updates[index]!;
        ledger.join(decodeRow(stream, actor, bytes));
      },
      hearts: () => ledger.tally(stream)!.counter(emojis[0]!)!.value,
    };
  });
}

function automerge(): Contender {
  type Counters = Record<string, Automerge.Counter>;
  const base = Automerge.from<Counters>(Object.fromEntries(EMOJIS.map((emoji) => [emoji, new Automerge.Counter(0)])));
  const saved = Automerge.save(base);
  const writers = REGIONS.map(() => Automerge.load<Counters>(saved));
  const updates: Uint8Array[] = [];
  for (let tick = 0; tick < TICKS; tick++) {
    for (const [region, writer] of writers.entries()) {
      const next = Automerge.change(writer, (draft) => {
        for (const [index, emoji] of EMOJIS.entries()) draft[emoji]!.increment(tapsOf(tick, region, index));
      });
      writers[region] = next;
      updates.push(Automerge.getLastLocalChange(next)!);
    }
  }
  return applying('automerge', () => {
    let replica = Automerge.load<Counters>(saved);
    return {
      apply(index) {
        [replica] = Automerge.applyChanges(replica, [updates[index]!]);
      },
      hearts: () => replica['heart']!.value,
    };
  });
}

/** Yjs has no counter; a map of region → count, one for each emoji, is how one is made of it. */
function yjs(): Contender {
  const updates: Uint8Array[] = [];
  const writers = REGIONS.map(() => {
    const doc = new Y.Doc();
    doc.on('update', (update: Uint8Array) => updates.push(update));
    return doc;
  });
  for (let tick = 0; tick < TICKS; tick++) {
    for (const [region, writer] of writers.entries()) {
      writer.transact(() => {
        for (const [index, emoji] of EMOJIS.entries()) {
          const counts = writer.getMap<number>(emoji);
          counts.set(REGIONS[region]!, (counts.get(REGIONS[region]!) ?? 0) + tapsOf(tick, region, index));
        }
      });
    }
  }
  return applying('yjs', () => {
    const replica = new Y.Doc();
    return {
      apply: (index) => Y.applyUpdate(replica, updates[index]!),
      hearts: () => [...replica.getMap<number>('heart').values()].reduce((total, count) => total + count, 0),
    };
  });
}

function loro(): Contender {
  const writers = REGIONS.map(() => new LoroDoc());
  const updates: Uint8Array[] = [];
  for (let tick = 0; tick < TICKS; tick++) {
    for (const [region, writer] of writers.entries()) {
      const from = writer.version();
      for (const [index, emoji] of EMOJIS.entries()) writer.getCounter(emoji).increment(tapsOf(tick, region, index));
      writer.commit();
      updates.push(writer.export({ mode: 'update', from }));
    }
  }
  return applying('loro', () => {
    const replica = new LoroDoc();
    return {
      apply(index) {
        replica.import(updates[index]!);
      },
      hearts: () => replica.getCounter('heart').value,
    };
  });
}

export const merge: Benchmark = {
  name: 'merge',
  description: `one peer applies ${UPDATES} updates of ${EMOJIS.length} counters from ${REGIONS.length} regions`,
  target: `≥ ${FACTOR} × less CPU than the fastest of Automerge, Yjs and Loro`,
  async run() {
    const cost = await cpuMicrosPerUnit([ovation(), automerge(), yjs(), loro()], ROUNDS);
    const own = cost.get('ovation')!;
    const others = [...cost].filter(([name]) => name !== 'ovation');
    const fastest = Math.min(...others.map(([, micros]) => micros));
    return {
      measured: `${own.toFixed(2)} µs of CPU an update (${readable(1e6 / own)} updates per CPU-second)`,
      baseline: others.map(([name, micros]) => `${name} ${micros.toFixed(1)} µs`).join(', '),
      ratio: others.map(([name, micros]) => `${(micros / own).toFixed(0)} × ${name}`).join(', '),
      reached: fastest / own >= FACTOR,
      figures: Object.fromEntries(cost),
    };
  },
};
