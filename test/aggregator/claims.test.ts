import { describe, expect, it } from 'vitest';
import type { EmojiId } from '../../crdt/ids.ts';
import { ClaimsWorld, DERBY, LIES, type Sent } from './claims-world.ts';

/** Mulberry32. */
function seeded(seed: number): { next: () => number } {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
  };
}

const NAMES = ['us', 'eu', 'ap', 'sa', 'af'];

interface Viewer {
  readonly session: string;
  at: string;
  visit: number;
  sequence: number;
  readonly unanswered: Sent[];
}

/** Everything at random, then quiet. */
function run(seed: number): { world: ClaimsWorld; crashes: number; twice: number } {
  const random = seeded(seed);
  const world = new ClaimsWorld(random, NAMES.slice(0, 2 + Math.floor(random.next() * 4)));
  world.hearing = 0.8;
  const viewers = Array.from({ length: 1 + world.below(4) }, (_, index): Viewer => {
    return { session: `s${index}`, at: world.pick(world.names), visit: 0, sequence: 0, unanswered: [] };
  });
  const send = (viewer: Viewer, batch: Sent): void => {
    const { visit } = viewer;
    world.send(batch, viewer.at, () => viewer.visit === visit);
  };
  const liar = { at: world.pick(world.names), sequence: 0 };
  for (let turn = 0; turn < 150; turn++) {
    world.now += world.below(200);
    const chance = random.next();
    const viewer = world.pick(viewers);
    viewer.unanswered.splice(0, viewer.unanswered.length, ...viewer.unanswered.filter(({ acknowledged }) => acknowledged === null));
    if (chance < 0.12 && viewer.sequence < 50 && viewer.unanswered.length < 20) {
      viewer.sequence += 1;
      const batch = world.newBatch(viewer.session, viewer.sequence);
      viewer.unanswered.push(batch);
      send(viewer, batch);
    } else if (chance < 0.2) {
      const to = world.pick(world.names);
      if (to !== viewer.at && viewer.unanswered.every(({ visits }) => visits.length <= 7)) {
        viewer.at = to;
        viewer.visit += 1;
      }
      for (const batch of viewer.unanswered) send(viewer, batch);
    } else if (chance < 0.45) {
      world.deliver(random.next() < 0.1, random.next() < 0.2);
    } else if (chance < 0.65) {
      const fate = random.next();
      const region = world.region(world.pick(world.names));
      region.commit(fate < 0.03 ? 'before' : fate < 0.06 ? 'after' : null);
    } else if (chance < 0.75) {
      world.region(world.pick(world.names)).publish();
    } else if (chance < 0.78) {
      for (const again of world.again) again();
    } else if (chance < 0.8) {
      liar.sequence = Math.max(1, liar.sequence + world.below(3) - 1);
      const via = Array.from({ length: 1 + world.below(8) }, () => world.pick([...world.names, 'mars'])).filter((name, index, all) => name !== all[index - 1]);
      world.post(world.pick(world.names), {
        stream: LIES,
        viewer: 'liar',
        device: null,
        address: null,
        session: 'liar',
        sequence: liar.sequence,
        reactions: [['heart' as EmojiId, 1 + world.below(9)]],
        ...(random.next() < 0.2 ? {} : { via }),
      });
    } else world.gossip();
  }
  // Quiet: whoever was not answered sends until it is, and what is under way arrives or does not.
  world.hearing = 1;
  while (world.messagesWaiting > 0 && random.next() < 0.9) world.deliver(false, false);
  for (let round = 0; round < 40; round++) {
    world.now += 1500;
    for (const viewer of viewers) for (const batch of viewer.unanswered) if (batch.acknowledged === null) send(viewer, batch);
    while (world.messagesWaiting > 0) world.deliver(false, false);
    for (const region of world.regions.values()) region.commit(null);
  }
  world.settle();
  const crashes = [...world.regions.values()].reduce((sum, region) => sum + region.crashes, 0);
  const twice = [...world.countings.values()].filter((countings) => countings.length > 1).length;
  return { world, crashes, twice };
}

const sorted = (map: ReadonlyMap<string, number>): [string, number][] => [...map].filter(([, count]) => count !== 0).sort();

describe('claims', () => {
  it('[CLAIM-1] of each batch counts over all regions what its greatest counting had, whatever is lost, late, doubled or crashes', () => {
    const occurred = { crashes: 0, twice: 0 };
    for (let seed = 1; seed <= 200; seed++) {
      const { world, crashes, twice } = run(seed);
      occurred.crashes += crashes;
      occurred.twice += twice;
      expect(sorted(world.totals(DERBY)), `seed ${seed}`).toEqual(sorted(world.truth()));
      // Windows say the same as the counts.
      expect(sorted(world.windowTotals(DERBY)), `seed ${seed}`).toEqual(sorted(world.totals(DERBY)));
      for (const { session, sequence, acknowledged } of world.sent) {
        const countings = world.countings.get(`${session} ${sequence}`) ?? [];
        expect(Math.max(0, ...countings), `seed ${seed}`).toBeGreaterThanOrEqual(acknowledged ?? 0);
        expect(acknowledged, `seed ${seed}: answered in the end`).not.toBeNull();
      }
      // Nothing is left of it: neither pending claims nor documents.
      for (const { name, state, log } of world.regions.values()) {
        expect(state.claims.size, `seed ${seed}: ${name}`).toBe(0);
        expect([...log.keys()], `seed ${seed}: ${name}`).toEqual([]);
      }
      // Who lies about where a batch was moves nobody's counts but the own ones, and these never below nothing.
      for (const [, total] of world.totals(LIES)) expect(total, `seed ${seed}`).toBeGreaterThanOrEqual(0);
    }
    expect(occurred.crashes).toBeGreaterThan(100);
    expect(occurred.twice).toBeGreaterThan(100);
  });
});
