import { expect, test } from 'vitest';
import { backoffMs } from '../../regions/backoff.ts';
import { IN_STEP, MISMATCHES_MAX, heard, startedAnew, type Continuity, type Verdict } from '../../regions/continuity.ts';

/** Hears mismatches until something is done, and tells what and after how many. */
function untilVerdict(continuity: Continuity): { verdict: Verdict; after: number; continuity: Continuity } {
  for (let after = 1; ; after++) {
    const [next, verdict] = heard(continuity, false);
    if (verdict !== 'wait') return { verdict, after, continuity: next };
    continuity = next;
  }
}

test('[REP-3] three mismatches in a row: read anew; three more: keep the rows; then twice the patience', () => {
  let step = untilVerdict(IN_STEP);
  expect(step).toMatchObject({ verdict: 'read-anew', after: MISMATCHES_MAX });
  step = untilVerdict(startedAnew(step.continuity));
  expect(step).toMatchObject({ verdict: 'keep-rows', after: MISMATCHES_MAX });
  step = untilVerdict(step.continuity);
  expect(step).toMatchObject({ verdict: 'read-anew', after: 2 * MISMATCHES_MAX });
  step = untilVerdict(step.continuity);
  expect(step).toMatchObject({ verdict: 'keep-rows', after: MISMATCHES_MAX });
  expect(untilVerdict(step.continuity)).toMatchObject({ verdict: 'read-anew', after: 4 * MISMATCHES_MAX });
});

test('[REP-3] one match forgets all mismatches', () => {
  const [once] = heard(IN_STEP, false);
  const [twice] = heard(once, false);
  expect(heard(twice, true)).toEqual([IN_STEP, 'in-step']);
});

test('[REP-3] a log that was read from its first message anyway need not be read again before rows are kept', () => {
  expect(untilVerdict(startedAnew(IN_STEP))).toMatchObject({ verdict: 'keep-rows', after: MISMATCHES_MAX });
});

test('[REP-3] the patience has an end: a mismatch that nothing mends is looked at every few minutes', () => {
  let continuity = IN_STEP;
  let longest = 0;
  for (let round = 0; round < 40; round++) {
    const step = untilVerdict(continuity);
    continuity = step.continuity;
    longest = Math.max(longest, step.after);
  }
  expect(longest).toBe(MISMATCHES_MAX * 64);
});

test('backoff grows to its limit, keeps its minimum and is jittered', () => {
  const limits = { minMs: 200, maxMs: 2000 };
  expect(backoffMs(1, limits, { next: () => 0 })).toBe(200);
  expect(backoffMs(1, limits, { next: () => 1 })).toBe(400);
  expect(backoffMs(3, limits, { next: () => 1 })).toBe(1600);
  expect(backoffMs(1000, limits, { next: () => 1 })).toBe(2000);
  expect(backoffMs(1000, limits, { next: () => 0.5 })).toBe(1100);
});
