import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HEARTS,
  LANES_MAX,
  SPAWNS_PER_SECOND_MAX,
  STATIC_PER_SECOND,
  SpawnPlan,
  particlesPerSecond,
  type CrowdFrame,
} from '../../../src/client/overlay/spawn-plan.ts';

const FRAME_MS = 250;
const STEP_MS = 1000 / 60;

interface Spawn {
  readonly emoji: string;
  /** When it starts to be seen. */
  readonly at: number;
}

/** A plan on a clock of its own. */
function stage(random: () => number = () => 0.5) {
  const plan = new SpawnPlan(random);
  const spawns: Spawn[] = [];
  let now = 0;
  return {
    plan,
    spawns,
    heed: (frame: CrowdFrame): void => plan.heed(frame, now),
    echo: (emoji: string): string => plan.echo(emoji, now),
    pass(durationMs: number, stepMs = STEP_MS): void {
      for (let left = durationMs; left > 0; left -= stepMs) {
        const step = Math.min(left, stepMs);
        now += step;
        plan.advance(step, (emoji, ageMs) => spawns.push({ emoji, at: now - ageMs }));
      }
    },
    /** Time passes, and nobody draws. */
    stand(durationMs: number): void {
      now += durationMs;
    },
    count: (emoji?: string): number => spawns.filter((spawn) => emoji === undefined || spawn.emoji === emoji).length,
  };
}

function frameOf(hints: Record<string, number>, rates: Record<string, number> = {}, level: CrowdFrame['level'] = 'exact'): CrowdFrame {
  return { level, hints, rates };
}

/** The frames of a steady crowd. */
function steady(rate: Record<string, number>, level: CrowdFrame['level'] = 'exact'): CrowdFrame {
  const hints = Object.fromEntries(Object.entries(rate).map(([emoji, perSecond]) => [emoji, (perSecond * FRAME_MS) / 1000]));
  return frameOf(hints, rate, level);
}

const anyNumber = fc.oneof(fc.double({ min: -10, max: 1e9 }), fc.constantFrom(0, 1, 1e6, Number.NaN, Infinity, -1));
const anyFrame = fc.record({
  level: fc.constantFrom('exact', 'relaxed', 'hearts', 'static'),
  rates: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), anyNumber),
  hints: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), anyNumber),
});
const randomness = fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })).map((stream) => () => stream.next().value!);

describe('the law from reactions to particles', () => {
  it('[OVL-1] is one to one up to 4 a second, then grows ever more slowly, and ends below 90', () => {
    for (const rate of [0, 0.05, 1, 4]) expect(particlesPerSecond(rate)).toBe(rate);
    expect([10, 100, 1_000, 1_000_000].map((rate) => Math.round(particlesPerSecond(rate)))).toEqual([8, 23, 39, 87]);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), fc.double({ min: 0, max: 1e12, noNaN: true }), (one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        expect(particlesPerSecond(low)).toBeLessThanOrEqual(Math.min(low, particlesPerSecond(high), SPAWNS_PER_SECOND_MAX));
        const middle = particlesPerSecond((low + high) / 2);
        expect(middle).toBeGreaterThanOrEqual((particlesPerSecond(low) + particlesPerSecond(high)) / 2 - 1e-9);
      }),
    );
  });
});

describe('spawn plan', () => {
  it('[OVL-2] never starts more than the bound, whatever frames say and however fast they come', () => {
    const steps = fc.array(fc.tuple(anyFrame, fc.double({ min: 0, max: 400, noNaN: true })), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(steps, randomness, (frames, random) => {
        const { plan, pass, heed, count } = stage(random);
        let elapsedMs = 0;
        for (const [frame, durationMs] of frames) {
          heed(frame as CrowdFrame);
          pass(durationMs);
          elapsedMs += durationMs;
        }
        // One more for each lane, whose first starts before a whole one has come in.
        expect(count()).toBeLessThanOrEqual((SPAWNS_PER_SECOND_MAX * elapsedMs) / 1000 + 5);
        plan.clear();
        expect(plan.idle).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    [0, 0, 0],
    [1, 0.9, 1.1],
    [1_000_000, 80, 90],
  ])('[OVL-2] at a steady %d taps a second it starts between %d and %d a second', (rate, least, most) => {
    const { heed, pass, count, plan } = stage();
    for (let frame = 0; frame < 80; frame++) {
      heed(steady(rate === 0 ? {} : { heart: rate }));
      pass(FRAME_MS);
    }
    expect(count() / 20).toBeGreaterThanOrEqual(least);
    expect(count() / 20).toBeLessThanOrEqual(most);
    expect(plan.idle).toBe(rate === 0);
  });

  it('[OVL-3] a lone tap is seen once, within a frame, however its smoothed rate fades', () => {
    const { heed, pass, count, spawns } = stage();
    for (let tap = 1; tap <= 30; tap++) {
      let rate = 0.9;
      heed(frameOf({ heart: 1 }, { heart: rate }));
      pass(FRAME_MS);
      expect(count()).toBe(tap);
      while (rate > 0.05) {
        rate *= 0.78;
        heed(frameOf({}, { heart: Math.round(rate * 10) / 10 }));
        pass(FRAME_MS);
      }
      heed(frameOf({}));
      pass(2_000);
    }
    expect(spawns).toHaveLength(30);
  });

  it('[OVL-3] spreads what a frame asks for over the time until the next, at any frame rate of the screen', () => {
    const cadence = fc.constantFrom(1000 / 144, 1000 / 60, 1000 / 20, 1000 / 8);
    fc.assert(
      fc.property(fc.double({ min: 100, max: 1e6, noNaN: true }), cadence, randomness, (rate, stepMs, random) => {
        const { heed, pass, spawns } = stage(random);
        for (let frame = 0; frame < 24; frame++) {
          heed(steady({ heart: rate }));
          pass(FRAME_MS, stepMs);
        }
        const settled = spawns.filter(({ at }) => at >= 2_000 && at < 5_000);
        const tenths = Array.from({ length: 30 }, () => 0);
        for (const { at } of settled) tenths[Math.floor((at - 2_000) / 100)]!++;
        const mean = settled.length / 30;
        expect(Math.max(...tenths)).toBeLessThanOrEqual(2 * mean + 2);
        expect(Math.min(...tenths)).toBeGreaterThanOrEqual(Math.floor(mean / 2) - 1);
      }),
      { numRuns: 40 },
    );
  });

  it('[OVL-3] a frame that is a fifth late leaves no gap', () => {
    const { heed, pass, spawns } = stage();
    for (let frame = 0; frame < 40; frame++) {
      heed(steady({ heart: 10_000 }));
      pass(frame % 2 === 0 ? FRAME_MS * 1.2 : FRAME_MS * 0.8);
    }
    const times = spawns.map(({ at }) => at).filter((at) => at > 2_000).sort((a, b) => a - b);
    const gaps = times.slice(1).map((at, index) => at - times[index]!);
    expect(Math.max(...gaps)).toBeLessThan(45);
  });

  it('[OVL-5] no emoji starves beside any other', () => {
    const crowd = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,6}$/), fc.double({ min: 0.5, max: 1e6, noNaN: true })), {
      selector: ([emoji]) => emoji,
      minLength: 2,
      maxLength: 6,
    });
    fc.assert(
      fc.property(crowd, (entries) => {
        const { heed, pass, count } = stage();
        for (let frame = 0; frame < 80; frame++) {
          heed(steady(Object.fromEntries(entries)));
          pass(FRAME_MS);
        }
        for (const [emoji, rate] of entries) {
          const fair = (particlesPerSecond(rate) * 20) / entries.length;
          expect(count(emoji)).toBeGreaterThanOrEqual(Math.floor(fair * 0.8) - 1);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('[OVL-6] a pause changes nothing of what is started, and a pause with frames brings no burst', () => {
    const run = (pauseMs: number): number[] => {
      const { heed, pass, stand, spawns } = stage();
      heed(steady({ heart: 40, fire: 3 }));
      pass(100);
      stand(pauseMs);
      pass(400);
      return spawns.map(({ at }) => Math.round(at > 100 + pauseMs / 2 ? at - pauseMs : at));
    };
    expect(run(60_000)).toEqual(run(0));

    const { heed, pass, stand, count, plan, echo } = stage();
    for (let frame = 0; frame < 500; frame++) {
      heed(steady({ heart: 1e6, [`e${frame}`]: 5 }));
      echo(`own${frame}`);
      stand(FRAME_MS);
      expect(plan.size).toBeLessThanOrEqual(2 * LANES_MAX);
    }
    pass(1_000);
    expect(count()).toBeLessThanOrEqual(SPAWNS_PER_SECOND_MAX * 0.4 + 2 * LANES_MAX);
    expect(plan.idle).toBe(true);
  });

  it('[OVL-7] the own tap that was shown at once is not shown again by its frame', () => {
    const { heed, echo, pass, count } = stage();
    for (let tap = 0; tap < 5; tap++) expect(echo('heart')).toBe('heart');
    heed(frameOf({ heart: 3 }, { heart: 2.6 }));
    pass(FRAME_MS);
    heed(frameOf({ heart: 2 }, { heart: 3.5 }));
    pass(FRAME_MS);
    expect(count()).toBe(0);
  });

  it('[OVL-7] own taps of whatever names are remembered up to a bound', () => {
    const { echo, plan } = stage();
    for (let tap = 0; tap < 1_000; tap++) expect(echo(`e${tap}`)).toBe(`e${tap}`);
    expect(plan.size).toBe(LANES_MAX);
  });

  it('[OVL-7] own taps that never count take nothing from the crowd for longer than 3 s', () => {
    const { heed, echo, pass, count } = stage();
    for (let tap = 0; tap < 100; tap++) echo('heart');
    for (let frame = 0; frame < 13; frame++) {
      heed(frameOf({}));
      pass(FRAME_MS);
    }
    heed(frameOf({ heart: 1 }, { heart: 0.9 }));
    pass(FRAME_MS);
    expect(count()).toBe(1);
  });

  it('[OVL-8] at `hearts` everything is hearts, as many as the crowd is worth, and own taps too', () => {
    const { heed, pass, count, echo } = stage();
    heed(steady({ fire: 500 }));
    pass(50);
    for (let frame = 0; frame < 40; frame++) {
      heed(steady({ fire: 500, heart: 400, '<any>': 100 }, 'hearts'));
      pass(FRAME_MS);
    }
    expect(count() - count(HEARTS)).toBeLessThanOrEqual(2);
    expect(count(HEARTS) / 10).toBeGreaterThan(particlesPerSecond(1_000) * 0.9);
    expect(echo('fire')).toBe(HEARTS);
    heed(steady({ fire: 500 }));
    expect(echo('fire')).toBe('fire');
  });

  it('[OVL-9] at `static` hearts rise by themselves, evenly and without frames, until another level', () => {
    const { heed, pass, count, plan, spawns } = stage();
    for (let frame = 0; frame < 5; frame++) {
      heed(steady({ fire: 1e6 }, 'static'));
      pass(2_000);
    }
    pass(10_000);
    expect(count(HEARTS)).toBe(count());
    expect(Math.abs(count() - 20 * STATIC_PER_SECOND)).toBeLessThanOrEqual(1);
    const gaps = spawns.slice(1).map(({ at }, index) => at - spawns[index]!.at);
    expect(Math.min(...gaps)).toBeGreaterThan(400);
    for (const level of ['exact', 'hearts'] as const) {
      heed(frameOf({}, {}, 'static'));
      heed(frameOf({}, {}, level));
      expect(plan.idle).toBe(true);
    }
  });
});
