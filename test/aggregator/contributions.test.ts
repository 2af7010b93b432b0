import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { ContributionRing } from '../../src/aggregator/contribution-ring.ts';
import { CONTRIBUTION_DEFAULTS, Contributions, NOBODY } from '../../src/aggregator/contributions.ts';
import type { Search } from '../../src/aggregator/contribution-search.ts';
import type { Contribution } from '../../src/hot-store/hot-store.ts';

const START = 1_795_000_000_000;
const STREAM = 'derby' as StreamId;
const ACTOR = actorId({ region: 'us', shard: 0, epoch: 1 });
const EVER = { from: 0, to: Infinity };

const streamOf = (): StreamId => STREAM;
const emojiIdOf = (number: number): EmojiId => `e${number}` as EmojiId;

class Shard {
  readonly contributions: Contributions;
  #cell = NOBODY;

  constructor(limits: Partial<typeof CONTRIBUTION_DEFAULTS> = {}) {
    this.contributions = new Contributions({ ...CONTRIBUTION_DEFAULTS, ...limits }, 1);
  }

  add(viewer: string, taps: number, now: number, { device = null as string | null, emoji = 0 } = {}): void {
    this.contributions.reserve(1, now);
    const slot = this.contributions.viewer(0, viewer, 0);
    const deviceSlot = device === null ? NOBODY : this.contributions.device(0, device, slot);
    this.#cell = this.contributions.add(slot, deviceSlot, emoji, taps, now, this.#cell, { viewer, device }, 0);
  }

  take(kind: 'viewer' | 'device', id: string, time = EVER, cellsMax = Infinity): number {
    const slot = this.contributions.find(kind, 0, id);
    const search: Search = { orders: new Map([[slot, [{ kind, id, ...time }]]]), position: null };
    let taken = 0;
    if (slot === NOBODY) return 0;
    let isThrough = false;
    while (!isThrough) {
      isThrough = this.contributions.search(search, cellsMax, START, (_scope, _emoji, _at, taps) => {
        taken += taps;
        return 'take';
      });
    }
    return taken;
  }

  changed(): Contribution[] {
    return this.contributions.takeChanged(streamOf, emojiIdOf);
  }
}

describe('contributions', () => {
  it('[AGG-30] knows what each viewer and device contributed, by emoji and second, once', () => {
    const shard = new Shard();
    shard.add('v', 2, START);
    shard.add('v', 1, START + 500);
    shard.add('v', 3, START + 999, { device: 'd' });
    shard.add('v', 4, START + 1000, { emoji: 1 });
    shard.add('w', 5, START + 1000, { device: 'd' });
    const own = { stream: STREAM, retracted: 0, actor: null };
    expect(shard.changed()).toEqual([
      { ...own, viewer: 'v', device: null, emoji: 'e0', at: START + 500, counted: 3, number: 0 },
      { ...own, viewer: 'v', device: 'd', emoji: 'e0', at: START + 999, counted: 3, number: 1 },
      { ...own, viewer: 'v', device: null, emoji: 'e1', at: START + 1000, counted: 4, number: 2 },
      { ...own, viewer: 'w', device: 'd', emoji: 'e0', at: START + 1000, counted: 5, number: 3 },
    ]);
    expect(shard.changed()).toEqual([]);
    // What a device had a part in is taken back once, whoever of the two is asked for first.
    expect(shard.take('device', 'd')).toBe(8);
    expect(shard.take('viewer', 'v')).toBe(7);
    expect(shard.take('viewer', 'w')).toBe(0);
    expect(shard.take('viewer', 'nobody')).toBe(0);
    expect(shard.changed().map(({ counted, retracted }) => counted - retracted)).toEqual([0, 0, 0, 0]);
  });

  it('[AGG-33] takes back whole seconds: the one of the beginning, and that of the end when nothing was counted after it', () => {
    const shard = new Shard();
    for (const at of [START - 1, START + 200, START + 1300, START + 2600, START + 2800]) shard.add('v', 1, at);
    expect(shard.take('viewer', 'v', { from: START + 900, to: START + 2700 })).toBe(2);
    expect(shard.take('viewer', 'v', { from: START + 900, to: START + 2801 })).toBe(2);
    expect(shard.take('viewer', 'v', { from: 0, to: START + 1 })).toBe(1);
    expect(shard.take('viewer', 'v')).toBe(0);
  });

  it('[AGG-32] forgets the oldest first, by number and by age, and nobody stays of whom nothing is kept', () => {
    const shard = new Shard({ contributionsMax: 100, contributionsKeptMs: 60_000 });
    for (let index = 0; index < 250; index++) {
      shard.add(`v${index}`, 1, START + index * 10, { device: `d${index % 3}` });
      shard.changed();
    }
    expect(shard.contributions.size).toBe(100);
    expect(shard.take('viewer', 'v149')).toBe(0);
    // A second that is not whole any more is let be.
    expect(shard.contributions.forgottenUntilMs).toBe(START + 2000);
    expect(shard.take('viewer', 'v199')).toBe(0);
    expect(shard.take('viewer', 'v200')).toBe(1);
    expect(shard.take('device', 'd0')).toBe(17);
    shard.changed();
    shard.contributions.forget(START + 2000 + 61_000);
    expect(shard.contributions.size).toBe(0);
    expect(shard.contributions.contributorCount).toBe(0);
  });

  it('[AGG-32] remembers a viewer no longer than the slot is sure to be that viewer', () => {
    const { contributions } = new Shard({ contributionsMax: 32 });
    const memo = new Int32Array(2);
    const add = (viewer: number, now: number): unknown => contributions.add(viewer, NOBODY, 0, 1, now, NOBODY, { viewer: 'v', device: null }, 0);
    contributions.reserve(1, START);
    add(contributions.remembered(0, 'v', memo, 0), START);
    contributions.takeChanged(streamOf, emojiIdOf);
    expect(memo[0]).toBe(contributions.find('viewer', 0, 'v'));
    // Kept by what was counted last, also when that was found from memory.
    contributions.reserve(1, START + 1000);
    add(contributions.remembered(0, 'v', memo, 0), START + 1000);
    for (let index = 0; index < 32; index++) {
      contributions.reserve(1, START + 2000);
      add(contributions.viewer(0, `w${index}`, 0), START + 2000);
      contributions.takeChanged(streamOf, emojiIdOf);
      if (index !== 30) continue;
      // The first of the two cells is forgotten, and everybody of whom nothing is left.
      contributions.forget(START + 2000);
      expect(contributions.find('viewer', 0, 'v')).toBe(memo[0]);
    }
    expect(contributions.find('viewer', 0, 'v')).toBe(NOBODY);
    // Another one has the slot now, and the memory of it is not believed.
    const other = contributions.find('viewer', 0, 'w31');
    expect(other).toBe(memo[0]);
    const found = contributions.remembered(0, 'v', memo, 0);
    expect(found).not.toBe(other);
    expect(found).toBe(contributions.find('viewer', 0, 'v'));
  });

  it('[AGG-32] tells the commit what was taken back also of those whom it forgot before', () => {
    const shard = new Shard({ contributionsMax: 32 });
    shard.add('v', 7, START);
    shard.changed();
    expect(shard.take('viewer', 'v')).toBe(7);
    for (let index = 0; index < 60; index++) shard.add(`w${index}`, 1, START + 5000);
    const records = shard.changed();
    expect(records.filter(({ viewer }) => viewer === 'v')).toEqual([expect.objectContaining({ counted: 7, retracted: 7 })]);
    expect(records).toHaveLength(61);
  });

  it('[AGG-32] notes nobody beyond its bound, and says how much it did not', () => {
    const shard = new Shard({ contributionsMax: 32 });
    for (let index = 0; index < 100; index++) shard.add(`v${index}`, 2, START);
    expect(shard.contributions.size).toBe(31);
    expect(shard.contributions.contributorCount).toBe(64);
    expect(shard.contributions.unattributed).toBe(72);
    shard.changed();
    shard.add('later', 1, START + 5000);
    shard.add('later', 1, START + 6000);
    expect(shard.contributions.unattributed).toBe(72);
    expect(shard.take('viewer', 'later')).toBe(2);
  });

  it('[AGG-33] takes back a part of what one viewer was counted in a second, as far as it is there', () => {
    for (const isInOrder of [true, false]) {
      const shard = new Shard();
      if (!isInOrder) for (const at of [START + 9000, START - 9000]) shard.add('x', 1, at);
      for (let index = 0; index < 50; index++) shard.add(index % 2 === 0 ? 'v' : 'w', 1, START + index * 100, { device: index % 4 === 0 ? 'd' : null });
      shard.changed();
      const gift = { scope: 0, viewer: 'v', device: 'd', emoji: 0, countedAt: START + 1234, taps: 1 };
      const gifts = [gift, { ...gift, taps: 5 }, { ...gift, taps: 5 }, { ...gift, emoji: 1 }, { ...gift, viewer: 'nobody' }, { ...gift, device: 'nothing', taps: 5 }, { ...gift, viewer: 'w', taps: 2 }];
      // Nothing is known of what was not noted. A device that found no room was noted as none.
      expect(gifts.map((one) => shard.contributions.giveBack(one, START + 10_000))).toEqual([1, 1, 0, undefined, undefined, 3, 2]);
      const changed = shard.changed().map(({ at, counted, retracted }) => [at - START, counted, retracted]);
      expect(changed).toEqual([1200, 1600, 1000, 1400, 1800, 1100, 1300].map((at) => [at, 1, 1]));
      expect(shard.contributions.giveBack({ ...gift, countedAt: START - 5000 }, START + 10_000)).toBeUndefined();
      expect(shard.take('viewer', 'v')).toBe(20);
      expect(shard.contributions.giveBack({ ...gift, countedAt: START + 500, taps: 1 }, START + 10_000)).toBe(0);
    }
  });

  it('[AGG-33] looks for what is given back in its second alone, again also once what was out of order is forgotten', () => {
    const shard = new Shard({ contributionsMax: 32 });
    const { contributions } = shard;
    const lookedFor = (countedAt: number): number => {
      const before = contributions.looked;
      expect(contributions.giveBack({ scope: 0, viewer: 'v', device: null, emoji: 0, countedAt, taps: 1 }, countedAt)).toBe(1);
      return contributions.looked - before;
    };
    // A life before had a clock that was ahead.
    const ahead = { stream: STREAM, viewer: 'w', device: null, emoji: 'e0' as EmojiId, at: START + 9000, counted: 1, retracted: 0, actor: null, number: 1 };
    for (const at of [START + 9000, START - 9000]) contributions.join(0, 0, { ...ahead, at, number: at - START + 20_000 }, ACTOR);
    contributions.joined();
    for (const at of [START, START + 1000]) for (const viewer of ['v', 'w']) shard.add(viewer, 1, at);
    expect(lookedFor(START)).toBeGreaterThan(2);
    for (let second = 10; second < 26; second++) for (const viewer of ['v', 'w']) shard.add(viewer, 1, START + 1000 * second);
    expect(contributions.size).toBe(32);
    expect(lookedFor(START + 20_000)).toBeLessThanOrEqual(2);
  });

  it('[AGG-31] joins what commits said in any order and number, and hears nothing of what it has forgotten', () => {
    const tap = fc.record({ viewer: fc.constantFrom('v', 'w'), device: fc.constantFrom('d', null), emoji: fc.nat({ max: 1 }), afterMs: fc.nat({ max: 900 }), taps: fc.integer({ min: 1, max: 3 }), mute: fc.boolean() });
    fc.assert(
      fc.property(fc.array(tap, { maxLength: 40 }), fc.array(fc.nat(), { minLength: 1, maxLength: 20 }), (taps, order) => {
        const shard = new Shard();
        const said: Contribution[] = [];
        let now = START;
        for (const { viewer, device, emoji, afterMs, taps: count, mute } of taps) {
          now += afterMs;
          shard.add(viewer, count, now, { device, emoji });
          if (mute) shard.take('viewer', viewer, { from: now - 1500, to: now - 100 }, 3);
          said.push(...shard.changed());
        }
        const other = new Shard();
        const ranked = said.map((one, index) => ({ one, rank: order[index % order.length]! })).sort((a, b) => a.rank - b.rank);
        for (const { one } of [...ranked, ...ranked.slice(0, 3)]) other.contributions.join(0, Number(one.emoji.slice(1)), one, ACTOR);
        other.contributions.joined();
        const all = ({ contributions }: Shard): string[] => [...contributions.records(0, streamOf, emojiIdOf)].map((one) => JSON.stringify({ ...one, actor: null })).sort();
        expect(all(other)).toEqual(all(shard));
        const seconds = Array.from(other.contributions.records(0, streamOf, emojiIdOf), ({ at }) => Math.floor(at / 1000));
        expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
        expect(other.take('viewer', 'v')).toBe(shard.take('viewer', 'v'));
        expect(other.take('device', 'd')).toBe(shard.take('device', 'd'));

        const late = new Shard();
        late.contributions.forgetUntil(now);
        for (const one of said) late.contributions.join(0, 0, one, ACTOR);
        expect(late.contributions.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the ring of contributions', () => {
  it('[AGG-32] gives memory back with the cells, goes round, and knows the order', () => {
    const ring = new ContributionRing(10_000);
    const pushed: number[] = [];
    for (let index = 0; index < 100_000; index++) {
      if (ring.size === 5000) ring.dropOldest();
      const position = ring.push();
      ring.cellsAt(position)[ring.offsetOf(position)] = index;
      pushed.push(position);
    }
    expect(ring.size).toBe(5000);
    const kept = pushed.slice(-5000);
    expect([...ring.positions()]).toEqual(kept);
    expect(kept.map((position) => ring.cellsAt(position)[ring.offsetOf(position)])).toEqual(kept.map((_, index) => 95_000 + index));
    expect(ring.newest).toBe(kept.at(-1));
    expect(kept.slice(1).map((position) => ring.before(position))).toEqual(kept.slice(0, -1));
    expect(ring.holds(ring.before(kept[0]!))).toBe(false);
    expect(ring.holds(kept[0]!)).toBe(true);
    ring.dropOldest();
    expect(ring.holds(kept[0]!)).toBe(false);
    // Whoever looks at all cells and lets time pass in between misses none that stays.
    const seen: number[] = [];
    for (const position of ring.positions()) {
      seen.push(position);
      if (seen.length === 10) for (let dropped = 0; dropped < 100; dropped++) ring.dropOldest();
      if (seen.length === 20) ring.push();
    }
    expect(seen).toEqual([...kept.slice(1, 11), ...kept.slice(101)]);
    expect(new ContributionRing(1).holds(new ContributionRing(1).newest)).toBe(false);
  });
});
