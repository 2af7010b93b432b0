/** The batches of one socket that wait for their answer. */

import { expect, it } from 'vitest';
import { InFlight } from '../../src/edge/in-flight.ts';

it('knows what is in flight and since when, and each batch leaves once', () => {
  const inFlight = new InFlight();
  inFlight.add(7, 's1', 100);
  inFlight.add(8, 's1', 110);
  expect([inFlight.size, inFlight.sessionOf(7), inFlight.sessionOf(9)]).toEqual([2, 's1', undefined]);
  expect([inFlight.take(7, 's2'), inFlight.take(7, 's1'), inFlight.take(7, 's1')]).toEqual([undefined, 100, undefined]);
  inFlight.add(9, 's2', 120);
  expect([inFlight.size, inFlight.sessionOf(7), inFlight.sessionOf(9), inFlight.take(8, 's1'), inFlight.take(9, 's2')]).toEqual([2, undefined, 's2', 110, 120]);
  expect(inFlight.size).toBe(0);
});

it('gives up what was submitted up to a time, and only that', () => {
  const inFlight = new InFlight();
  for (let sequence = 1; sequence <= 4; sequence++) inFlight.add(sequence, 's', sequence * 10);
  inFlight.take(1, 's');
  expect(inFlight.takeUpTo(30)).toEqual([2, 3]);
  expect([inFlight.size, inFlight.sessionOf(4)]).toEqual([1, 's']);
});
