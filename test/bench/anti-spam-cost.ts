/**
 * anti-spam-cost: what judging a batch costs beside the rate limit alone, and what a viewer costs in memory.
 *
 * 100,000 viewers on one stream, each on a device and in a network of a few hundred viewers, a batch of one or two
 * taps every 250 ms, in random order, cells ending as they come. The baseline is the viewer's token bucket, as it is
 * found and charged without a judge.
 */

import type { EmojiId } from '../../crdt/ids.ts';
import { JUDGE_LIMITS, Judge } from '../../src/antispam/judge.ts';
import { TokenBuckets } from '../../src/antispam/token-bucket.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { seeded } from '../support/viewer-population.ts';
import { collectGarbage, cpuMicrosPerUnit, type Benchmark, type Contender } from './measure.ts';

const VIEWERS = 100_000;
const NETWORKS = 400;
const BATCH_MS = 250;
const BATCHES_PER_COMMIT = 4_000;
/** Six seconds, so that each round has its share of cells that end. */
const COMMITS_PER_ROUND = 600;
const ROUNDS = 3;
const TIMES_MAX = 4;
const BYTES_MAX = 200;
const SIZES = { ...JUDGE_LIMITS, bucketsMax: 1_000_000 };
const EMOJI = [...DEFAULT_POLICY.palette.keys()] as EmojiId[];
const LIMITS = { ...DEFAULT_POLICY.limits, address: { tapsPerSecondMax: 1e5, tapBurstMax: 1e5 } };

interface Sender {
  readonly viewer: string;
  readonly device: string;
  readonly address: string;
  readonly reactions: readonly (readonly [EmojiId, number])[];
  readonly taps: number;
  place: number;
}

function senders(): Sender[] {
  const random = seeded(7);
  return Array.from({ length: VIEWERS }, (_, index) => {
    const taps = 1 + (index & 1);
    return { viewer: flat(`viewer-${index}`), device: flat(`device-${index}`), address: flat(`203.0.${index % NETWORKS}.0/24`), reactions: [[EMOJI[Math.floor(random() * EMOJI.length)]!, taps]], taps, place: 0 };
  });
}

/** As a decoder makes it: one piece of memory, and no other owner. */
function flat(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function contender(name: string, ask: (sender: Sender, now: number) => number): Contender {
  const all = senders();
  const random = seeded(11);
  let now = Date.UTC(2026, 0);
  return {
    name,
    prepare() {
      const chosen = Array.from({ length: BATCHES_PER_COMMIT }, () => all[Math.floor(random() * VIEWERS)]!);
      now += Math.round((BATCHES_PER_COMMIT / VIEWERS) * BATCH_MS);
      return () => {
        let counted = 0;
        for (const sender of chosen) counted += ask(sender, now);
        if (counted === 0) throw new Error('nothing was counted');
        return BATCHES_PER_COMMIT;
      };
    },
  };
}

function contenders(): Contender[] {
  const judge = new Judge(SIZES, 1);
  const bare = new Judge(SIZES, 1);
  const buckets = new TokenBuckets(SIZES.bucketsMax, 1);
  return [
    contender('judge', (sender, now) => {
      sender.place = judge.find(0, sender.viewer, sender.place, now);
      return judge.judge(0, sender.place, sender, sender.taps, LIMITS, now);
    }),
    contender('viewerOnly', (sender, now) => {
      sender.place = bare.find(0, sender.viewer, sender.place, now);
      const { viewer, reactions } = sender;
      return bare.judge(0, sender.place, { viewer, reactions, device: null, address: null }, sender.taps, LIMITS, now);
    }),
    contender('bucket', (sender, now) => {
      sender.place = buckets.find(0, sender.viewer, sender.place, now);
      return buckets.take(sender.place, sender.taps, now, LIMITS.viewer);
    }),
  ];
}

/** Heap and typed arrays of so many viewers, the viewer's id included. */
function bytesPerViewer(open: () => (viewer: string, now: number) => void): number {
  collectGarbage();
  const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = used();
  const ask = open();
  const now = Date.UTC(2026, 0);
  for (let viewer = 0; viewer < VIEWERS; viewer++) ask(flat(`viewer-${viewer}`), now);
  collectGarbage();
  const bytes = (used() - before) / VIEWERS;
  ask('viewer-last', now);
  return bytes;
}

export const antiSpamCost: Benchmark = {
  name: 'anti-spam-cost',
  description: `judge the batches of ${VIEWERS / 1000} k viewers`,
  target: `≤ ${TIMES_MAX} × the time of a token bucket, ≤ ${BYTES_MAX} B a viewer`,
  async run() {
    const cost = await cpuMicrosPerUnit(contenders(), ROUNDS, COMMITS_PER_ROUND);
    const [judge, viewerOnly, bucket] = ['judge', 'viewerOnly', 'bucket'].map((name) => Math.round(cost.get(name)! * 1000)) as [number, number, number];
    const judged = bytesPerViewer(() => {
      const one = new Judge(SIZES, 1);
      return (viewer, now) => one.judge(0, one.find(0, viewer, 0, now), { viewer, device: null, address: null, reactions: [[EMOJI[0]!, 1]] }, 1, LIMITS, now);
    });
    const limited = bytesPerViewer(() => {
      const one = new TokenBuckets(SIZES.bucketsMax, 1);
      return (viewer, now) => one.take(one.find(0, viewer, 0, now), 1, now, LIMITS.viewer);
    });
    return {
      measured: `${judge} ns a batch with device and network, ${viewerOnly} ns without; ${Math.round(judged)} B a viewer`,
      baseline: `the viewer's token bucket alone: ${bucket} ns, ${Math.round(limited)} B`,
      ratio: `${(judge / bucket).toFixed(1)} × and ${(viewerOnly / bucket).toFixed(1)} × the time, ${(judged / limited).toFixed(1)} × the memory`,
      reached: judge <= TIMES_MAX * bucket && judged <= BYTES_MAX,
      figures: { judge, viewerOnly, bucket, judgedBytes: judged, limitedBytes: limited },
    };
  },
};
