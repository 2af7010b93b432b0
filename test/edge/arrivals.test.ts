import { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { Arrivals } from '../../src/edge/arrivals.ts';
import { Door } from '../../src/edge/door.ts';
import type { Runtime } from '../../regions/runtime.ts';

/** A clock that moves when it is told, timers that run when they are asked to. */
class World {
  now = 0;
  readonly #due: (() => void)[] = [];
  readonly runtime: Runtime = {
    clock: { now: () => this.now },
    timers: {
      after: (_delayMs, call) => {
        this.#due.push(call);
        return () => {};
      },
      every: () => () => {},
    },
    random: { next: () => 0.5 },
  };

  turn(): void {
    for (const call of this.#due.splice(0)) call();
  }
}

/** Keeps what was written to it. */
class Raw extends Duplex {
  readonly written: string[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk.toString());
    done();
  }

  destroySoon(): void {
    this.destroy();
  }
}

function setUp(waitingMax?: number) {
  const world = new World();
  const door = new Door(world.runtime.random);
  const arrivals = new Arrivals(world.runtime, door, waitingMax);
  const entered: number[] = [];
  const come = (index: number, costMs = 0): Raw => {
    const raw = new Raw();
    arrivals.add(raw, () => {
      entered.push(index);
      world.now += costMs;
    });
    return raw;
  };
  return { world, door, arrivals, entered, come };
}

it('[EDGE-74] who comes is let in in order, a few milliseconds of each turn', () => {
  const { world, arrivals, entered, come } = setUp();
  for (let index = 0; index < 10; index++) come(index, 1);
  world.turn();
  expect(entered).toEqual([]);
  world.turn();
  expect(entered).toEqual([0, 1, 2, 3]);
  come(10, 1);
  expect(arrivals.stats.arrivalsWaiting).toBe(7);
  for (let turn = 0; turn < 3; turn++) world.turn();
  expect(entered).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(arrivals.stats).toEqual({ arrivalsWaiting: 0, arrivalsGone: 0 });
});

it('[EDGE-74] who has left while waiting is passed over', async () => {
  const { world, arrivals, entered, come } = setUp();
  const [gone, cut] = [come(0), come(1)];
  come(2);
  gone.push(null);
  gone.read(0);
  cut.destroy();
  await new Promise((resolve) => gone.once('end', resolve));
  world.turn();
  world.turn();
  expect(entered).toEqual([2]);
  expect(arrivals.stats.arrivalsGone).toBe(2);
  expect(gone.destroyed).toBe(true);
});

it('[EDGE-74] who finds too many waiting, or the door closed, is refused with 503 and a time to return', () => {
  const { world, door, arrivals, entered, come } = setUp(2);
  const raws = [come(0), come(1), come(2)];
  expect(raws[2]!.written.join('')).toMatch(/^HTTP\/1.1 503 .*\r\nretry-after: 3\r\n.*Too many come at once/s);
  expect(arrivals.stats.arrivalsWaiting).toBe(2);
  door.close();
  world.turn();
  world.turn();
  expect(entered).toEqual([]);
  for (const raw of raws.slice(0, 2)) expect(raw.written.join('')).toMatch(/^HTTP\/1.1 503 .*This region is stopping/s);
  expect(door.stats.refusedAtDoor).toBe(3);
});
