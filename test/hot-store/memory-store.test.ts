import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { hotStoreContract } from '../contracts/hot-store-contract.ts';

hotStoreContract('memory', async () => {
  const journal = new MemoryJournal();
  return {
    open: () => createMemoryStore(journal),
    wipe: async () => journal.wipe(),
    end: async () => {},
  };
});
