/** What every hot store promises. One suite, called for each adapter. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HotStoreFenced, HotStoreLost, HotStoreUnavailable, type Commit, type HotStore } from '../../src/hot-store/hot-store.ts';
import { ALICE, BOB, sampleCommit } from '../hot-store/arbitrary-commit.ts';

export interface HotStoreHarness {
  /** A store on the journal of a shard, by default the only one, as another process would open it. */
  open(shards?: { readonly shard: number; readonly shardCount: number }): HotStore;
  /** Loses the journal of shard 0 under the living stores. */
  wipe(): Promise<void>;
  /** Ends the test's journal and all stores. */
  end(): Promise<void>;
}

export function hotStoreContract(adapter: string, start: () => Promise<HotStoreHarness>): void {
  describe(`hot store: ${adapter}`, () => {
    let harness: HotStoreHarness;

    beforeEach(async () => {
      harness = await start();
    });
    afterEach(() => harness.end());

    const writer = async (actor = ALICE, shards?: Parameters<HotStoreHarness['open']>[0]): Promise<HotStore> => {
      const store = harness.open(shards);
      await store.recover(() => {});
      expect(await store.begin(actor)).toBe(true);
      return store;
    };

    it('[HOT-1] recovers what was committed, whole and oldest first', async () => {
      const commits = [1, 2, 3].map((sequence) => sampleCommit(ALICE, sequence));
      const store = await writer();
      for (const commit of commits) await store.commit(commit);
      expect(await recovered(harness.open())).toEqual(commits);
    });

    it('[HOT-1] recovers the commits of all lives', async () => {
      await (await writer(ALICE)).commit(sampleCommit(ALICE, 1));
      await (await writer(BOB)).commit(sampleCommit(BOB, 1));
      expect(await recovered(harness.open())).toEqual([sampleCommit(ALICE, 1), sampleCommit(BOB, 1)]);
    });

    it('[HOT-1] recovers nothing from a new journal', async () => {
      expect(await recovered(harness.open())).toEqual([]);
    });

    it('[HOT-8] keeps everything until told to forget it, and then what was made later', async () => {
      const store = await writer();
      const seconds = [0, 1, 2, 3, 4].map((second) => ({ ...sampleCommit(ALICE, second + 1), at: 1_000_000 + second * 2_000 }));
      for (const commit of seconds) await store.commit(commit);
      await store.forget(1_000_000);
      expect(await recovered(harness.open())).toEqual(seconds);
      await store.forget(1_005_000);
      // Forgetting is best effort: the newest of what may go can stay.
      const kept = await recovered(harness.open());
      expect(kept.length).toBeLessThan(seconds.length);
      expect(kept.slice(-2)).toEqual(seconds.slice(-2));
      await store.commit({ ...sampleCommit(ALICE, 6), at: 1_010_000 });
      expect((await recovered(harness.open())).at(-1)?.sequence).toBe(6);
    });

    it('[HOT-8] forgets on as the next writer, and nothing of a journal that is another', async () => {
      const first = await writer();
      for (const sequence of [1, 2, 3]) await first.commit({ ...sampleCommit(ALICE, sequence), at: 1_000_000 + sequence * 2_000 });
      const second = await writer(BOB);
      await second.forget(1_005_000);
      expect((await recovered(harness.open())).length).toBeLessThan(3);
      await harness.wipe();
      const third = await writer(ALICE);
      await third.commit({ ...sampleCommit(ALICE, 1), at: 900_000 });
      await second.forget(2_000_000);
      expect(await recovered(harness.open())).toHaveLength(1);
    });

    it('[HOT-8] forgets all when the last commit was made before the time, and goes on', async () => {
      const store = await writer();
      for (const sequence of [1, 2, 3]) await store.commit({ ...sampleCommit(ALICE, sequence), at: 1_000_000 + sequence });
      await store.forget(1_000_004);
      expect(await recovered(harness.open())).toEqual([]);
      await store.commit({ ...sampleCommit(ALICE, 4), at: 1_000_004 });
      await store.forget(1_000_004);
      expect((await recovered(harness.open())).map(({ sequence }) => sequence)).toEqual([4]);
      const next = await writer(BOB);
      await next.forget(1_000_005);
      expect(await recovered(harness.open())).toEqual([]);
      await next.commit(sampleCommit(BOB, 1));
      expect(await recovered(harness.open())).toEqual([sampleCommit(BOB, 1)]);
    });

    it('[HOT-8] takes what earlier writers left for older than its own first commit, to the millisecond, also when their clocks were ahead', async () => {
      const first = await writer();
      for (const [index, at] of [1_000_000, 1_000_400, 9_000_000].entries()) await first.commit({ ...sampleCommit(ALICE, index + 1), at });
      const second = await writer(BOB);
      await second.forget(1_000_500);
      expect((await recovered(harness.open())).at(-1)).toMatchObject({ at: 9_000_000 });
      for (const [index, at] of [1_000_500, 1_000_600].entries()) await second.commit({ ...sampleCommit(BOB, index + 1), at });
      await second.forget(1_000_499);
      expect((await recovered(harness.open())).map(({ at }) => at).slice(-3)).toEqual([9_000_000, 1_000_500, 1_000_600]);
      await second.forget(1_000_500);
      expect((await recovered(harness.open())).map(({ at }) => at)).toEqual([1_000_500, 1_000_600]);
      await second.forget(1_000_601);
      expect(await recovered(harness.open())).toEqual([]);
    });

    it('[HOT-2] does not begin when something was written since recovery, and does after another', async () => {
      const store = harness.open();
      await store.recover(() => {});
      const other = await writer(BOB);
      await other.commit(sampleCommit(BOB, 1));
      expect(await store.begin(ALICE)).toBe(false);
      expect(await recovered(store)).toEqual([sampleCommit(BOB, 1)]);
      expect(await store.begin(ALICE)).toBe(true);
      await store.commit(sampleCommit(ALICE, 1));
    });

    it('[HOT-2] lets one of two begin that recovered the same', async () => {
      const stores = [harness.open(), harness.open()] as const;
      await Promise.all(stores.map((store) => store.recover(() => {})));
      const began = await Promise.all([stores[0].begin(ALICE), stores[1].begin(BOB)]);
      expect(began.filter(Boolean)).toHaveLength(1);
    });

    it('[HOT-3] fences the writer before, from the moment another has begun', async () => {
      const old = await writer(ALICE);
      await old.commit(sampleCommit(ALICE, 1));
      const young = await writer(BOB);
      await expect(old.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreFenced);
      await young.commit(sampleCommit(BOB, 1));
      await expect(old.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreFenced);
      expect(await recovered(harness.open())).toEqual([sampleCommit(ALICE, 1), sampleCommit(BOB, 1)]);
    });

    it('[HOT-4] stores a commit that is tried again once', async () => {
      const store = await writer();
      await store.commit(sampleCommit(ALICE, 1));
      await store.commit(sampleCommit(ALICE, 1));
      await store.commit(sampleCommit(ALICE, 2));
      expect(await recovered(harness.open())).toEqual([sampleCommit(ALICE, 1), sampleCommit(ALICE, 2)]);
    });

    it('[HOT-6] tells a writer that its journal was lost, and lets it begin anew', async () => {
      const store = await writer();
      await store.commit(sampleCommit(ALICE, 1));
      await harness.wipe();
      await expect(store.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreLost);
      await expect(store.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreLost);
      expect(await recovered(store)).toEqual([]);
      expect(await store.begin(ALICE)).toBe(true);
      await store.commit(sampleCommit(ALICE, 3));
      expect(await recovered(harness.open())).toEqual([sampleCommit(ALICE, 3)]);
    });

    it('[HOT-12] fences who writes for a shard that is no more, and begins only with all that it wrote', async () => {
      const old = await writer(ALICE, { shard: 1, shardCount: 2 });
      const young = harness.open({ shard: 0, shardCount: 1 });
      await young.recover(() => {});
      await old.commit(sampleCommit(ALICE, 1));
      expect(await young.begin(BOB)).toBe(false);
      expect(await recovered(young)).toEqual([sampleCommit(ALICE, 1)]);
      expect(await young.begin(BOB)).toBe(true);
      await expect(old.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreFenced);
      await young.commit(sampleCommit(BOB, 1));
      expect(await recovered(harness.open())).toHaveLength(2);
    });

    it('[HOT-13] catches up on what was written to the journal of another shard until that had begun', async () => {
      const old = await writer(ALICE, { shard: 1, shardCount: 2 });
      await old.commit(sampleCommit(ALICE, 1));
      const young = await writer(BOB, { shard: 0, shardCount: 2 });
      for (const sequence of [2, 3]) await old.commit(sampleCommit(ALICE, sequence));
      const other = await writer(BOB, { shard: 1, shardCount: 2 });
      expect(await caughtUp(young)).toEqual([sampleCommit(ALICE, 2), sampleCommit(ALICE, 3)]);
      expect(await caughtUp(young)).toEqual([]);
      expect(await caughtUp(other)).toEqual([]);
      await young.commit(sampleCommit(BOB, 1));
    });

    it('[HOT-13] is fenced when another has begun meanwhile, in any journal that it took over', async () => {
      const first = await writer(ALICE, { shard: 0, shardCount: 1 });
      const second = await writer(BOB, { shard: 0, shardCount: 2 });
      await expect(caughtUp(first)).rejects.toThrow(HotStoreFenced);
      const third = await writer(ALICE, { shard: 0, shardCount: 1 });
      await writer(BOB, { shard: 1, shardCount: 2 });
      await expect(caughtUp(third)).rejects.toThrow(HotStoreFenced);
      await expect(caughtUp(second)).rejects.toThrow(HotStoreFenced);
    });

    it('[HOT-9] is unavailable once closed', async () => {
      const store = await writer();
      await store.close();
      await expect(store.commit(sampleCommit(ALICE, 1))).rejects.toThrow(HotStoreUnavailable);
      await expect(store.recover(() => {})).rejects.toThrow(HotStoreUnavailable);
    });
  });
}

async function caughtUp(store: HotStore): Promise<Commit[]> {
  const commits: Commit[] = [];
  await store.catchUp((commit) => commits.push(commit));
  return commits;
}

export async function recovered(store: HotStore): Promise<Commit[]> {
  const commits: Commit[] = [];
  await store.recover((commit) => commits.push(commit));
  return commits;
}
