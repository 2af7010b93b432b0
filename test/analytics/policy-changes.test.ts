import { describe, expect, it } from 'vitest';
import { AuditTrail, type ChangeStore, type PolicyChange } from '../../src/analytics/policy-changes.ts';
import { WindowStoreUnavailable } from '../../src/analytics/window-store.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { keptLog } from './kept-log.ts';

const change = (path: string): Omit<PolicyChange, 'id' | 'region'> => ({ at: 5, document: 'global', by: 'ada', path, before: null, after: 1 });

function world(waitingMax?: number) {
  const runtime = createSimulatedRuntime(1);
  const log = keptLog();
  const state = { taken: new Map<string, PolicyChange>(), isDown: false, isSlow: false, tries: 0 };
  const store: ChangeStore = {
    async storeChanges(changes) {
      state.tries += 1;
      if (state.isSlow) await new Promise((resolve) => runtime.timers.after(60_000, () => resolve(null)));
      if (state.isDown) throw new WindowStoreUnavailable('down');
      for (const taken of changes) state.taken.set(taken.id, taken);
    },
    changes: () => Promise.resolve([]),
  };
  const trail = new AuditTrail({ region: 'us', store, runtime, log, ...(waitingMax === undefined ? {} : { waitingMax }) });
  return { runtime, log, state, trail };
}

describe('the audit trail', () => {
  it('[MOD-21] keeps changes while the database is away, and stores them in order once it is back', async () => {
    const { runtime, state, trail } = world();
    state.isDown = true;
    for (let index = 0; index < 300; index++) trail.add(change(`p${index}`));
    await runtime.runFor(3_600_000);
    expect(trail.stats).toMatchObject({ waiting: 300, stored: 0, dropped: 0 });
    expect(state.tries).toBeLessThan(2_000);
    state.isDown = false;
    await runtime.runFor(11_000);
    expect([...state.taken.values()].map(({ path }) => path)).toEqual(Array.from({ length: 300 }, (_, index) => `p${index}`));
    expect(trail.stats).toMatchObject({ waiting: 0, stored: 300 });
    trail.add(change('later'));
    await runtime.runFor(1);
    expect(state.taken.size).toBe(301);
    await runtime.settle(trail.stop());
    expect(runtime.pendingTimers).toBe(0);
  });

  it('[MOD-21] leaves the newest out when too many wait, counts them and says so; adding never waits', async () => {
    const { runtime, log, state, trail } = world(3);
    state.isSlow = true;
    for (let index = 0; index < 5; index++) trail.add(change(`p${index}`));
    expect(trail.stats).toMatchObject({ waiting: 3, dropped: 2 });
    expect(JSON.stringify(log)).toContain('missing from the audit trail');
    await runtime.runFor(120_000);
    expect([...state.taken.values()].map(({ path }) => path)).toEqual(['p0', 'p1', 'p2']);
  });

  it('[MOD-21] a stop does not wait for a database that hangs', async () => {
    const { runtime, log, state, trail } = world();
    state.isSlow = true;
    trail.add(change('p'));
    const from = runtime.clock.now();
    await runtime.settle(trail.stop(), 5_000);
    expect(runtime.clock.now() - from).toBeLessThanOrEqual(2_000);
    expect(JSON.stringify(log)).toContain('before the database held the whole audit trail');
  });

  it('[MOD-21] a stop with the database away ends in bounded time and says what is missing', async () => {
    const { runtime, log, state, trail } = world();
    state.isDown = true;
    trail.add(change('p'));
    const from = runtime.clock.now();
    await runtime.settle(trail.stop());
    expect(runtime.clock.now() - from).toBeLessThan(3_000);
    expect(JSON.stringify(log)).toContain('before the database held');
    expect(runtime.pendingTimers).toBe(0);
  });
});
