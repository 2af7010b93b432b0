/** The ports of a dev, known before anything starts, so that a port that is taken stops nothing half way. */

import { createServer } from 'node:net';
import { CommandFailure } from '../failure.ts';

const ADMIN_OFFSET = 100;
export const REGIONS_MAX = 16;
/** The last port from which all others still fit. */
export const PORT_MAX = 65_535 - ADMIN_OFFSET - REGIONS_MAX;

/** The live page on `port`, the regions' APIs on the ports after it, their admin ports 100 further on. */
export function portsOf(port: number, regionIndex: number): { readonly port: number; readonly adminPort: number } {
  return { port: port + 1 + regionIndex, adminPort: port + 1 + ADMIN_OFFSET + regionIndex };
}

/** At an address of this machine. @throws CommandFailure naming the port and what it is for */
export async function assertFree(port: number, purpose: string, host = '127.0.0.1'): Promise<void> {
  const error = await tryListen(port, host);
  if (error === null) return;
  const reason = error.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${error.message})`;
  throw new CommandFailure('usage', `port ${port} (${purpose}) ${reason}; stop what listens there, or choose others with --port`);
}

export async function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function tryListen(port: number, host: string): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, host, () => server.close(() => resolve(null)));
  });
}
