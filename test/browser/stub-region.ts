/**
 * A region as the live page sees it: the WebSocket protocol in msgpack, audit, history, and nothing behind them but
 * maps. It reads messages with the strict codec, so a page that breaks the protocol breaks the test.
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { SUBPROTOCOL_MSGPACK, type BatchMessage, type ServerMessage } from '../../src/protocol/messages.ts';
import { decodeClientMsgpack, encodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';

export const PALETTE = { heart: '❤️', fire: '🔥', clap: '👏', laugh: '😂', wow: '😮', sad: '😢' };
const FRAME_MS = 100;

export interface StubRegion {
  readonly id: string;
  readonly api: string;
  /** Region → emoji → count, as this region knows it. */
  readonly counts: Map<string, Map<string, number>>;
  /** Every batch received, also those received again. */
  readonly received: BatchMessage[];
  /** Peer → when it was last heard. */
  readonly heardAt: Map<string, number>;
  /** Answers no batch while false, as if the acknowledgement were lost on the way. */
  acknowledges: boolean;
  /** Counts nothing while true, as if every tap came too fast. */
  clamps: boolean;
  /** Closes every socket with a code. */
  dropViewers(code: number): void;
  total(emoji: string): number;
  digest(): string;
  stop(): Promise<void>;
}

export async function startStubRegion(id: string): Promise<StubRegion> {
  const counts = new Map([[id, new Map<string, number>()]]);
  const counted = new Set<string>();
  const received: BatchMessage[] = [];
  const heardAt = new Map<string, number>();
  let shown: Record<string, number> = {};

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const answer = pathname.endsWith('/audit')
      ? { region: id, digest: region.digest(), entries: entries() }
      : pathname.endsWith('/history')
        ? { points: points(Number(searchParams.get('from')), Number(searchParams.get('to'))) }
        : null;
    response.writeHead(answer === null ? 404 : 200, { 'content-type': 'application/json', 'access-control-allow-origin': '*' });
    response.end(JSON.stringify(answer));
  });
  const sockets = new WebSocketServer({ server, handleProtocols: () => SUBPROTOCOL_MSGPACK });
  sockets.on('connection', (socket) => serve(socket));
  const frames = setInterval(sendFrames, FRAME_MS);

  function serve(socket: WebSocket): void {
    let session = '';
    send(socket, { type: 'welcome', region: id, palette: PALETTE, batch_ms: 250, frame_ms: FRAME_MS, totals: totals() });
    socket.on('message', (data) => {
      const message = decodeClientMsgpack(data as Buffer);
      if (message.type === 'hello') {
        session = message.session_id;
        return;
      }
      received.push(message);
      const key = `${session} ${message.seq}`;
      const duplicate = counted.has(key);
      counted.add(key);
      const taps = message.reactions.reduce((sum, { count }) => sum + count, 0);
      const [accepted, clamped] = region.clamps ? [0, taps] : [taps, 0];
      if (!duplicate && !region.clamps) for (const { emoji_id, count } of message.reactions) add(id, emoji_id, count);
      if (region.acknowledges) send(socket, { type: 'ack', seq: message.seq, accepted, clamped, duplicate });
    });
  }

  function add(origin: string, emoji: string, count: number): void {
    const own = counts.get(origin)!;
    own.set(emoji, (own.get(emoji) ?? 0) + count);
  }

  function entries(): object[] {
    return [...counts].flatMap(([origin, byEmoji]) =>
      [...byEmoji].map(([emoji_id, increments]) => ({ actor: `${origin}/0/1`, emoji_id, increments, decrements: 0 })),
    );
  }

  /** As if the crowd had tapped hearts all the time, ever more. */
  function points(from: number, to: number): object[] {
    return Array.from({ length: (to - from) / 1000 }, (_, second) => ({
      emoji_id: 'heart',
      window_start: new Date(from + second * 1000).toISOString(),
      count: second,
    }));
  }

  function totals(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const byEmoji of counts.values()) {
      for (const [emoji, count] of byEmoji) sums[emoji] = (sums[emoji] ?? 0) + count;
    }
    return sums;
  }

  function sendFrames(): void {
    const now = totals();
    const hints: Record<string, number> = {};
    for (const [emoji, total] of Object.entries(now)) {
      const increase = total - (shown[emoji] ?? 0);
      if (increase > 0) hints[emoji] = Math.min(50, increase);
    }
    shown = now;
    const rates = Object.fromEntries(Object.entries(hints).map(([emoji, hint]) => [emoji, (hint * 1000) / FRAME_MS]));
    const staleness = Object.fromEntries([...heardAt].map(([peer, at]) => [peer, Date.now() - at]));
    for (const socket of sockets.clients) {
      send(socket, { type: 'frame', region: id, at: Date.now(), level: 'exact', totals: now, rates, hints, viewers: 3, staleness });
    }
  }

  const region: StubRegion = {
    id,
    api: `http://127.0.0.1:${await listen(server)}`,
    counts,
    received,
    heardAt,
    acknowledges: true,
    clamps: false,
    dropViewers(code) {
      for (const socket of sockets.clients) socket.close(code);
    },
    total: (emoji) => totals()[emoji] ?? 0,
    digest: () => JSON.stringify(Object.entries(totals()).sort()),
    async stop() {
      clearInterval(frames);
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      await close(server);
    },
  };
  return region;
}

/** Hands what one region knows to another one, as the replicator would. */
export function replicate(from: StubRegion, to: StubRegion): void {
  to.heardAt.set(from.id, Date.now());
  to.counts.set(from.id, new Map(from.counts.get(from.id)));
}

function send(socket: WebSocket, message: ServerMessage): void {
  socket.send(encodeServerMsgpack(message));
}

export function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

export function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
