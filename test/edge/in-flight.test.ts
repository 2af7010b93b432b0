/** The batches of one socket that wait for their answer. */

import { expect, it } from 'vitest';
import { InFlight } from '../../src/edge/in-flight.ts';

it('knows what is in flight and since when, and each batch leaves once', () => {
  const inFlight = new InFlight();
  inFlight.add(7, 100);
  inFlight.add(8, 110);
  expect([inFlight.size, inFlight.has(7), inFlight.has(9)]).toEqual([2, true, false]);
  expect([inFlight.take(7), inFlight.take(7)]).toEqual([100, undefined]);
  inFlight.add(9, 120);
  expect([inFlight.size, inFlight.has(7), inFlight.take(8), inFlight.take(9)]).toEqual([2, false, 110, 120]);
  expect(inFlight.size).toBe(0);
});

it('gives up what was submitted up to a time, and only that', () => {
  const inFlight = new InFlight();
  for (let sequence = 1; sequence <= 4; sequence++) inFlight.add(sequence, sequence * 10);
  inFlight.take(1);
  expect(inFlight.takeUpTo(30)).toEqual([2, 3]);
  expect([inFlight.size, inFlight.has(4)]).toEqual([1, true]);
});
