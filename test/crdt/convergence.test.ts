/**
 * Three replicas over a network that loses, doubles and reorders encoded rows, and sometimes delivers
 * them damaged. The last version of each row is delivered in the end, as a compacted log does.
 */

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { MalformedRow, decodeRow, encodeRow } from '../../crdt/row.ts';
import { Ledger, type DirtyRows, type RowId } from '../../crdt/ledger.ts';
import { actors, emojis, stateOf, streams } from './arbitraries.ts';

interface Message extends RowId {
  readonly bytes: Uint8Array;
}

interface Replica {
  readonly ledger: Ledger;
  readonly actor: (typeof actors)[number];
  readonly dirty: DirtyRows;
  /** What the peers may still receive from this replica, lost messages not among it. */
  readonly sent: Message[];
  sequence: number;
}

const REPLICAS = 3;

const tap = fc.record({
  kind: fc.constant('tap' as const),
  at: fc.nat(REPLICAS - 1),
  stream: fc.constantFrom(...streams),
  emoji: fc.constantFrom(...emojis),
  increments: fc.nat(50),
  decrements: fc.nat(3),
});
const publish = fc.record({ kind: fc.constant('publish' as const), at: fc.nat(REPLICAS - 1), limit: fc.nat(3), lost: fc.boolean() });
const deliver = fc.record({
  kind: fc.constant('deliver' as const),
  at: fc.nat(REPLICAS - 1),
  to: fc.nat(REPLICAS - 1),
  which: fc.nat(),
  /** 0 for a message that arrives whole, else where it is cut. */
  damage: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat() }),
});

function newReplica(index: number): Replica {
  const ledger = new Ledger();
  const actor = actors[index + 1]!;
  return { ledger, actor, dirty: ledger.track((writer) => writer === actor), sent: [], sequence: 0 };
}

function write(replica: Replica, step: { stream: RowId['stream']; emoji: (typeof emojis)[number]; increments: number; decrements: number }): void {
  const { ledger, actor } = replica;
  const held = ledger.tally(step.stream)?.counter(step.emoji)?.entry(actor) ?? { increments: 0, decrements: 0 };
  replica.sequence += 1;
  const entry = { emoji: step.emoji, increments: held.increments + step.increments, decrements: held.decrements + step.decrements };
  ledger.join({ stream: step.stream, actor, sequence: replica.sequence, entries: [entry] });
}

function publishRows(replica: Replica, limit: number): Message[] {
  return replica.dirty.take(limit).map(({ stream, actor }) => ({
    stream,
    actor,
    bytes: encodeRow(replica.ledger.row({ stream, actor })!),
  }));
}

it('[CRDT-15] replicas converge to the ground truth after any loss, doubling and reordering that the last versions repair', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(tap, publish, deliver), { maxLength: 80 }), (steps) => {
      const replicas = Array.from({ length: REPLICAS }, (_, index) => newReplica(index));
      const truth = new Map<string, number>();
      for (const step of steps) {
        const replica = replicas[step.at]!;
        if (step.kind === 'tap') {
          write(replica, step);
          const name = `${step.stream} ${step.emoji}`;
          truth.set(name, (truth.get(name) ?? 0) + step.increments - step.decrements);
        } else if (step.kind === 'publish') {
          const messages = publishRows(replica, step.limit);
          if (!step.lost) replica.sent.push(...messages);
        } else if (replica.sent.length > 0) {
          const message = replica.sent[step.which % replica.sent.length]!;
          receive(replicas[step.to]!, message, step.damage);
        }
      }
      // Repair: of each own row the newest version reaches everybody, as reading the log again gives it.
      for (const from of replicas) {
        for (const row of from.ledger.rows((actor) => actor === from.actor)) {
          for (const to of replicas) receive(to, { ...row, bytes: encodeRow(row) }, 0);
        }
      }
      const states = replicas.map(({ ledger }) => stateOf(ledger));
      expect(states[1]).toEqual(states[0]);
      expect(states[2]).toEqual(states[0]);
      for (const [name, value] of truth) {
        const [stream, emoji] = name.split(' ') as [(typeof streams)[number], (typeof emojis)[number]];
        expect(replicas[0]!.ledger.tally(stream)?.counter(emoji)?.value ?? 0).toBe(value);
      }
    }),
    { numRuns: 500 },
  );
});

/** Damage is a cut: changed bytes that still make a row are for the transport's checksum to find. */
function receive(replica: Replica, { stream, actor, bytes }: Message, damage: number): void {
  const arrived = damage === 0 ? bytes : bytes.subarray(0, damage % bytes.length);
  try {
    replica.ledger.join(decodeRow(stream, actor, arrived));
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedRow);
    expect(damage).not.toBe(0);
  }
}
