import { expect, it } from 'vitest';
import { COMMIT_RETENTION_MS } from '../../src/hot-store/hot-store.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { hotStoreContract, recovered } from '../contracts/hot-store-contract.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { ALICE, sampleCommit } from './arbitrary-commit.ts';

hotStoreContract('memory', async () => {
  const journal = new MemoryJournal(createSimulatedRuntime(1).clock);
  return {
    open: () => createMemoryStore(journal),
    wipe: async () => journal.wipe(),
    end: async () => {},
  };
});

it('[HOT-8] keeps a commit for the retention time and no longer', async () => {
  const runtime = createSimulatedRuntime(1);
  const journal = new MemoryJournal(runtime.clock);
  const store = createMemoryStore(journal);
  await store.recover(() => {});
  await store.begin(ALICE);
  await store.commit(sampleCommit(ALICE, 1));
  await runtime.runFor(COMMIT_RETENTION_MS);
  await store.commit(sampleCommit(ALICE, 2));
  expect(await recovered(createMemoryStore(journal))).toHaveLength(2);
  await runtime.runFor(1);
  expect(await recovered(createMemoryStore(journal))).toEqual([sampleCommit(ALICE, 2)]);
});
