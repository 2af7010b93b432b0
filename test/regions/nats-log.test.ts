import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LogRefused, LogUnavailable } from '../../regions/log.ts';
import { connectNats, type NatsConnection } from '../../regions/nats-connection.ts';
import { createNatsLogReader, createNatsLogWriter, logStream } from '../../regions/nats-log.ts';
import { startLinkProxy } from '../../src/cli/dev/link-proxy.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { Following, logContract, message, texts, type LogWorld } from '../contracts/log-contract.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

let server: NatsServer;

async function asRegion<Answer>(call: (nats: NatsConnection) => Promise<Answer>): Promise<Answer> {
  const nats = await connectNats(server.address, 'test');
  try {
    return await call(nats);
  } finally {
    await nats.close();
  }
}

async function createWorld(): Promise<LogWorld> {
  const target = { targetHost: '127.0.0.1', targetPort: server.port };
  const writerLink = await startLinkProxy(target);
  const readerLink = await startLinkProxy(target);
  const writerAddress = { ...server.address, url: `nats://127.0.0.1:${writerLink.port}` };
  const readerAddress = { ...server.peerAddress, url: `nats://127.0.0.1:${readerLink.port}` };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-snapshot-'));
  return {
    writer: (maxBytes) => createNatsLogWriter({ address: writerAddress, region: 'us', ...(maxBytes === undefined ? {} : { maxBytes }) }),
    reader: () => createNatsLogReader({ address: readerAddress, region: 'us', reader: 'eu' }),
    wipe: () => asRegion((nats) => nats.deleteStream(logStream('us'))),
    snapshot: async () => {
      await server.kill();
      cpSync(path.join(server.storeDir, 'jetstream'), folder, { recursive: true });
      await server.restart();
    },
    restore: async () => {
      await server.kill();
      rmSync(path.join(server.storeDir, 'jetstream'), { recursive: true });
      cpSync(folder, path.join(server.storeDir, 'jetstream'), { recursive: true });
      await server.restart();
    },
    stop: () => server.kill(),
    start: () => server.restart(),
    cutReader: () => readerLink.cut(),
    healReader: () => readerLink.heal(),
    appendUnanswered: async (writer, messages) => {
      // Slow enough that the cut falls between the request's arrival and the answer's.
      writerLink.delay(100);
      const before = await asRegion((nats) => nats.streamState(logStream('us')));
      const outcome = writer.append(messages).catch((error: unknown) => error);
      const arrived = (before?.lastSequence ?? 0) + messages.length;
      await expect.poll(() => asRegion(async (nats) => (await nats.streamState(logStream('us')))?.lastSequence), { interval: 5 }).toBe(arrived);
      writerLink.cut();
      const answer = await outcome;
      writerLink.delay(0);
      writerLink.heal();
      return answer;
    },
    close: async () => {
      await Promise.all([writerLink.close(), readerLink.close()]);
      if (server.pid === undefined) await server.restart();
      await asRegion((nats) => nats.deleteStream(logStream('us')));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

describe.skipIf(!natsAvailable)('nats', () => {
  beforeAll(async () => {
    server = await startNats({ region: 'us' });
  });

  afterAll(async () => {
    await server.stop();
  });

  logContract('nats', createWorld);

  describe('nats-server', () => {
    afterEach(() => asRegion((nats) => nats.deleteStream(logStream('us'))));

    test('[LOG-6] kill -9 under load loses nothing acknowledged, and the counts of the stream stay true', async () => {
      const writer = createNatsLogWriter({ address: server.address, region: 'us' });
      let acknowledged = 0;
      for (let life = 0; life < 3; life += 1) {
        const { intact } = await writer.open(() => {});
        expect(intact).toBe(true);
        let killing: Promise<void> | undefined;
        for (let appends = 0; ; appends += 1) {
          if (appends === 20) killing = server.kill();
          const round = acknowledged + 1;
          const sent = await writer.append(Array.from({ length: 200 }, (_, index) => message(`row.${index}`, String(round)))).then(
            () => true,
            () => false,
          );
          if (!sent) break;
          acknowledged = round;
        }
        await killing;
        await server.restart();
      }
      const kept: number[] = [];
      await writer.open(({ payload }) => kept.push(Number(new TextDecoder().decode(payload))));
      expect(acknowledged).toBeGreaterThanOrEqual(60);
      expect(kept).toHaveLength(200);
      for (const round of kept) expect(round).toBeGreaterThanOrEqual(acknowledged);
      await writer.close();
    });

    test('[LOG-6] an emptied data folder is another incarnation', async () => {
      const writer = createNatsLogWriter({ address: server.address, region: 'us' });
      const { position } = await writer.open(() => {});
      await writer.append([message('a', '1'), message('b', '1')]);
      await server.kill();
      rmSync(path.join(server.storeDir, 'jetstream'), { recursive: true });
      await server.restart();
      await expect(writer.append([message('a', '2')])).rejects.toThrow(LogUnavailable);
      const opened = await writer.open(() => {});
      expect(opened).toMatchObject({ intact: false, position: { sequence: 0 } });
      expect(opened.position.incarnation).not.toBe(position.incarnation);
      await writer.append([message('a', '2')]);
      const following = new Following(createNatsLogReader({ address: server.peerAddress, region: 'us' }), { ...position, sequence: 2 });
      await expect.poll(() => texts(following.messages)).toEqual(['a=2']);
      await following.stop();
      await writer.close();
    });

    test('[LOG-12] a message that is larger than the server takes is refused alone, and the log stays open', async () => {
      const writer = createNatsLogWriter({ address: server.address, region: 'us' });
      await writer.open(() => {});
      const huge = { key: 'huge', payload: new Uint8Array(await asRegion(async ({ maxPayload }) => maxPayload)) };
      const refusal: unknown = await writer.append([message('a', '1'), huge]).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(LogRefused);
      expect((refusal as LogRefused).keys).toEqual(['huge']);
      await writer.append([message('a', '1')]);
      await writer.close();
    });

    test('[LOG-18] a stream that was made larger stays so, and is filled', async () => {
      const sized = { address: server.address, region: 'us', maxBytes: 64 * 1024 };
      const writer = createNatsLogWriter(sized);
      const large = Array.from({ length: 10 }, (_, index) => message(`row.${index}`, 'x'.repeat(10_000)));
      await writer.open(() => {});
      await expect(writer.append(large)).rejects.toThrow(LogRefused);
      const enlarged = await asRegion((nats) =>
        nats.ensureStream({ name: logStream('us'), subjects: ['log.us.>'], maxMessagesPerSubject: 1, maxBytes: 1 << 20, retention: 'limits', discard: 'new' }),
      );
      expect(enlarged.bytesMax).toBe(1 << 20);
      await writer.open(() => {});
      await writer.append(large);
      expect((await asRegion((nats) => nats.streamState(logStream('us'))))?.bytesMax).toBe(1 << 20);
      await writer.close();
    });

    test('[LOG-13] a peer may read the log, and neither write it nor touch another stream', async () => {
      const writer = createNatsLogWriter({ address: server.address, region: 'us' });
      await writer.open(() => {});
      await writer.append([message('a', '1')]);
      await asRegion((nats) => nats.ensureStream({ name: 'SECRET', subjects: ['secret.>'], maxBytes: 1 << 20, retention: 'limits', discard: 'new' }));
      const peer = await connectNats(server.peerAddress, 'peer');
      const bytes = new Uint8Array(1);
      await expect(peer.publish('log.us.a', bytes)).rejects.toThrow(/permissions violation/i);
      await expect(peer.publish('secret.a', bytes)).rejects.toThrow(/permissions violation/i);
      await expect(peer.replay('SECRET', () => {})).rejects.toThrow(/permissions violation/i);
      await expect(peer.deleteStream(logStream('us'))).rejects.toThrow(/permissions violation/i);
      await expect(connectNats({ ...server.peerAddress, password: 'wrong' }, 'peer')).rejects.toThrow(/authorization/i);
      const kept: string[] = [];
      await peer.replay(logStream('us'), ({ subject }) => kept.push(subject));
      expect(kept).toEqual(['log.us.a']);
      await peer.close();
      await writer.close();
      await asRegion((nats) => nats.deleteStream('SECRET'));
    });
  });
});
