import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './test/support/closing-line-reporter.ts';

/** Rooms whose tests start whole processes and browsers: each file in a process of its own. */
const APART = ['test/browser/**', 'test/hostile/**', 'test/integration/**'];

export default defineConfig({
  test: {
    reporters: ['default', new ClosingLineReporter()],
    pool: 'forks',
    // Two cores are the smallest machine supported. Tests with real servers wait more than they work: a third file fills the time.
    maxWorkers: 3,
    // A condition that will hold is waited for even on a machine that is busy with something else, or whose host is.
    expect: { poll: { timeout: 60_000, interval: 20 } },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    projects: [
      // What they have loaded is most of the work of a file, so all others share processes.
      { extends: true, test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: APART, isolate: false } },
      { extends: true, test: { name: 'apart', include: APART.map((room) => `${room}/*.test.ts`) } },
    ],
  },
});
