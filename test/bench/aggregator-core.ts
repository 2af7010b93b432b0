/**
 * aggregator-core: wire bytes → decoded → deduplicated → rate-capped → counted, on one core.
 *
 * 100,000 sessions on 100 streams of unequal size tap at once; work comes in commits of 15,000 batches,
 * in random order, one in fifty of them a resend. The state lives on over all rounds, so tables are
 * warm and large. Baseline, from the same bytes: the general msgpack decoder and one increment in a
 * Map, without any dedupe.
 */

import { Decoder } from '@msgpack/msgpack';
import { parseStreamId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import type { Batch, Reaction } from '../../src/aggregator/ingest.ts';
import { BATCHES_AHEAD, LookAhead } from '../../src/aggregator/look-ahead.ts';
import { emptyState, takeChanges } from '../../src/aggregator/shard-state.ts';
import { step } from '../../src/aggregator/step.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { decodeClientMsgpack, encodeClientMsgpack } from '../../src/protocol/msgpack-codec.ts';
import { cpuMicrosPerUnit, readable, type Benchmark, type Contender } from './measure.ts';

const SESSIONS = 100_000;
const STREAMS = 100;
const RESENT_SHARE = 0.02;
const BATCH_MS = 250;
/** As many as a commit tick of 15 ms brings at the rate asked for. */
const BATCHES_PER_COMMIT = 15_000;
const COMMIT_MS = (BATCHES_PER_COMMIT / SESSIONS) * BATCH_MS;
const COMMITS_PER_ROUND = 40;
const ROUNDS = 5;
const PER_CPU_SECOND = 1e6;
const LIMITS = { streamsMax: 10_000, sessionsMax: 2_000_000, bucketsMax: 2_000_000 };
const PALETTE = [...DEFAULT_POLICY.palette.keys()];

/** What an edge knows of a socket. */
interface Sender {
  readonly stream: StreamId;
  readonly session: string;
  readonly viewer: string;
  sequence: number;
}

interface Delivery {
  readonly sender: Sender;
  readonly bytes: Uint8Array;
}

/** Calls for the deliveries of one commit after another, for ever. */
function newCrowd(): () => Delivery[] {
  const random = seeded(20_261_122);
  const streams = Array.from({ length: STREAMS }, (_, index) => parseStreamId(`stream-${index}`));
  const senders = Array.from({ length: SESSIONS }, (_, index): Sender => {
    // Squared, so that the first streams are much larger than the last.
    const stream = streams[Math.floor(random() ** 2 * STREAMS)]!;
    // Flat, as a decoder makes them: a concatenation would be walked through a rope at every hash.
    const session = Buffer.from(`session-${index.toString(36).padStart(14, '0')}`).toString('latin1');
    return { stream, session, viewer: `viewer-${index}`, sequence: 0 };
  });
  let next = SESSIONS;
  return () => {
    const deliveries: Delivery[] = [];
    while (deliveries.length < BATCHES_PER_COMMIT) {
      if (next === SESSIONS) {
        shuffle(senders, random);
        next = 0;
      }
      const sender = senders[next++]!;
      sender.sequence += 1;
      const delivery = { sender, bytes: batchBytes(sender.sequence, random) };
      deliveries.push(delivery);
      if (random() < RESENT_SHARE) deliveries.push(delivery);
    }
    return deliveries;
  };
}

function batchBytes(seq: number, random: () => number): Uint8Array {
  const emoji_id = PALETTE[Math.floor(random() * PALETTE.length)]!;
  const reactions = [{ emoji_id, count: 1 + Math.floor(random() * 3) }];
  return encodeClientMsgpack({ type: 'batch', seq, reactions, timestamp: 1_795_342_812_345 + seq * BATCH_MS });
}

function decoded({ sender: { stream, session, viewer }, bytes }: Delivery): Batch {
  const message = decodeClientMsgpack(bytes);
  if (message.type !== 'batch') throw new Error('not a batch');
  const reactions = message.reactions.map(({ emoji_id, count }): Reaction => [emoji_id as EmojiId, count]);
  return { stream, viewer, device: null, address: null, session, sequence: message.seq, reactions };
}

function core(name: string, commits: boolean): Contender {
  const nextDeliveries = newCrowd();
  const state = emptyState(LIMITS, 4_711);
  const ahead = new LookAhead();
  let now = Date.UTC(2026, 0);
  return {
    name,
    prepare() {
      const deliveries = nextDeliveries();
      now += COMMIT_MS;
      if (!commits) takeChanges(state);
      return () => {
        // As the aggregator does: it looks ahead at the next of those that wait.
        for (let start = 0; start < deliveries.length; start += BATCHES_AHEAD) {
          const batches = deliveries.slice(start, start + BATCHES_AHEAD).map(decoded);
          ahead.look(state, batches);
          for (let index = 0; index < batches.length; index++) {
            const reply = step(state, batches[index]!, DEFAULT_POLICY, now, ahead.slotOf(index));
            if (reply.kind !== 'counted' || reply.clamped > 0) throw new Error('a batch was not counted whole');
          }
        }
        if (commits) takeChanges(state);
        return deliveries.length;
      };
    },
  };
}

function decodeAndCount(name: string): Contender {
  const nextDeliveries = newCrowd();
  const decoder = new Decoder();
  const counts = new Map<string, number>();
  return {
    name,
    prepare() {
      const deliveries = nextDeliveries();
      return () => {
        for (const { sender, bytes } of deliveries) {
          const [, , , emoji, count] = decoder.decode(bytes) as [number, number, number, string, number];
          const key = `${sender.stream} ${emoji}`;
          counts.set(key, (counts.get(key) ?? 0) + count);
        }
        return deliveries.length;
      };
    },
  };
}

/** mulberry32: the same crowd for every contender and every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffle<Item>(items: Item[], random: () => number): void {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [items[last], items[other]] = [items[other]!, items[last]!];
  }
}

export const aggregatorCore: Benchmark = {
  name: 'aggregator-core',
  description: `decode, dedupe, cap and count batches of ${SESSIONS / 1000} k sessions on one core`,
  target: '≥ 1 M batches per CPU-second',
  async run() {
    const contenders = [core('own', false), core('withCommits', true), decodeAndCount('baseline')];
    const cost = await cpuMicrosPerUnit(contenders, ROUNDS, COMMITS_PER_ROUND);
    const rates = Object.fromEntries([...cost].map(([name, micros]) => [name, 1e6 / micros]));
    const { own, withCommits, baseline } = rates as Record<'own' | 'withCommits' | 'baseline', number>;
    return {
      measured: `${readable(own)} batches per CPU-second; ${readable(withCommits)} when the commits' rows and session records are taken too`,
      baseline: `@msgpack decode and a Map increment, no dedupe: ${readable(baseline)} per CPU-second`,
      ratio: `${(own / baseline).toFixed(2)} × the baseline`,
      reached: own >= PER_CPU_SECOND,
      figures: rates,
    };
  },
};
