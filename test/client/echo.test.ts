import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Echo, HOLD_MS } from '../../src/client/echo.ts';

const heart = (count: number) => [{ emoji_id: 'heart', count }];

test('[SDK-8] an own tap shows at once, and once, whether its frame or its answer comes first', () => {
  for (const answerFirst of [true, false]) {
    const echo = new Echo();
    echo.show({ heart: 10 }, true, 0);
    echo.tap('heart', 3);
    expect(echo.totals).toEqual({ heart: 13 });
    if (answerFirst) echo.settle(heart(3), 3);
    echo.show({ heart: 13 }, true, 250);
    // The frame that came before its answer would count it twice, for as long as the answer takes.
    expect(echo.totals).toEqual({ heart: answerFirst ? 13 : 16 });
    if (!answerFirst) echo.settle(heart(3), 3);
    echo.show({ heart: 16 }, true, 500);
    expect(echo.totals).toEqual({ heart: 16 });
  }
});

test('[SDK-8] a frame that is older than the last answer moves nothing down', () => {
  const echo = new Echo();
  echo.show({ heart: 10 }, true, 0);
  echo.tap('heart', 3);
  echo.settle(heart(3), 3);
  echo.show({ heart: 10 }, true, 200);
  expect(echo.totals).toEqual({ heart: 13 });
  echo.show({ heart: 13 }, true, 400);
  expect(echo.totals).toEqual({ heart: 13 });
});

test('[SDK-8] what really is less is approached in steps, after it stood for a while', () => {
  const echo = new Echo();
  echo.show({ heart: 100 }, true, 0);
  const shown: number[] = [];
  for (let at = 250; at <= HOLD_MS + 2_000; at += 250) {
    echo.show({ heart: 92 }, true, at);
    shown.push(echo.totals['heart']!);
  }
  expect(shown.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 100));
  expect(shown.slice(10, 15)).toEqual([96, 94, 93, 92, 92]);
});

test('[SDK-19] what was taken back falls at once, and no further than that; the viewer’s own taps stay', () => {
  const echo = new Echo();
  echo.show({ heart: 100, fire: 50 }, true, 0);
  echo.tap('heart', 3);
  echo.show({ heart: 70, fire: 50 }, true, 250, 40);
  // Forty went and ten came.
  expect(echo.totals).toEqual({ heart: 73, fire: 50 });
  // Five of what is less were taken back; the other ten stand, as what may only be unknown here.
  echo.show({ heart: 70, fire: 35 }, true, 500, 5);
  expect(echo.totals).toEqual({ heart: 73, fire: 45 });
  for (let at = 750; at <= HOLD_MS + 5_000; at += 250) echo.show({ heart: 70, fire: 35 }, true, at);
  expect(echo.totals).toEqual({ heart: 73, fire: 35 });
});

test('[SDK-8] the object of totals changes when a number does, and is never changed itself', () => {
  const echo = new Echo();
  echo.show({ heart: 1 }, true, 0);
  const before = echo.totals;
  echo.show({ heart: 1 }, true, 250);
  expect(echo.totals).toBe(before);
  echo.tap('heart', 1);
  expect(before).toEqual({ heart: 1 });
  expect(echo.totals).not.toBe(before);
});

test('[SDK-8] in any order of taps, answers and frames: taps move up at once, nothing jumps down, the end is the truth', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('tap' as const), count: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ kind: fc.constant('answer' as const), clamped: fc.nat(3) }),
    fc.record({ kind: fc.constant('frame' as const), others: fc.nat(20), lag: fc.nat(2) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const echo = new Echo();
      const open: number[] = [];
      const history = [0, 0, 0];
      let counted = 0;
      let now = 0;
      let shown = 0;
      for (const action of steps) {
        const before = shown;
        now += 250;
        if (action.kind === 'tap') {
          open.push(action.count);
          echo.tap('constructor', action.count);
          shown = echo.totals['constructor']!;
          expect(shown).toBe(before + action.count);
        } else if (action.kind === 'answer') {
          const count = open.shift();
          if (count === undefined) continue;
          const accepted = Math.max(0, count - action.clamped);
          counted += accepted;
          echo.settle([{ emoji_id: 'constructor', count }], accepted);
        } else {
          counted += action.others;
          history.push(counted);
          echo.show({ constructor: history.at(-1 - action.lag)! } as unknown as Record<string, number>, true, now);
          shown = echo.totals['constructor']!;
          expect(shown).toBeGreaterThanOrEqual(Math.floor(before / 2));
        }
      }
      for (const count of open) {
        counted += count;
        echo.settle([{ emoji_id: 'constructor', count }], count);
      }
      for (let frames = 0; frames < 30; frames++) echo.show({ constructor: counted } as unknown as Record<string, number>, true, (now += 250));
      expect(echo.totals['constructor']).toBe(counted);
    }),
  );
});
