/**
 * Requests that offer to go on in a protocol that is not spoken here, as `h2c`, which some HTTP clients do with their first one.
 *
 * A server may pass over such an offer (RFC 9110, 7.8). Once anybody listens for upgrades Node does not: it hands over the
 * bare connection instead. So the request is put back without the offer, and answered like any other.
 */

import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** What is said about the connection, and not to us. */
const OF_CONNECTION = /^(?:upgrade|connection)$/i;

export function passOverUpgrade(server: Server, { method, url, httpVersion, rawHeaders }: IncomingMessage, raw: Duplex, head: Buffer): void {
  // The connection ends with the answer, or each request over it would be put back.
  const lines = [`${method} ${url} HTTP/${httpVersion}`, 'connection: close'];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (!OF_CONNECTION.test(rawHeaders[at]!)) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  }
  server.emit('connection', raw);
  raw.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
}
