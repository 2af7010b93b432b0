import { createServer, connect, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startLinkProxy, type LinkProxy } from '../../src/cli/dev/link-proxy.ts';

/** A server that echoes, and remembers what it heard. */
let server: Server;
let serverSockets: Socket[];
let heard: string;
let link: LinkProxy;
let clients: Socket[];
/** What chance says next; 1 when it has nothing to say. */
let chances: number[];

beforeEach(async () => {
  heard = '';
  serverSockets = [];
  clients = [];
  server = createServer((socket) => {
    serverSockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      heard += bytes.toString();
      socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  chances = [];
  link = await startLinkProxy({ targetHost: '127.0.0.1', targetPort: portOf(server), random: () => chances.shift() ?? 1 });
});

afterEach(async () => {
  for (const socket of [...clients, ...serverSockets]) socket.destroy();
  await link.close();
  await new Promise((resolve) => server.close(resolve));
});

function portOf(listening: Server): number {
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return address.port;
}

interface Client {
  readonly socket: Socket;
  received: string;
  closed: boolean;
}

function connectClient(): Client {
  const socket = connect(link.port, '127.0.0.1');
  const client: Client = { socket, received: '', closed: false };
  clients.push(socket);
  socket.on('data', (bytes) => (client.received += bytes.toString()));
  socket.on('error', () => {});
  socket.on('close', () => (client.closed = true));
  return client;
}

describe('link proxy', () => {
  test('[CLI-20] an open link hands bytes on, both ways', async () => {
    const client = connectClient();
    client.socket.write('tap');
    await expect.poll(() => client.received).toBe('tap');
  });

  test('[CLI-21] a cut stops bytes both ways and tells nobody; a heal lets them go on', async () => {
    const client = connectClient();
    client.socket.write('one,');
    await expect.poll(() => client.received).toBe('one,');
    link.cut();
    client.socket.write('two,');
    serverSockets[0]?.write('from the server,');
    await roundTripElsewhere();
    expect([heard, client.received, client.closed]).toEqual(['one,', 'one,', false]);
    link.heal();
    await expect.poll(() => client.received).toBe('one,from the server,two,');
    expect(heard).toBe('one,two,');
  });

  test('[CLI-21] a connection made behind a cut is accepted, silent, and served after the heal', async () => {
    link.cut();
    const client = connectClient();
    client.socket.write('early');
    await expect.poll(() => link.connections).toBe(1);
    await roundTripElsewhere();
    expect(serverSockets).toHaveLength(0);
    link.heal();
    await expect.poll(() => client.received).toBe('early');
  });

  test('[CLI-21] a client that gives up behind a cut is forgotten', async () => {
    link.cut();
    const client = connectClient();
    await expect.poll(() => link.connections).toBe(1);
    client.socket.destroy();
    await expect.poll(() => link.connections).toBe(0);
  });

  test('[CLI-21] a connection lost behind a cut is lost for the other end only after the heal', async () => {
    const client = connectClient();
    client.socket.write('x');
    await expect.poll(() => client.received).toBe('x');
    link.cut();
    serverSockets[0]?.destroy();
    await roundTripElsewhere();
    expect(client.closed).toBe(false);
    link.heal();
    await expect.poll(() => client.closed).toBe(true);
    await expect.poll(() => link.connections).toBe(0);
  });

  test('[CLI-22] a delay holds bytes back each way and keeps their order, also when it shrinks', async () => {
    link.delay(60);
    const client = connectClient();
    const before = performance.now();
    client.socket.write('a');
    await expect.poll(() => heard, { interval: 5 }).toBe('a');
    expect(performance.now() - before).toBeGreaterThanOrEqual(55);
    link.delay(200);
    client.socket.write('b');
    await roundTripElsewhere();
    link.delay(0);
    client.socket.write('c');
    await expect.poll(() => client.received).toBe('abc');
  });

  test('[CLI-28] a link that loses one way hands on the other, lets no new connection through, and after the heal nothing is missing', async () => {
    const client = connectClient();
    client.socket.write('one,');
    await expect.poll(() => client.received).toBe('one,');
    link.silence('mute');
    client.socket.write('two,');
    serverSockets[0]?.write('heard,');
    await expect.poll(() => client.received).toBe('one,heard,');
    const late = connectClient();
    late.socket.write('late,');
    await expect.poll(() => link.connections).toBe(2);
    await roundTripElsewhere();
    expect([heard, serverSockets.length]).toEqual(['one,', 1]);

    link.silence('deaf');
    await expect.poll(() => heard).toBe('one,two,');
    await roundTripElsewhere();
    expect(client.received).toBe('one,heard,');
    link.heal();
    await expect.poll(() => [client.received, late.received]).toEqual(['one,heard,two,', 'late,']);
  });

  test('[CLI-29] a lossy link holds back what is lost until it would be sent again, and all behind it', async () => {
    const client = connectClient();
    client.socket.write('-');
    await expect.poll(() => client.received).toBe('-');
    link.lose(0.5);
    chances = [0.4, 0.6];
    const before = performance.now();
    client.socket.write('a');
    await expect.poll(() => chances.length).toBe(0);
    client.socket.write('b');
    await roundTripElsewhere();
    expect(heard).toBe('-');
    await expect.poll(() => heard, { interval: 5 }).toBe('-ab');
    expect(performance.now() - before).toBeGreaterThanOrEqual(195);
  });

  test('[CLI-23] behind a cut the sender is paused once the buffer is full', async () => {
    const client = connectClient();
    client.socket.write('x');
    await expect.poll(() => client.received).toBe('x');
    link.cut();
    const chunk = Buffer.alloc(1024 * 1024, 'y');
    let sent = 1;
    const send = (): void => {
      if (sent >= 64 * chunk.length) return;
      client.socket.write(chunk, () => {
        sent += chunk.length;
        send();
      });
    };
    send();
    await expect.poll(() => client.socket.writableLength).toBeGreaterThan(0);
    let before = -1;
    await expect.poll(() => before === (before = sent), { interval: 100 }).toBe(true);
    expect(sent).toBeLessThan(32 * chunk.length);
    link.heal();
    await expect.poll(() => heard.length).toBe(64 * chunk.length + 1);
  });

  test('a closed target closes the client; a taken port is an error', async () => {
    const client = connectClient();
    client.socket.write('x');
    await expect.poll(() => client.received).toBe('x');
    serverSockets[0]?.end();
    client.socket.end();
    await expect.poll(() => client.closed).toBe(true);
    const options = { listenPort: link.port, targetHost: '127.0.0.1', targetPort: portOf(server) };
    await expect(startLinkProxy(options)).rejects.toThrow('EADDRINUSE');
  });
});

/** Another client's whole conversation, over a link of the same kind: time enough for bytes that are not stopped. */
async function roundTripElsewhere(): Promise<void> {
  const echo = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const other = await startLinkProxy({ targetHost: '127.0.0.1', targetPort: portOf(echo) });
  const socket = connect(other.port, '127.0.0.1');
  await new Promise<void>((resolve) => {
    socket.write('?');
    socket.once('data', () => resolve());
  });
  socket.destroy();
  await other.close();
  await new Promise((resolve) => echo.close(resolve));
}
