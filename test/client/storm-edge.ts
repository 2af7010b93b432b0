/**
 * A process with nothing but a real edge, to be killed: what it is sent it hands to the test that started it,
 * which counts. So the books outlive it, as they do where edges and aggregators are apart.
 */

import { subscribe } from 'node:diagnostics_channel';
import process from 'node:process';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Frame } from '../../src/broadcaster/frame-feed.ts';
import { createEdge } from '../../src/edge/server.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';

export type ToEdge =
  | { readonly kind: 'listen'; readonly port: number }
  | { readonly kind: 'reply'; readonly batch: number; readonly reply: IngestReply }
  | { readonly kind: 'frame'; readonly frame: Frame };

export type FromEdge =
  | { readonly kind: 'ready' }
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'batch'; readonly batch: number; readonly content: Batch }
  /** A connection was accepted: milliseconds since the epoch. */
  | { readonly kind: 'accepted'; readonly at: number };

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const GRACE_MS = 5_000;

const tell = (message: FromEdge): void => void (process.connected && process.send!(message));
const waiting = new Map<number, (reply: IngestReply) => void>();
const listeners = new Set<(frame: Frame) => void>();
let newest: Frame;
let port = 0;
let batches = 0;

async function listen(): Promise<void> {
  const edge = await createEdge({
    region: 'us',
    config: { host: '127.0.0.1', port, origins: ['*'], jwt: null, viewersMax: 1_000 },
    ingest: {
      submit(content, done) {
        waiting.set(++batches, done);
        tell({ kind: 'batch', batch: batches, content });
      },
    },
    feed: {
      watch: () => {},
      onFrame(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      read: async () => newest,
      books: async () => Promise.reject(new Error('An edge keeps no books')),
      streams: async () => [],
    },
    history: null,
    stored: null,
    peers: () => ({}),
    policyOf: () => DEFAULT_POLICY,
    runtime: realRuntime,
    log: SILENT,
  });
  process.once('SIGTERM', () => void edge.stop({ graceMs: GRACE_MS }).then(() => process.exit(0)));
  port = (await edge.listen()).port;
  tell({ kind: 'listening', port });
}

subscribe('net.server.socket', () => tell({ kind: 'accepted', at: Date.now() }));
process.on('message', (message: ToEdge) => {
  if (message.kind === 'listen') {
    ({ port } = message);
    void listen();
  } else if (message.kind === 'reply') {
    waiting.get(message.batch)?.(message.reply);
    waiting.delete(message.batch);
  } else {
    newest = message.frame;
    for (const listener of listeners) listener(newest);
  }
});
process.once('disconnect', () => process.exit(1));
tell({ kind: 'ready' });
