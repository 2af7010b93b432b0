import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { NatsRefused, NatsUnavailable, NatsWrongSequence, connectNats } from '../../regions/nats-connection.ts';
import type { NatsConnection, StreamSpec } from '../../regions/nats-connection.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

const journal: StreamSpec = { name: 'JOURNAL', subjects: ['journal.>'], maxBytes: 1 << 24, retention: 'limits', discard: 'new' };
const queue: StreamSpec = { name: 'QUEUE', subjects: ['queue.>'], maxBytes: 1 << 24, retention: 'workqueue', discard: 'new' };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = ({ payload }: { readonly payload: Uint8Array }): string => new TextDecoder().decode(payload);

describe.skipIf(!natsAvailable)('nats connection', () => {
  let server: NatsServer;
  let nats: NatsConnection;

  beforeAll(async () => {
    server = await startNats();
  });

  afterAll(() => server.stop());

  beforeEach(async () => {
    nats = await connectNats(server.address, 'test');
    await nats.ensureStream(journal);
    await nats.ensureStream(queue);
  });

  afterEach(async () => {
    await nats.deleteStream(journal.name);
    await nats.deleteStream(queue.name);
    await nats.close();
  });

  async function replayed(stream: string): Promise<string[]> {
    const messages: string[] = [];
    await nats.replay(stream, (message) => messages.push(text(message)));
    return messages;
  }

  test('an expected last sequence stores once, also the very first message', async () => {
    expect(await nats.publish('journal.a', bytes('1'), { expectLastSequence: 0 })).toEqual({ sequence: 1 });
    await expect(nats.publish('journal.a', bytes('2'), { expectLastSequence: 0 })).rejects.toThrow(NatsWrongSequence);
    await nats.publish('journal.a', bytes('3'), { expectLastSequence: 1 });
    expect(await replayed('JOURNAL')).toEqual(['1', '3']);
  });

  test('[LOG-16] followers of a stream in use hear every message, whenever it comes', async () => {
    // Each outlives its first requests; they start apart, because what went wrong needed a coincidence.
    const abort = new AbortController();
    const connections: NatsConnection[] = [];
    const following: Promise<void>[] = [];
    let heard = 0;
    let expected = 0;
    for (let published = 0; published < 2_000; published++) {
      if (published % 10 === 0 && connections.length < 60) {
        const connection = await connectNats(server.address, 'follower');
        connections.push(connection);
        following.push(connection.follow('JOURNAL', published, (messages) => void (heard += messages.length), AbortSignal.any([abort.signal])));
      }
      await nats.publish('journal.a', bytes('1'));
      expected += connections.length;
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    const all = expect.poll(() => heard).toBe(expected);
    await Promise.race([all, ...following]);
    abort.abort();
    await Promise.all(following);
    await Promise.all(connections.map((connection) => connection.close()));
  });

  test('a message id stores once', async () => {
    await nats.publish('journal.a', bytes('1'), { messageId: 'commit-1' });
    expect(await nats.publish('journal.a', bytes('1'), { messageId: 'commit-1' })).toEqual({ sequence: 1 });
    expect(await replayed('JOURNAL')).toEqual(['1']);
  });

  test('what cannot be stored is refused at once: no stream, too large, a full stream', async () => {
    await expect(nats.publish('nowhere.a', bytes('1'))).rejects.toThrow(NatsUnavailable);
    await expect(nats.publish('journal.a', new Uint8Array(nats.maxPayload + 1))).rejects.toThrow(NatsUnavailable);
    await nats.deleteStream(journal.name);
    await nats.ensureStream({ ...journal, maxBytes: 1_000 });
    const refusal: unknown = await nats.publish('journal.a', new Uint8Array(2_000)).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(NatsRefused);
    expect(String(refusal)).toContain('maximum bytes exceeded');
  });

  test('a stream knows its life: another one after deletion, the same after new limits', async () => {
    const before = await nats.streamState('JOURNAL');
    const resized = await nats.ensureStream({ ...journal, maxBytes: 1 << 25 });
    expect(resized.created).toBe(before?.created);
    await nats.deleteStream('JOURNAL');
    expect(await nats.streamState('JOURNAL')).toBeNull();
    expect((await nats.ensureStream(journal)).created).not.toBe(before?.created);
  });

  test('a replay is whole: many and large messages, compacted ones, an empty stream, a removed tail', async () => {
    expect(await replayed('JOURNAL')).toEqual([]);
    const sent = Array.from({ length: 3_000 }, (_, index) => `${index} `.padEnd(index % 1_000 === 0 ? 1_000_000 : 200, 'x'));
    await Promise.all(sent.map((body, index) => nats.publish(`journal.${index}`, bytes(body))));
    expect(await replayed('JOURNAL')).toEqual(sent);
    await nats.ensureStream({ ...journal, maxMessagesPerSubject: 1 });
    await Promise.all(sent.map((_, index) => nats.publish(`journal.${index % 7}`, bytes('again'))));
    expect((await replayed('JOURNAL')).filter((body) => body === 'again')).toHaveLength(7);
    await nats.ensureStream({ ...journal, maxAgeMs: 1_000, duplicateWindowMs: 1_000 });
    await expect.poll(async () => (await nats.streamState('JOURNAL'))?.messages).toBe(0);
    expect(await replayed('JOURNAL')).toEqual([]);
    expect(await nats.replay('JOURNAL', () => {})).toBe(6_000);
  });

  test('a replay ends where the last messages were removed', async () => {
    for (const body of ['1', '2', '3']) await nats.publish('journal.a', bytes(body));
    // The answer is no acknowledgement of a message, but the request is done.
    await nats.publish('$JS.API.STREAM.MSG.DELETE.JOURNAL', bytes('{"seq": 3}')).catch(() => {});
    expect(await replayed('JOURNAL')).toEqual(['1', '2']);
  });

  test('a visitor that throws ends the replay with what it threw', async () => {
    await nats.publish('journal.a', bytes('1'));
    const malformed = new TypeError('malformed');
    await expect(nats.replay('JOURNAL', () => { throw malformed; })).rejects.toBe(malformed);
  });

  test('following goes on through quiet times longer than a request lives', async () => {
    const abort = new AbortController();
    const messages: string[] = [];
    const following = nats.follow('JOURNAL', 0, (batch) => messages.push(...batch.map(text)), abort.signal);
    await nats.publish('journal.a', bytes('before'));
    await expect.poll(() => messages).toEqual(['before']);
    const quietUntil = performance.now() + 5_600;
    await expect.poll(() => performance.now() > quietUntil, { timeout: 60_000, interval: 200 }).toBe(true);
    await nats.publish('journal.a', bytes('after'));
    await expect.poll(() => messages).toEqual(['before', 'after']);
    abort.abort();
    await following;
  });

  test('a deleted stream ends its followers and workers', async () => {
    const { signal } = new AbortController();
    const outcome = (ended: Promise<void>): Promise<unknown> => ended.catch((error: unknown) => error);
    const following = outcome(nats.follow('JOURNAL', 0, () => {}, signal));
    const working = outcome(nats.work('QUEUE', 'worker', async () => {}, { batchMax: 10, signal }));
    await nats.publish('journal.a', bytes('1'));
    await nats.publish('queue.a', bytes('1'));
    await expect.poll(async () => (await nats.streamState('QUEUE'))?.messages).toBe(0);
    await nats.deleteStream('JOURNAL');
    await nats.deleteStream('QUEUE');
    expect(await following).toBeInstanceOf(NatsUnavailable);
    expect(await working).toBeInstanceOf(NatsUnavailable);
  });

  test('work is handed over one batch at a time, again after a failure, and removed when done', async () => {
    const abort = new AbortController();
    const sent = Array.from({ length: 250 }, (_, index) => String(index));
    await Promise.all(sent.map((body) => nats.publish('queue.a', bytes(body))));
    const done = new Set<string>();
    let running = 0;
    let calls = 0;
    const working = nats.work('QUEUE', 'worker', async (batch) => {
      expect((running += 1)).toBe(1);
      expect(batch.length).toBeLessThanOrEqual(100);
      await Promise.resolve();
      running -= 1;
      calls += 1;
      if (calls === 2) throw new Error('the database is away');
      for (const message of batch) done.add(text(message));
    }, { batchMax: 100, signal: abort.signal, retryMs: 50 });
    await expect.poll(async () => (await nats.streamState('QUEUE'))?.messages).toBe(0);
    expect(done).toEqual(new Set(sent));
    abort.abort();
    await working;
  });

  test('work that was fetched and not done is handed back when the worker stops', async () => {
    const abort = new AbortController();
    await Promise.all(Array.from({ length: 20 }, () => nats.publish('queue.a', bytes('x'))));
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let first = 0;
    const working = nats.work('QUEUE', 'worker', (batch) => {
      first = batch.length;
      return held;
    }, { batchMax: 10, signal: abort.signal });
    await expect.poll(() => first).toBeGreaterThan(0);
    abort.abort();
    release();
    await working;
    const again = new AbortController();
    let second = 0;
    const next = nats.work('QUEUE', 'worker', async (batch) => void (second += batch.length), { batchMax: 10, signal: again.signal });
    await expect.poll(() => second).toBe(20 - first);
    again.abort();
    await next;
  });

  test('a peer that accepts and stays silent costs two seconds and no socket', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(connectNats({ url: `nats://127.0.0.1:${port}` }, 'test')).rejects.toThrow(NatsUnavailable);
    // Closing waits for every connection to be gone.
    await new Promise((resolve) => silent.close(resolve));
    await expect(connectNats({ url: `nats://127.0.0.1:${port}` }, 'test')).rejects.toThrow(NatsUnavailable);
  });

  test('a lost server rejects what is outstanding and resolves closed', async () => {
    const { signal } = new AbortController();
    const following = nats.follow('JOURNAL', 0, () => {}, signal).catch((error: unknown) => error);
    await nats.publish('journal.a', bytes('1'));
    await server.kill();
    await nats.closed;
    expect(await following).toBeInstanceOf(NatsUnavailable);
    await expect(nats.publish('journal.a', bytes('2'))).rejects.toThrow(NatsUnavailable);
    await server.restart();
    nats = await connectNats(server.address, 'test');
  });
});
