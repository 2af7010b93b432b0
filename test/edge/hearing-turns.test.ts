/** Who is heard in which turn of the event loop. */

import { expect, it } from 'vitest';
import { BATCHES_PER_TURN, HearingTurns, type Speaker } from '../../src/edge/hearing-turns.ts';
import type { Timers } from '../../regions/runtime.ts';

function setUp() {
  const due: (() => void)[] = [];
  const timers: Timers = { after: (_delayMs, call) => (due.push(call), () => {}), every: () => () => {} };
  const turns = new HearingTurns(timers);
  const called: string[] = [];
  const speaker = (name: string, waitingBatches: number, keepsPace = true): Speaker => ({ keepsPace, waitingBatches, letGo: () => called.push(name) });
  return {
    turns,
    speaker,
    /** One turn. @returns who was called in it */
    turn(): string[] {
      for (const call of due.splice(0)) call();
      return called.splice(0);
    },
    isIdle: () => due.length === 0,
  };
}

it('[LOAD-15] a turn has heard enough after so many batches, and the next one hears as many again', () => {
  const { turns, turn, isIdle } = setUp();
  for (let round = 0; round < 3; round++) {
    const heard = Array.from({ length: BATCHES_PER_TURN + 5 }, () => turns.hear());
    expect(heard.indexOf(true)).toBe(BATCHES_PER_TURN);
    expect(heard.filter(Boolean)).toHaveLength(5);
    expect(turn()).toEqual([]);
    expect(isIdle()).toBe(true);
  }
});

it('[LOAD-15] as many are called in a turn as will bring about what it can hear, one at least, first come first', () => {
  const { turns, speaker, turn, isIdle } = setUp();
  const third = BATCHES_PER_TURN / 3;
  for (const name of ['a', 'b', 'c', 'd']) turns.add(speaker(name, third + 1));
  turns.add(speaker('e', 10 * BATCHES_PER_TURN));
  for (let index = 0; index < BATCHES_PER_TURN + 1; index++) turns.add(speaker(`f${index}`, 0.1));
  expect(turn()).toEqual(['a', 'b', 'c']);
  expect(turn()).toEqual(['d', 'e']);
  expect(turn()).toHaveLength(BATCHES_PER_TURN);
  expect(turns.waiting).toBe(1);
  expect(turn()).toEqual([`f${BATCHES_PER_TURN}`]);
  expect([turns.waiting, isIdle()]).toEqual([0, true]);
});

it('[LOAD-15] who keeps the pace is called before who does not, however long that one has waited', () => {
  const { turns, speaker, turn } = setUp();
  turns.add(speaker('deaf', BATCHES_PER_TURN, false));
  turns.add(speaker('deaf too', BATCHES_PER_TURN, false));
  turns.add(speaker('ann', 1));
  expect(turn()).toEqual(['ann', 'deaf']);
  turns.add(speaker('bob', 1));
  expect(turn()).toEqual(['bob', 'deaf too']);
});

it('[LOAD-15] who turns out not to keep the pace while it waits goes behind those who do', () => {
  const { turns, speaker, turn } = setUp();
  const rusher = { ...speaker('rusher', 1), keepsPace: true };
  turns.add(rusher);
  const cancel = turns.add(speaker('gone', 1));
  turns.add(speaker('ann', BATCHES_PER_TURN));
  rusher.keepsPace = false;
  cancel();
  expect(turn()).toEqual(['ann']);
  expect(turns.waiting).toBe(1);
  expect(turn()).toEqual(['rusher']);
});

it('[LOAD-15] who has gone is not called', () => {
  const { turns, speaker, turn } = setUp();
  const cancel = turns.add(speaker('ann', 1));
  turns.add(speaker('bob', 1));
  cancel();
  expect(turns.waiting).toBe(1);
  expect(turn()).toEqual(['bob']);
});
