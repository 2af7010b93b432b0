/** Moderators for tests: a stock y-websocket provider in Node, and a bare socket that says what it likes. */

import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { controlProtocols } from '../../src/protocol/control.ts';

export interface Moderator {
  readonly doc: Y.Doc;
  readonly provider: WebsocketProvider;
  /** Close codes and reasons of its connections so far. */
  readonly closes: { readonly code: number; readonly reason: string }[];
  synced(): Promise<void>;
  stop(): void;
}

/** `url` is `ws://host:port` of a region. */
export function connectModerator(url: string, document: string, token: string | null = null, doc = new Y.Doc()): Moderator {
  const closes: { code: number; reason: string }[] = [];
  const provider = new WebsocketProvider(`${url}/control`, document, doc, {
    WebSocketPolyfill: WebSocket as never,
    protocols: controlProtocols(token),
    disableBc: true,
  });
  provider.on('connection-close', (event: { readonly code: number; readonly reason: string } | null) => {
    if (event !== null) closes.push({ code: event.code, reason: event.reason });
  });
  return {
    doc,
    provider,
    closes,
    synced: () => expect.poll(() => provider.synced, { timeout: 60_000, interval: 5 }).toBe(true),
    stop: () => provider.destroy(),
  };
}

export interface BareSocket {
  readonly webSocket: WebSocket;
  readonly messages: Uint8Array[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  send(...bytes: number[]): void;
}

export function connectBare(
  url: string,
  options: { readonly token?: string | null; readonly headers?: Record<string, string>; readonly protocols?: string[] } = {},
): BareSocket {
  const webSocket = new WebSocket(url, options.protocols ?? controlProtocols(options.token ?? null), { headers: options.headers ?? {} });
  const messages: Uint8Array[] = [];
  const early: Uint8Array[] = [];
  webSocket.on('message', (data: Buffer) => void messages.push(data));
  webSocket.on('open', () => early.splice(0).forEach((bytes) => webSocket.send(bytes)));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    webSocket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    webSocket.on('error', () => {});
  });
  return {
    webSocket,
    messages,
    closed,
    send(...bytes) {
      if (webSocket.readyState === WebSocket.CONNECTING) early.push(Uint8Array.from(bytes));
      else webSocket.send(Uint8Array.from(bytes));
    },
  };
}
