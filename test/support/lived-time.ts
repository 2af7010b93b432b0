/**
 * Time as this process got to live it. What is promised within a time is promised on a machine that lets its processes run; where the
 * processors are taken away for seconds, a wall clock judges the machine.
 */

const TICK_MS = 5;

/** Counts from now on: milliseconds, of which a pause of the process, however long, is one tick. Never more than a wall clock says. */
export function livedTime(): { readonly ms: () => number; readonly stop: () => void } {
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), TICK_MS);
  return { ms: () => ticks * TICK_MS, stop: () => clearInterval(timer) };
}
