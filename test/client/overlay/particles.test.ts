import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PARTICLES_MAX, Particles } from '../../../src/client/overlay/particles.ts';
import { SPAWNS_PER_SECOND_MAX } from '../../../src/client/overlay/spawn-plan.ts';

const WIDTH = 400;
const HEIGHT = 300;
const GLYPH_PX = 30;
const LIFE_MS_MAX = 3_200;

const fraction = fc.double({ min: 0, max: 0.999, noNaN: true });
const randomness = fc.infiniteStream(fraction).map((stream) => () => stream.next().value!);
const step = (particles: Particles, elapsedMs: number): void => particles.step(elapsedMs, WIDTH, HEIGHT, GLYPH_PX);

describe('particles', () => {
  it('[OVL-4] are never more than there are places, and all end', () => {
    const commands = fc.array(
      fc.oneof(fc.record({ spawn: fc.integer({ min: 1, max: 400 }) }), fc.record({ pass: fc.double({ min: 0, max: 500, noNaN: true }) })),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(commands, randomness, (list, random) => {
        const particles = new Particles(random, 50);
        for (const command of list) {
          if ('pass' in command) step(particles, command.pass);
          else for (let left = command.spawn; left > 0; left--) particles.spawn(1, 0, random());
          expect(particles.count).toBeLessThanOrEqual(50);
        }
        step(particles, LIFE_MS_MAX + 1);
        expect(particles.count).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('[OVL-4] have room for the spawn plan at its fastest', () => {
    const particles = new Particles(() => 0.999);
    let mostInTheAir = 0;
    for (let spawned = 0; spawned < 1_000; spawned++) {
      particles.spawn(0, 0, 0.5);
      step(particles, 1000 / SPAWNS_PER_SECOND_MAX);
      mostInTheAir = Math.max(mostInTheAir, particles.count);
    }
    expect(mostInTheAir).toBeGreaterThan(200);
    expect(mostInTheAir).toBeLessThan(PARTICLES_MAX);
  });

  it('[OVL-4] without a place left, the one nearest to its end gives way to a new one', () => {
    const particles = new Particles(() => 0.5, 3);
    particles.spawn(1, 0, 0.1);
    particles.spawn(2, 1_500, 0.2);
    particles.spawn(3, 500, 0.3);
    particles.spawn(4, 0, 0.4);
    step(particles, 16);
    expect([...particles.sprite.subarray(0, particles.count)]).toEqual([1, 4, 3]);
  });

  it('[OVL-10] rise from below the stage to within it, fade to nothing, and keep their order', () => {
    fc.assert(
      fc.property(randomness, fc.double({ min: 8, max: 60, noNaN: true }), (random, stepMs) => {
        const particles = new Particles(random);
        particles.spawn(7, 0, 0.5);
        let [y, opacity] = [Number.POSITIVE_INFINITY, 1];
        for (;;) {
          step(particles, stepMs);
          if (particles.count === 0) break;
          expect(particles.y[0]!).toBeLessThanOrEqual(y);
          expect(particles.opacity[0]!).toBeLessThanOrEqual(opacity);
          expect(Math.abs(particles.x[0]! - WIDTH / 2)).toBeLessThanOrEqual(26);
          expect(particles.size[0]!).toBeLessThanOrEqual(GLYPH_PX * 1.25 + 1e-3);
          [y, opacity] = [particles.y[0]!, particles.opacity[0]!];
        }
        expect(y).toBeGreaterThanOrEqual(-1);
        expect(y).toBeLessThan(HEIGHT * 0.3);
        expect(opacity).toBeLessThan(0.1);
      }),
      { numRuns: 20 },
    );
    const order = new Particles(Math.random);
    for (let sprite = 0; sprite < 60; sprite++) {
      order.spawn(sprite, 0, 0.5);
      step(order, 100);
    }
    const left = [...order.sprite.subarray(0, order.count)];
    expect(left).toEqual([...left].sort((one, other) => one - other));
  });

  it('[OVL-10] one that outlives those before it keeps its own life and place', () => {
    let fortune = 0;
    const particles = new Particles(() => fortune);
    particles.spawn(1, 0, 0.1);
    fortune = 0.999;
    particles.spawn(2, 0, 0.9);
    step(particles, 1_990);
    const [x, y] = [particles.x[1]!, particles.y[1]!];
    step(particles, 20);
    expect([particles.count, particles.sprite[0]]).toEqual([1, 2]);
    expect(Math.abs(particles.x[0]! - x)).toBeLessThan(3);
    expect(Math.abs(particles.y[0]! - y)).toBeLessThan(3);
    step(particles, 1_180);
    expect(particles.count).toBe(1);
    step(particles, 20);
    expect(particles.count).toBe(0);
  });

  it('[OVL-10] one that starts later is not drawn until then', () => {
    const particles = new Particles(() => 0.5);
    particles.spawn(0, -50, 0.5);
    step(particles, 40);
    expect([particles.count, particles.opacity[0]]).toEqual([1, 0]);
    step(particles, 20);
    expect(particles.opacity[0]).toBeGreaterThan(0);
  });
});
