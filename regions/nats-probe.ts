/**
 * Whether somebody greets at an address, before the library is let at it: it leaks the socket when a
 * peer accepts and then stays silent, as a cut link or a stopped server does. This one is destroyed.
 */

import { createConnection } from 'node:net';

const NATS_PORT = 4_222;

/** Resolves when the server's greeting begins, rejects when it does not in time. */
export function probe(url: string, timeoutMs: number): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || NATS_PORT) });
    const end = (error?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => end(new Error(`no greeting in ${timeoutMs} ms`)), timeoutMs);
    socket.once('data', () => end());
    socket.once('close', () => end(new Error('closed before its greeting')));
    socket.once('error', end);
  });
}
