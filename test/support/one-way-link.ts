/**
 * A link to a server on this machine that can lose one direction: what is sent arrives, and nobody hears the answer. So a process can
 * be killed between what it did and its knowing of it.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface OneWayLink {
  readonly port: number;
  /** `deaf` loses answers, `cut` loses both; whoever is connected then must connect anew to be heard again. */
  state: 'open' | 'deaf' | 'cut';
  close(): Promise<void>;
}

export async function startOneWayLink(targetPort: number): Promise<OneWayLink> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const target = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
    const end = (): void => {
      for (const socket of [client, target]) {
        socket.destroy();
        sockets.delete(socket);
      }
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    client.on('data', (bytes) => {
      if (link.state !== 'cut') target.write(bytes);
    });
    target.on('data', (bytes) => {
      if (link.state === 'open') client.write(bytes);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const link: OneWayLink = {
    port: (server.address() as AddressInfo).port,
    state: 'open',
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return link;
}
