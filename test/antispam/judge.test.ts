import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EmojiId } from '../../crdt/ids.ts';
import { JUDGE_LIMITS, Judge, type JudgeLimits } from '../../src/antispam/judge.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { BOTS, population } from '../support/viewer-population.ts';
import { humansOf, judgePopulation, type Tallies } from '../support/judged-population.ts';

const START = 1_795_000_000_000;
const LIMITS = { viewer: { tapsPerSecondMax: 20, tapBurstMax: 40 }, device: { tapsPerSecondMax: 40, tapBurstMax: 60 }, address: { tapsPerSecondMax: 50, tapBurstMax: 80 } };
const HEART = 'heart' as EmojiId;

interface Asked {
  viewer?: string;
  device?: string | null;
  address?: string | null;
  taps?: number;
  scope?: number;
}

class Court extends Judge {
  constructor(limits: Partial<JudgeLimits> = {}, seed = 1) {
    super({ bucketsMax: 1000, ...JUDGE_LIMITS, ...limits }, seed);
  }

  ask({ viewer = 'ann', device = null, address = null, taps = 1, scope = 0 }: Asked, now: number, limits = LIMITS): number {
    const place = this.find(scope, viewer, 0, now);
    return place < 0 ? -1 : this.judge(scope, place, { viewer, device, address, reactions: [[HEART, taps]] }, taps, limits, now);
  }
}

/** A viewer on a timer, until the standing is reached; answers when that was. */
function tapUntil(court: Court, standing: string, viewer: string, from: number, periodMs = 200): number {
  for (let now = from; now < from + 10 * 60_000; now += periodMs) {
    court.ask({ viewer }, now);
    if (court.standing(court.find(0, viewer, 0, now)) === standing) return now;
  }
  throw new Error(`never ${standing}`);
}

describe('judge', () => {
  it('[SPAM-1] counts what viewer, device and network all have tokens for, and charges none for the rest', () => {
    const court = new Court();
    expect(court.ask({ viewer: 'a', device: 'd', address: 'n', taps: 100 }, START)).toBe(40);
    expect(court.ask({ viewer: 'b', device: 'd', address: 'n', taps: 100 }, START)).toBe(20);
    expect(court.ask({ viewer: 'c', device: 'e', address: 'n', taps: 100 }, START)).toBe(20);
    expect(court.ask({ viewer: 'f', device: 'g', address: 'n', taps: 5 }, START)).toBe(0);
    // Nobody was charged for what another one refused.
    expect(court.ask({ viewer: 'b', taps: 100 }, START)).toBe(20);
    expect(court.ask({ viewer: 'f', device: 'g', taps: 100 }, START)).toBe(40);
    expect(court.ask({ viewer: 'a', device: 'd', address: 'n', taps: 100, scope: 1 }, START)).toBe(40);
  });

  it('[SPAM-1] counts never more than any bucket alone would, and exactly the least when one viewer asks', () => {
    const batch = fc.record({ viewer: fc.constantFrom('a', 'b', 'c'), device: fc.constantFrom(null, 'd', 'e'), address: fc.constantFrom(null, 'n'), taps: fc.integer({ min: 1, max: 60 }), afterMs: fc.nat({ max: 2000 }) });
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 100 }), (batches) => {
        const court = new Court();
        const buckets = new Map<string, { grains: number; at: number }>();
        let now = START;
        for (const { viewer, device, address, taps, afterMs } of batches) {
          now += afterMs;
          const asked = [['viewer', viewer, LIMITS.viewer], ['device', device, LIMITS.device], ['address', address, LIMITS.address]] as const;
          const present = asked.filter(([, name]) => name !== null);
          const grainsOf = ([kind, name, limit]: (typeof asked)[number]): number => {
            const held = buckets.get(`${kind} ${name}`) ?? { grains: limit.tapBurstMax * 1000, at: now };
            return Math.min(limit.tapBurstMax * 1000, held.grains + (now - held.at) * limit.tapsPerSecondMax);
          };
          const counted = Math.min(taps, ...present.map((one) => Math.floor(grainsOf(one) / 1000)));
          for (const one of present) buckets.set(`${one[0]} ${one[1]}`, { grains: grainsOf(one) - counted * 1000, at: now });
          expect(court.ask({ viewer, device, address, taps }, now)).toBe(counted);
        }
      }),
    );
  });

  it('[SPAM-2] says the same of the same batches, whatever its seed', () => {
    const { arrivals } = population({ seed: 5, humans: 30, bots: 4, durationMs: 90_000 });
    const answers = [1, 4711].map((seed) => {
      const court = new Court({}, seed);
      return arrivals.map(({ at, member, counts }) => court.ask({ ...member, taps: counts.reduce((sum, one) => sum + one, 0) }, START + at, DEFAULT_POLICY.limits));
    });
    expect(answers[1]).toEqual(answers[0]);
  });

  it('[SPAM-3] refuses strangers when full, forgets newcomers first, and keeps whom it watches', () => {
    const court = new Court({ bucketsMax: 200, devicesMax: 50, addressesMax: 50 });
    const shadowedAt = tapUntil(court, 'shadow', 'bot', START);
    let watched = shadowedAt;
    // Fan and bot go on while hundreds of fresh names come every second, in bursts.
    for (let now = shadowedAt; now < shadowedAt + 60_000; now += 200) {
      expect(court.ask({ viewer: 'bot' }, now)).toBe(0);
      court.ask({ viewer: 'fan' }, now - (now % 3));
      watched = now;
      for (let index = 0; index < 100; index++) court.ask({ viewer: `${now}-${index}`, device: `${now}-${index}`, address: `${now}-${index}`, taps: 2 }, now);
      expect(court.stats['buckets']).toBeLessThanOrEqual(200);
      expect(court.stats['devices']).toBeLessThanOrEqual(50);
      expect(court.stats['addresses']).toBeLessThanOrEqual(50);
    }
    expect(court.standing(court.find(0, 'bot', 0, watched))).toBe('shadow');
    // Bursts of 40 fill the table with buckets that are not full: then a stranger waits.
    const later = watched + 10;
    const answers = Array.from({ length: 400 }, (_, index) => court.ask({ viewer: `late-${index}`, taps: 40 }, later));
    expect(answers).toContain(-1);
    expect(court.ask({ viewer: 'bot' }, later)).toBe(0);
    expect(court.ask({ viewer: 'stranger' }, later + 10_000)).toBe(1);
  });

  it('[SPAM-3] lets nobody push out what is known of a viewer in two minutes, nor a suspicion that is silent for one', () => {
    const court = new Court({ bucketsMax: 200 });
    const flood = (now: number): void => {
      for (let index = 0; index < 100; index++) court.ask({ viewer: `${now}-${index}` }, now);
    };
    // One tap, then two: nothing is noticed before the 16 cells that steadiness needs.
    let now = START;
    for (let batch = 0; batch < 4 * 150; batch++) {
      now = START + 250 * batch;
      court.ask({ viewer: 'steady', taps: 1 + (batch & 1) }, now);
      if (batch > 4 * 55) flood(now + 125);
    }
    expect(court.standing(court.find(0, 'steady', 0, now))).not.toBe('count');
    const shadowedAt = tapUntil(court, 'shadow', 'steady', now + 250);
    for (let silent = 200; silent < 50_000; silent += 200) flood(shadowedAt + silent);
    expect(court.ask({ viewer: 'steady' }, shadowedAt + 50_000)).toBe(0);
  });

  it('[SPAM-6] silences a timer within a minute, and counts the viewer again after minutes of quiet', () => {
    const court = new Court();
    const flaggedAt = tapUntil(court, 'flag', 'bot', START);
    const shadowedAt = tapUntil(court, 'shadow', 'bot', flaggedAt + 200);
    expect(shadowedAt - START).toBeLessThan(60_000);
    expect(court.ask({ viewer: 'bot' }, shadowedAt + 200)).toBe(0);
    // The first tap afterwards closes the cell of before; the pause lets the score fade.
    expect(court.ask({ viewer: 'bot' }, shadowedAt + 5 * 60_000)).toBe(1);
    expect(court.flagged(0, shadowedAt + 5 * 60_000)).toMatchObject([{ viewer: 'bot', standing: 'forgiven' }]);
  });

  it('[SPAM-9] lists the flagged with their evidence, the worst first, per stream', () => {
    const court = new Court();
    const now = tapUntil(court, 'shadow', 'bot', START);
    for (let tap = 1; tap <= 50; tap++) court.ask({ viewer: 'bot', device: 'phone' }, now + 200 * tap);
    const [bot, ...others] = court.flagged(0, now + 10_000);
    expect(others).toEqual([]);
    expect(bot).toMatchObject({ viewer: 'bot', device: 'phone', standing: 'shadow' });
    expect(bot!.tapsPerSecond).toBeGreaterThan(4);
    expect(bot!.reasons).toContain('cadence');
    expect(bot!.score).toBeGreaterThanOrEqual(70);
    expect(bot!.shadowedTaps).toBeGreaterThanOrEqual(50);
    expect(bot!.intervals[7], 'between 160 and 200 ms').toBe(bot!.samples);
    expect(bot!.cells.slice(-3)).toEqual([30, 30, 30]);
    expect(court.flagged(1, now)).toEqual([]);
    expect(court.flagged(0, now + 11 * 60_000)).toEqual([]);
    expect(JSON.parse(JSON.stringify(bot))).toEqual(bot);
  });

  it('[SPAM-9] keeps the hundred highest scores of a stream, and a bounded number in all', () => {
    const court = new Court({ bucketsMax: 10_000, flaggedMax: 150 });
    for (let now = START; now < START + 60_000; now += 200) {
      for (let index = 0; index < 120; index++) court.ask({ viewer: `bot-${index}`, scope: 0 }, now);
      for (let index = 0; index < 80; index++) court.ask({ viewer: `bot-${index}`, scope: 1 }, now);
    }
    expect(court.flagged(0, START + 60_000)).toHaveLength(100);
    expect(court.flagged(1, START + 60_000)).toHaveLength(50);
    expect(court.stats).toMatchObject({ flagged: 150, viewersShadowed: 200, viewersFlagged: 200 });
    court.forget(0);
    expect(court.flagged(0, START)).toEqual([]);
    expect(court.stats['flagged']).toBe(50);
  });

  it('[SPAM-8] finds the bots of a crowd and lets its people alone', () => {
    const tallies: Tallies = new Map();
    judgePopulation(population({ seed: 1, humans: 600, bots: 24, durationMs: 300_000 }), tallies);
    const recall = Object.fromEntries(BOTS.map((kind) => [kind, tallies.get(kind)!.shadowed / tallies.get(kind)!.viewers]));
    expect(recall['metronome']).toBeGreaterThanOrEqual(0.95);
    expect(recall['flood']).toBe(1);
    expect(recall['swarm']).toBeGreaterThanOrEqual(0.75);
    expect(recall['devices']).toBeGreaterThanOrEqual(0.95);
    // Who plays a person's taps again cannot be told from that person, and is not guessed at.
    expect(recall['replay']).toBeLessThanOrEqual(0.05);
    expect(humansOf(tallies).shadowed).toBeLessThanOrEqual(1);
    expect(tallies.get('flood')!.uncounted / tallies.get('flood')!.taps).toBeGreaterThan(0.95);
    expect(tallies.get('metronome')!.uncounted / tallies.get('metronome')!.taps).toBeGreaterThan(0.6);
  });
});
