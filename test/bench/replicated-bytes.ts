/**
 * replicated-bytes: the payload that a region's log takes, per entry of a changed row and per second, while
 * the crowd grows from 1,000 to 5 million taps a second. The baseline is a message for each tap.
 *
 * Ten simulated seconds of a skewed crowd (Zipf over 500 streams) after a day at the same rate, so that
 * counts have the length they have in practice. Rows go out as the replicator sends them: what is
 * dirty at a gossip tick, whole and absolute.
 */

import { encode } from '@msgpack/msgpack';
import { actorId } from '../../crdt/actor.ts';
import { parseEmojiId, parseStreamId, type EmojiId, type StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { encodeRow } from '../../crdt/row.ts';
import { readable, type Benchmark } from './measure.ts';

const RATES = [1000, 100_000, 5_000_000] as const;
const STREAMS = 500;
const EMOJIS = ['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'].map(parseEmojiId);
const GOSSIP_MS = 100;
const SECONDS = 10;
const DAY_SECONDS = 86_400;
const BYTES_MAX = 24;

interface Sample {
  readonly rate: number;
  readonly bytesPerEntry: number;
  readonly bytesPerSecond: number;
  readonly rowsPerSecond: number;
}

/** Splits each tick's taps over streams by Zipf and over emoji by halves, carrying fractions on. */
function simulate(tapsPerSecond: number): Sample {
  const actor = actorId({ region: 'us', shard: 0, epoch: 1_795_342_812_345 });
  const ledger = new Ledger();
  const streams = Array.from({ length: STREAMS }, (_, index) => parseStreamId(`stream-${index}`));
  const weights = sharesOf(streams.length, (index) => 1 / (index + 1));
  const shares = sharesOf(EMOJIS.length, (index) => 0.5 ** index);
  const counts = streams.map((_, stream) => shares.map((share) => Math.floor(weights[stream]! * share * tapsPerSecond * DAY_SECONDS)));
  const owed = streams.map(() => shares.map(() => 0));
  const dirty = ledger.track();
  const totals = { bytes: 0, entries: 0, rows: 0 };
  let sequence = 1;
  // The day before: every row as it stands, of which nobody measures the sending.
  for (const [index, stream] of streams.entries()) ledger.join({ stream, actor, sequence, entries: entriesOf(counts[index]!) });
  dirty.take();
  for (let tick = 0; tick < (SECONDS * 1000) / GOSSIP_MS; tick++) {
    sequence += 1;
    for (const [index, stream] of streams.entries()) {
      const taps = (weights[index]! * tapsPerSecond * GOSSIP_MS) / 1000;
      if (advance(counts[index]!, owed[index]!, shares, taps)) ledger.join({ stream, actor, sequence, entries: entriesOf(counts[index]!) });
    }
    for (const id of dirty.take()) {
      const row = ledger.row(id)!;
      totals.bytes += encodeRow(row).length;
      totals.entries += row.entries.length;
      totals.rows += 1;
    }
  }
  return {
    rate: tapsPerSecond,
    bytesPerEntry: totals.bytes / totals.entries,
    bytesPerSecond: totals.bytes / SECONDS,
    rowsPerSecond: totals.rows / SECONDS,
  };
}

function sharesOf(length: number, weight: (index: number) => number): number[] {
  const weights = Array.from({ length }, (_, index) => weight(index));
  const total = weights.reduce((sum, each) => sum + each, 0);
  return weights.map((each) => each / total);
}

/** True when a whole tap came to any emoji. */
function advance(counts: number[], owed: number[], shares: readonly number[], taps: number): boolean {
  let changed = false;
  for (let emoji = 0; emoji < counts.length; emoji++) {
    const due = owed[emoji]! + taps * shares[emoji]!;
    const whole = Math.floor(due);
    counts[emoji]! += whole;
    owed[emoji] = due - whole;
    changed ||= whole > 0;
  }
  return changed;
}

function entriesOf(counts: readonly number[]): { emoji: EmojiId; increments: number; decrements: number }[] {
  return counts.map((increments, index) => ({ emoji: EMOJIS[index]!, increments, decrements: 0 }));
}

/** What a system sends that replicates taps one by one: the least that such an event must say. */
function eventBytes(stream: StreamId, emoji: EmojiId): number {
  return encode(['s'.repeat(16), 1_234, stream, emoji, 1]).length;
}

export const replicatedBytes: Benchmark = {
  name: 'replicated-bytes',
  description: `payload of the rows that ${STREAMS} streams gossip every ${GOSSIP_MS} ms, from 1 k to 5 M taps/s`,
  target: `≤ ${BYTES_MAX} B per entry of a changed row at every rate; bytes bounded by rows, not taps`,
  run() {
    const samples = RATES.map(simulate);
    const worst = Math.max(...samples.map(({ bytesPerEntry }) => bytesPerEntry));
    const bytesPerEvent = eventBytes(parseStreamId('stream-1'), EMOJIS[0]!);
    const top = samples.at(-1)!;
    return Promise.resolve({
      measured: samples
        .map(({ rate, bytesPerEntry, bytesPerSecond }) => `${readable(rate)}/s: ${bytesPerEntry.toFixed(1)} B an entry, ${readable(bytesPerSecond)}B/s`)
        .join('; '),
      baseline: `a message a tap: ${bytesPerEvent} B, ${readable(top.rate * bytesPerEvent)}B/s at ${readable(top.rate)}/s`,
      ratio: `at most ${worst.toFixed(1)} B an entry; ${readable((top.rate * bytesPerEvent) / top.bytesPerSecond)} × fewer bytes at ${readable(top.rate)} taps/s`,
      reached: worst <= BYTES_MAX,
      figures: Object.fromEntries(samples.flatMap(({ rate, bytesPerEntry, bytesPerSecond, rowsPerSecond }) => [
        [`bytesPerEntry@${rate}`, bytesPerEntry],
        [`bytesPerSecond@${rate}`, bytesPerSecond],
        [`rowsPerSecond@${rate}`, rowsPerSecond],
      ])),
    });
  },
};
