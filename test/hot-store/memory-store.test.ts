import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { hotStoreContract } from '../contracts/hot-store-contract.ts';

hotStoreContract('memory', async () => {
  const journals = [new MemoryJournal(), new MemoryJournal()] as const;
  return {
    open: ({ shard, shardCount } = { shard: 0, shardCount: 1 }) => createMemoryStore(journals[shard]!, journals, shardCount),
    wipe: async () => journals[0].wipe(),
    end: async () => {},
  };
});
