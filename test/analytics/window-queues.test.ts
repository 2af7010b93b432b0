import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectNats } from '../../regions/nats-connection.ts';
import { createJetstreamWindowQueue } from '../../src/analytics/jetstream-window-queue.ts';
import { createMemoryWindowQueue } from '../../src/analytics/memory-window-queue.ts';
import { WindowQueueUnavailable } from '../../src/analytics/window-queue.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { windowQueueContract } from '../contracts/window-queue-contract.ts';
import { startFreezingLink } from '../support/freezing-link.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { recordsOf } from './commits.ts';
import { keptLog } from './kept-log.ts';

windowQueueContract('in memory', async () => ({ queue: createMemoryWindowQueue(), small: createMemoryWindowQueue(1000) }));

describe.skipIf(!natsAvailable)('with a nats-server', () => {
  let server: NatsServer;
  let regions = 0;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.stop());

  const create = (region = `region${regions++}`, bytesMax = 8 * 1024 * 1024) => {
    const log = keptLog();
    return { region, log, queue: createJetstreamWindowQueue({ region, address: server.address, log, bytesMax }) };
  };

  windowQueueContract('on JetStream', async () => ({ queue: create().queue, small: create(undefined, 256 * 1024).queue }));

  it('[WIN-6] a message that cannot be read is set aside, counted and logged, and does not hold up the rest', async () => {
    const { region, queue, log } = create();
    await queue.open();
    const connection = await connectNats(server.address, 'test');
    const records: WindowRecord[] = [];
    const ending = new AbortController();
    await queue.publish(recordsOf(1));
    await connection.publish(`windows.${region}`, Uint8Array.of(9, 9, 9));
    await queue.publish(recordsOf(2).slice(1));
    const consumed = queue.consume(async (batch) => void records.push(...batch), ending.signal);
    await vi.waitFor(() => expect(records).toEqual(recordsOf(2)));
    expect(queue.malformed()).toBe(1);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    await vi.waitFor(async () => expect((await connection.streamState(`WINDOWS_${region}`))?.messages).toBe(0));
    const kept: Uint8Array[] = [];
    await connection.replay(`WINDOWS_${region}_MALFORMED`, ({ payload }) => kept.push(payload));
    expect(kept.map((payload) => Array.from(payload))).toEqual([[9, 9, 9]]);
    ending.abort();
    await consumed;
    await connection.close();
    await queue.close();
  });

  it('[WIN-17] a message that can neither be read nor be set aside comes again alone, and is counted once it is set aside', async () => {
    const { region, queue } = create();
    await queue.open();
    const connection = await connectNats(server.address, 'test');
    // Whoever has the subject is full, so that nothing can be set aside.
    await connection.ensureStream({ name: 'TAKEN', subjects: [`windows.${region}.malformed`], maxBytes: 1, retention: 'limits', discard: 'new' });
    let stored = 0;
    const ending = new AbortController();
    const consumed = queue.consume(async (batch) => void (stored += batch.length), ending.signal);
    await connection.publish(`windows.${region}`, Uint8Array.of(9, 9, 9));
    await queue.publish(recordsOf(3));
    await vi.waitFor(() => expect(stored).toBe(3));
    await vi.waitFor(async () => expect((await connection.streamState(`WINDOWS_${region}`))?.messages).toBe(1));
    expect(queue.malformed()).toBe(0);
    await connection.deleteStream('TAKEN');
    await vi.waitFor(() => expect(queue.malformed()).toBe(1), { timeout: 30_000 });
    await vi.waitFor(async () => expect((await connection.streamState(`WINDOWS_${region}`))?.messages).toBe(0));
    expect(stored).toBe(3);
    ending.abort();
    await consumed;
    await Promise.all([connection.close(), queue.close()]);
  });

  it('[WIN-17] a connection on which a publish was not answered is replaced; one on which it was refused is not', async () => {
    const link = await startFreezingLink(server.port);
    const address = { ...server.address, url: `nats://127.0.0.1:${link.port}` };
    const queue = createJetstreamWindowQueue({ region: `region${regions++}`, address, log: keptLog(), bytesMax: 64 * 1024 });
    await queue.open();
    await queue.publish(recordsOf(5));
    const before = link.connections();
    await expect(
      (async () => {
        for (;;) await queue.publish(recordsOf(1, 500));
      })(),
    ).rejects.toBeInstanceOf(WindowQueueUnavailable);
    await queue.open();
    expect(link.connections()).toBe(before);
    link.freeze();
    await expect(queue.publish(recordsOf(1))).rejects.toBeInstanceOf(WindowQueueUnavailable);
    await queue.open();
    expect(link.connections()).toBeGreaterThan(before);
    let stored = 0;
    const ending = new AbortController();
    const consumed = queue.consume(async (batch) => void (stored += batch.length), ending.signal);
    await vi.waitFor(() => expect(stored).toBeGreaterThan(5));
    ending.abort();
    await consumed;
    await queue.close();
    await link.close();
  });

  it('[WIN-16] a stream that is gone is told as a loss, once, and one that survives kill -9 is none', async () => {
    const { region, queue } = create();
    await queue.open();
    await queue.publish(recordsOf(5));
    await server.kill();
    await server.restart();
    await vi.waitFor(() => queue.open());
    await queue.publish(recordsOf(5));
    expect(queue.losses()).toBe(0);
    const connection = await connectNats(server.address, 'test');
    await connection.deleteStream(`WINDOWS_${region}`);
    await expect(queue.publish(recordsOf(1))).rejects.toBeInstanceOf(WindowQueueUnavailable);
    await queue.open();
    await queue.open();
    expect(queue.losses()).toBe(1);
    await queue.publish(recordsOf(1));
    await Promise.all([connection.close(), queue.close()]);
  });

  it('[WIN-4] what was published survives kill -9 of the server', async () => {
    const { queue } = create();
    await queue.open();
    await queue.publish(recordsOf(50));
    await server.kill();
    await vi.waitFor(() => expect(queue.publish(recordsOf(1))).rejects.toBeInstanceOf(WindowQueueUnavailable));
    await expect(queue.open()).rejects.toBeInstanceOf(WindowQueueUnavailable);
    await server.restart();
    await queue.open();
    const records: WindowRecord[] = [];
    const ending = new AbortController();
    const consumed = queue.consume(async (batch) => void records.push(...batch), ending.signal);
    await vi.waitFor(() => expect(records).toEqual(recordsOf(50)));
    ending.abort();
    await consumed;
    await queue.close();
  });
});
