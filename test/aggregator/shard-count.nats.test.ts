/** A region that starts with another number of shards than before: streams move, and nothing counts twice. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { connectNats } from '../../regions/nats-connection.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import type { IngestReply } from '../../src/aggregator/ingest.ts';
import { shardOf } from '../../src/aggregator/shards.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { createJetstreamStore, type JetStreamStore } from '../../src/hot-store/jetstream-store.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const HEART = 'heart' as EmojiId;
const STREAMS = Array.from({ length: 24 }, (_, index) => `stream-${index}` as StreamId);

describe.skipIf(!natsAvailable)('the number of shards', () => {
  let server: NatsServer;
  let name = '';
  let tests = 0;

  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    tests += 1;
    name = `us-${tests}`;
  });

  function opening(shardCount: number) {
    const ledger = new Ledger();
    const stores: JetStreamStore[] = [];
    const shards: Aggregator[] = [];
    for (let shard = 0; shard < shardCount; shard++) {
      stores.push(createJetstreamStore({ region: name, shard, shardCount, address: server.address, log: quiet, bytesMax: 16_000_000 }));
      shards.push(
        createAggregator({
          region: name,
          shard,
          owns: (stream) => shardOf(stream, shardCount) === shard,
          hotStore: stores[shard]!,
          ledger,
          policyOf: () => DEFAULT_POLICY,
          runtime: realRuntime,
          log: quiet,
          admission: () => null,
          windowsStoredBefore: () => 0,
          derivedBefore: () => 0,
          onCommit: () => {},
          onFenced: () => {},
        }),
      );
    }
    const send = (stream: StreamId): Promise<IngestReply> =>
      new Promise((resolve) =>
        shards[shardOf(stream, shardCount)]!.submit(
          { stream, viewer: 'v', device: null, address: null, session: 's', sequence: 1, reactions: [[HEART, 2]] },
          resolve,
        ),
      );
    return {
      stores,
      shards,
      sendAll: () => Promise.all(STREAMS.map(send)),
      counted: () => STREAMS.map((stream) => ledger.tally(stream)?.counter(HEART)?.value ?? 0),
      stop: () => Promise.all(shards.map((shard) => shard.stop())),
    };
  }

  async function life(shardCount: number) {
    const region = opening(shardCount);
    await Promise.all(region.shards.map((shard) => shard.open()));
    await Promise.all(region.shards.map((shard) => shard.start()));
    return region;
  }

  const journals = async (): Promise<string[]> => {
    const nats = await connectNats(server.address, 'test');
    const names = await nats.streamNames(`journal.${name}.*`);
    await nats.close();
    return names.sort();
  };

  it('[AGG-15] may change between two lives: every resend is known, every count is there', async () => {
    for (const [index, shardCount] of [4, 2, 1, 3].entries()) {
      const region = await life(shardCount);
      for (const reply of await region.sendAll()) {
        expect(reply).toEqual({ kind: 'counted', accepted: 2, clamped: 0, duplicate: index > 0 });
      }
      expect(region.counted()).toEqual(STREAMS.map(() => 2));
      await region.stop();
    }
  });

  it('[AGG-55] may change under a life that goes on: it is fenced in all its shards', async () => {
    const old = await life(3);
    const young = await life(1);
    for (const reply of await old.sendAll()) expect(reply.kind).toBe('refused');
    for (const reply of await young.sendAll()) expect(reply).toMatchObject({ kind: 'counted', duplicate: false });
    await Promise.all([old.stop(), young.stop()]);
  });

  it('[AGG-55] knows what an earlier life counted until the last shard had begun', async () => {
    const old = await life(1);
    const young = opening(3);
    await young.shards[1]!.open();
    await young.shards[2]!.open();
    const replies = await old.sendAll();
    await young.shards[0]!.open();
    await Promise.all(young.shards.map((shard) => shard.start()));
    expect(await young.sendAll()).toEqual(replies.map((reply) => ({ ...reply, duplicate: true })));
    expect(young.counted()).toEqual(STREAMS.map(() => 2));
    await Promise.all([old.stop(), young.stop()]);
  });

  it('[HOT-10] leaves no journal of a shard that is no more, once nothing needs it', async () => {
    await (await life(4)).stop();
    const region = await life(2);
    await region.stores[0]!.forget(0);
    expect(await journals()).toHaveLength(4);
    await region.stores[0]!.forget(Infinity);
    expect(await journals()).toEqual([`JOURNAL_${name}_0`, `JOURNAL_${name}_1`, `JOURNAL_${name}_3`]);
    await region.stores[1]!.forget(Infinity);
    expect(await journals()).toEqual([`JOURNAL_${name}_0`, `JOURNAL_${name}_1`]);
    await region.stop();
  });
});
