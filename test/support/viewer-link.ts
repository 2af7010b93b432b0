/**
 * The way between a viewer and a region, which can fail as such ways do: connections are reset, forgotten by
 * something in between (bytes are swallowed both ways and nobody is told), or single messages of the
 * region never arrive.
 */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { decodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';

export interface ViewerLink {
  readonly url: string;
  /** Connections that were made through it so far. */
  readonly connections: number;
  /** Decides for each WebSocket message of the region whether it arrives; null lets everything pass, read or not. */
  arrives: ((message: ServerMessage) => boolean) | null;
  /** Resets every connection, and while it is `refuse`d every new one. */
  reset(): void;
  /** Swallows whatever comes over connections that are open, for ever. */
  forget(): void;
  /** What happens to new connections. */
  mode: 'open' | 'refuse' | 'forget';
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly target: Socket;
  isForgotten: boolean;
}

export function startViewerLink(targetUrl: string): Promise<ViewerLink> {
  const { hostname, port } = new URL(targetUrl);
  const pairs = new Set<Pair>();
  let connections = 0;

  const server = createServer({ noDelay: true }, (client) => {
    connections += 1;
    if (link.mode === 'refuse') return void client.on('error', () => {}).resetAndDestroy();
    const pair: Pair = { client, target: connect({ host: hostname, port: Number(port), noDelay: true }), isForgotten: link.mode === 'forget' };
    pairs.add(pair);
    const downward = messageFilter((payload) => link.arrives === null || link.arrives(decodeServerMsgpack(payload)));
    client.on('data', (bytes: Buffer) => void (pair.isForgotten || pair.target.write(bytes)));
    pair.target.on('data', (bytes: Buffer) => void (pair.isForgotten || client.write(downward(bytes))));
    for (const [socket, other] of [[client, pair.target], [pair.target, client]] as const) {
      socket.on('error', () => {});
      socket.on('close', () => {
        if (!pair.isForgotten) other.destroy();
        if (client.destroyed && pair.target.destroyed) pairs.delete(pair);
      });
    }
  });

  function reset(): void {
    for (const { client, target } of pairs) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
    pairs.clear();
  }

  const link: ViewerLink = {
    get url() {
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    get connections() {
      return connections;
    },
    arrives: null,
    reset,
    forget() {
      for (const pair of pairs) pair.isForgotten = true;
    },
    mode: 'open',
    close() {
      reset();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(link)));
}

/**
 * Takes single messages out of what a region sends over one connection. Whatever comes before a WebSocket's
 * handshake, or is no WebSocket, passes. Regions neither mask, fragment nor compress (RFC 6455, 5.2).
 */
function messageFilter(arrives: (payload: Uint8Array) => boolean): (bytes: Buffer) => Buffer {
  let isWebSocket: boolean | null = null;
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    isWebSocket ??= bytes.toString('latin1', 0, 12) === 'HTTP/1.1 101';
    if (!isWebSocket) return bytes;
    rest = Buffer.concat([rest, bytes]);
    const passed: Buffer[] = [];
    if (rest[0] === 0x48) {
      const end = rest.indexOf('\r\n\r\n') + 4;
      if (end < 4) return Buffer.alloc(0);
      passed.push(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    for (;;) {
      const short = rest.length < 2 ? 0 : rest[1]! & 0x7f;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (rest.length < head) break;
      const length = head === 2 ? short : head === 4 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
      if (rest.length < head + length) break;
      const isBinary = (rest[0]! & 0x0f) === 2;
      if (!isBinary || arrives(rest.subarray(head, head + length))) passed.push(rest.subarray(0, head + length));
      rest = rest.subarray(head + length);
    }
    return Buffer.concat(passed);
  };
}
