import { expect, test } from 'vitest';
import { stopSignal } from '../../src/cli/stop-signal.ts';

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('[CLI-42] %s asks for an orderly stop, once', (name) => {
  let forced = 0;
  const before = process.listeners(name);
  const stop = stopSignal(() => (forced += 1));
  // Not those of who runs the tests.
  const added = process.listeners(name).filter((listener) => !before.includes(listener));
  expect(added).toHaveLength(1);
  added[0]!(name);
  expect(stop.signal.aborted).toBe(true);
  // The same press, passed on once more.
  added[0]!(name);
  expect(forced).toBe(0);
  stop.release();
  expect(process.listeners(name)).toEqual(before);
});
