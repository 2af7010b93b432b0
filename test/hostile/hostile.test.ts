/** A few of the messages that `npm run fuzz` sends, to a real region. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { natsAvailable } from '../support/nats.ts';
import { seededRandom } from '../support/simulated-runtime.ts';
import { damage, hostileJson, mutateValue } from './mutations.ts';
import { runHostile } from './run-hostile.ts';
import { SURFACES } from './surfaces.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const MESSAGES = 250;

describe.skipIf(!natsAvailable)('hostile input', () => {
  beforeAll(() => {
    // Nothing is done when the build is of these very sources.
    const { status, stdout } = spawnSync(process.execPath, [path.join(ROOT, 'deploy/local/build.mjs')], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
  });

  it('[EDGE-80] mutated messages to every public surface find no fault, and cost nobody else a tap', { timeout: 180_000 }, async () => {
    const { tallies, problems, rounds, latencies } = await runHostile({
      messages: MESSAGES, rounds: 2, seed: 1, rate: 0, processes: 1, quietMs: 250, slowdownMax: Infinity, withDatabase: false, prioritized: false, attackers: path.join(ROOT, 'dist/test/hostile/attackers.js'),
    });
    expect(problems).toEqual([]);
    expect(tallies.map(({ surface }) => surface)).toEqual(SURFACES.map(({ name }) => name));
    for (const { surface, messages, answers } of tallies) {
      expect(messages, surface).toBeGreaterThan(0);
      expect(answers.length, surface).toBeGreaterThan(0);
    }
    expect(rounds.map(({ attacked }) => attacked === null)).toEqual([false, false, true]);
    for (const phase of ['quiet', 'attacked'] as const) {
      expect(latencies[phase].count).toBeGreaterThan(0);
      expect(rounds.reduce((sum, round) => sum + (round[phase]?.count ?? 0), 0), phase).toBe(latencies[phase].count);
    }
  });
});

it('[EDGE-80] the same seed makes the same messages', () => {
  const made = (): string[] => {
    const random = seededRandom(7);
    return Array.from({ length: 60 }, () => {
      const text = hostileJson(random, mutateValue(random, { stream_id: 'derby', seq: 1, reactions: [{ emoji_id: 'heart', count: 1 }] }));
      return Buffer.from(damage(random, Buffer.from(text))).toString('hex');
    });
  };
  expect(made()).toEqual(made());
  expect(new Set(made()).size).toBeGreaterThan(45);
});
