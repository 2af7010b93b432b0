import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectNats } from '../../regions/nats-connection.ts';
import type { Log } from '../../regions/runtime.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { encodeCommit } from '../../src/hot-store/commit-codec.ts';
import { HotStoreFenced, HotStoreLost, HotStoreUnavailable } from '../../src/hot-store/hot-store.ts';
import { createJetstreamStore, type JetStreamStore, type JetStreamStoreOptions } from '../../src/hot-store/jetstream-store.ts';
import { hotStoreContract, recovered } from '../contracts/hot-store-contract.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { ALICE, BOB, sampleCommit } from './arbitrary-commit.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

describe.skipIf(!natsAvailable)('on a real nats-server', () => {
  let server: NatsServer;
  let stores: JetStreamStore[] = [];
  /** Each test has a journal of its own. */
  let journal = 0;

  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()));
    stores = [];
    journal += 1;
  });

  const open = (options: Partial<JetStreamStoreOptions> = {}): JetStreamStore => {
    const store = createJetstreamStore({ region: `r${journal}`, shard: 0, address: server.address, log: quiet, bytesMax: 16_000_000, ...options });
    stores.push(store);
    return store;
  };

  const writer = async (actor = ALICE, options: Partial<JetStreamStoreOptions> = {}): Promise<JetStreamStore> => {
    const store = open(options);
    await store.recover(() => {});
    expect(await store.begin(actor)).toBe(true);
    return store;
  };

  const wipe = async (): Promise<void> => {
    const nats = await connectNats(server.address, 'test');
    await nats.deleteStream(`JOURNAL_r${journal}_0`);
    await nats.close();
  };

  hotStoreContract('jetstream', async () => ({ open, wipe, end: async () => {} }));

  it('[HOT-5] reads on after a record that cannot be read, and says so', async () => {
    const store = await writer();
    await store.commit(sampleCommit(ALICE, 1));
    const nats = await connectNats(server.address, 'test');
    await nats.publish(`journal.r${journal}.0`, new Uint8Array([255, 1, 2]));
    await nats.close();
    const errors: string[] = [];
    const reader = open({ log: { ...quiet, error: (_, message) => errors.push(message) } });
    await reader.recover(() => {});
    expect(await reader.begin(BOB)).toBe(true);
    await reader.commit(sampleCommit(BOB, 1));
    expect(await recovered(reader)).toEqual([sampleCommit(ALICE, 1), sampleCommit(BOB, 1)]);
    expect(reader.stats.malformed).toBe(2);
    expect(errors).toHaveLength(2);
  });

  it('[HOT-6] tells a journal that another process created anew from a fenced one', async () => {
    const store = await writer();
    await store.commit(sampleCommit(ALICE, 1));
    await wipe();
    const other = await writer(BOB);
    for (let sequence = 1; sequence <= 5; sequence++) await other.commit(sampleCommit(BOB, sequence));
    await expect(store.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreLost);
  });

  it('[HOT-7] refuses when the journal is full, and forgets nothing', async () => {
    const store = await writer(ALICE, { bytesMax: 4096 });
    let stored = 0;
    await expect(
      (async () => {
        for (;;) {
          await store.commit(sampleCommit(ALICE, stored + 1));
          stored += 1;
        }
      })(),
    ).rejects.toThrow(HotStoreUnavailable);
    expect(stored).toBeGreaterThan(5);
    expect(await recovered(open({ bytesMax: 4096 }))).toHaveLength(stored);
  });

  it('[HOT-4] finds a commit stored whose acknowledgement was lost, also when its id is forgotten', async () => {
    const store = await writer();
    // The first try, as the server has it.
    const nats = await connectNats(server.address, 'test');
    await nats.publish(`journal.r${journal}.0`, encodeCommit(sampleCommit(ALICE, 1)));
    await nats.close();
    await store.commit(sampleCommit(ALICE, 1));
    await store.commit(sampleCommit(ALICE, 2));
    expect(await recovered(open())).toEqual([sampleCommit(ALICE, 1), sampleCommit(ALICE, 2)]);
  });

  it('[HOT-9] is unavailable while the server is dead, and goes on after a kill -9 without loss', async () => {
    const store = await writer();
    await store.commit(sampleCommit(ALICE, 1));
    await server.kill();
    await expect(store.commit(sampleCommit(ALICE, 2))).rejects.toThrow(HotStoreUnavailable);
    await server.restart();
    await eventually(() => store.commit(sampleCommit(ALICE, 2)));
    await eventually(() => store.commit(sampleCommit(ALICE, 2)));
    expect(await recovered(open())).toEqual([sampleCommit(ALICE, 1), sampleCommit(ALICE, 2)]);
  });

  it('[HOT-8] goes on after a kill -9 with a journal of which all was forgotten', async () => {
    const store = await writer();
    for (const sequence of [1, 2, 3]) await store.commit(sampleCommit(ALICE, sequence));
    await store.forget(Infinity);
    expect(await recovered(open())).toEqual([]);
    await server.kill();
    await server.restart();
    await eventually(() => store.commit(sampleCommit(ALICE, 4)));
    expect(await recovered(open())).toEqual([sampleCommit(ALICE, 4)]);
  });

  it('[HOT-9] connects once for calls at the same time, and anew after that connection was lost', async () => {
    const store = open();
    await Promise.all([store.recover(() => {}), store.recover(() => {})]);
    expect(store.stats.connections).toBe(1);
    await server.kill();
    await expect(store.recover(() => {})).rejects.toThrow(HotStoreUnavailable);
    await server.restart();
    await eventually(() => store.recover(() => {}));
    expect(store.stats.connections).toBe(2);
    await store.close();
    await expect(store.recover(() => {})).rejects.toThrow(HotStoreUnavailable);
  });

  it('[HOT-6] tells a writer that its journal was rolled back', async () => {
    const store = await writer();
    await store.commit(sampleCommit(ALICE, 1));
    const folder = path.join(server.storeDir, 'jetstream');
    await server.kill();
    cpSync(folder, `${folder}.backup`, { recursive: true });
    await server.restart();
    await eventually(() => store.commit(sampleCommit(ALICE, 2)));
    await server.kill();
    rmSync(folder, { recursive: true });
    cpSync(`${folder}.backup`, folder, { recursive: true });
    await server.restart();
    const outcome = eventually(() => store.commit(sampleCommit(ALICE, 3)));
    await expect(outcome).rejects.toThrow(HotStoreLost);
    await eventually(() => store.recover(() => {}));
    expect(await store.begin(ALICE)).toBe(true);
    await store.commit(sampleCommit(ALICE, 4));
    expect(await recovered(open())).toEqual([sampleCommit(ALICE, 1), sampleCommit(ALICE, 4)]);
    await writer(BOB);
    await expect(store.commit(sampleCommit(ALICE, 5))).rejects.toThrow(HotStoreFenced);
  });

  /** As the aggregator does: tries again while the store is unavailable. */
  async function eventually(act: () => Promise<void>): Promise<void> {
    let failure: unknown;
    await vi.waitFor(
      async () => {
        failure = undefined;
        try {
          await act();
        } catch (error) {
          if (error instanceof HotStoreUnavailable) throw error;
          failure = error;
        }
      },
      { timeout: 60_000, interval: 100 },
    );
    if (failure !== undefined) throw failure;
  }
});
