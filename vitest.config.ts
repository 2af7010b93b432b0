import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './test/support/closing-line-reporter.ts';

/** Tests that start no servers: their files share a process, and what it has loaded. */
const PURE = 'test/{aggregator,antispam,base,broadcaster,crdt,hot-store,moderation,protocol,simulation}/**/!(*.nats).test.ts';

export default defineConfig({
  test: {
    reporters: ['default', new ClosingLineReporter()],
    pool: 'forks',
    // Two cores are the smallest machine supported. Tests with real servers wait more than they work: a third file fills the time.
    maxWorkers: 3,
    // A condition that will hold is waited for even on a machine that is busy with something else.
    expect: { poll: { timeout: 10_000, interval: 20 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    projects: [
      { extends: true, test: { name: 'pure', include: [PURE], isolate: false } },
      { extends: true, test: { name: 'real', include: ['test/**/*.test.ts'], exclude: [PURE] } },
    ],
  },
});
