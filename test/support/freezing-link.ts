/** A TCP link whose connections of today can be frozen for good, while new ones pass: a server that hangs on some of them. */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface FreezingLink {
  readonly port: number;
  /** Connections that were made so far. */
  connections(): number;
  /** Nothing passes any more on the connections that there are, and nobody is told. */
  freeze(): void;
  close(): Promise<void>;
}

export async function startFreezingLink(targetPort: number): Promise<FreezingLink> {
  const sockets = new Set<Socket>();
  let made = 0;
  const server = createServer((near) => {
    made += 1;
    const far = connect(targetPort, '127.0.0.1');
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => made,
    freeze() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
