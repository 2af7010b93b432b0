/**
 * A region whose edge is a process of its own that can be killed and replaced, and a crowd of player SDKs
 * on real WebSockets that is connected to it. Books are kept on both sides.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { build } from 'esbuild';
import { WebSocket } from 'ws';
import type { StreamId } from '../../crdt/ids.ts';
import type { Cancel } from '../../regions/runtime.ts';
import type { Batch } from '../../src/aggregator/ingest.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Frame } from '../../src/broadcaster/frame-feed.ts';
import { createReactions } from '../../src/client/create-reactions.ts';
import type { Platform, Reactions } from '../../src/client/client-types.ts';
import type { FromEdge, ToEdge } from './storm-edge.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const STREAM = 'derby' as StreamId;
const FRAME_MS = 1_000;

export class KillableRegion {
  /** Counts, but never answers. */
  mute = false;
  counted = 0;
  /** When each connection was accepted, by any of its edges. */
  readonly accepted: number[] = [];
  readonly #seen = new Map<string, number>();
  readonly #ticking = setInterval(() => this.#frame(), FRAME_MS);
  #edge: ChildProcess | null = null;
  readonly #spares: ChildProcess[] = [];
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Loads as many edges at once as will be wanted one after the other, so that nobody waits for a process to load. */
  async load(edges: number): Promise<void> {
    const entryPoints = [path.join(import.meta.dirname, 'storm-edge.ts')];
    const bundled = await build({ entryPoints, bundle: true, platform: 'node', format: 'esm', packages: 'external', write: false });
    await Promise.all(Array.from({ length: edges }, () => this.#run(bundled.outputFiles[0]!.text)));
  }

  /** The next edge takes the port. */
  async start(): Promise<void> {
    this.#edge = this.#spares.shift()!;
    this.#frame();
    const listening = once(this.#edge, 'listening to viewers');
    this.#send({ kind: 'listen', port: this.#port });
    await listening;
  }

  /** The edge is gone when this resolves. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const gone = once(this.#edge!, 'exit');
    this.#edge!.kill(signal);
    await gone;
    this.#edge = null;
  }

  /** The edge does nothing, until it is told to go on. */
  stopFor<Value>(meanwhile: () => Promise<Value>): Promise<Value> {
    this.#edge!.kill('SIGSTOP');
    return meanwhile().finally(() => this.#edge!.kill('SIGCONT'));
  }

  close(): void {
    clearInterval(this.#ticking);
    for (const child of [this.#edge, ...this.#spares]) child?.kill('SIGKILL');
  }

  async #run(code: string): Promise<void> {
    const child = spawn(process.execPath, ['--input-type=module'], { cwd: ROOT, stdio: ['pipe', 'inherit', 'inherit', 'ipc'] });
    this.#spares.push(child);
    child.stdin!.end(code);
    const ready = once(child, 'ready for viewers');
    child.on('message', (message: FromEdge) => {
      if (message.kind === 'ready') child.emit('ready for viewers');
      else if (message.kind === 'accepted') this.accepted.push(message.at);
      else if (message.kind === 'batch') this.#count(message.batch, message.content);
      else {
        this.#port = message.port;
        child.emit('listening to viewers');
      }
    });
    await ready;
  }

  #count(batch: number, { session, sequence, reactions }: Batch): void {
    const key = `${session} ${sequence}`;
    const duplicate = this.#seen.has(key);
    const accepted = this.#seen.get(key) ?? reactions.reduce((sum, [, count]) => sum + count, 0);
    if (!duplicate) this.counted += accepted;
    this.#seen.set(key, accepted);
    if (!this.mute) this.#send({ kind: 'reply', batch, reply: { kind: 'counted', accepted, clamped: 0, duplicate } });
  }

  #frame(): void {
    const quiet = { level: 'exact', rates: {}, hints: {}, viewers: 0, staleness: {} } as const;
    const frame: Frame = { ...quiet, stream: STREAM, region: 'us', at: Date.now(), totals: { heart: this.counted } };
    this.#send({ kind: 'frame', frame });
  }

  #send(message: ToEdge): void {
    // What was on its way to an edge that is killed is lost with it.
    this.#edge?.send(message, () => {});
  }
}

/** A WebSocket that a viewer opened. */
export interface Attempt {
  readonly viewer: number;
  /** When the SDK meant to: a busy machine may have been late, and all the later ones at once. */
  readonly at: number;
  /** How long it meant to wait before. */
  readonly waitMs: number;
}

export class Crowd {
  taken = 0;
  acknowledged = 0;
  attempts: Attempt[] = [];
  readonly #viewers: Reactions[];
  /** Of the timer that fires now. */
  #timer = { at: 0, waitMs: 0 };

  constructor(url: string, size: number) {
    const after = (delayMs: number, call: () => void): Cancel => {
      const timer = { at: Date.now() + delayMs, waitMs: delayMs };
      return realRuntime.timers.after(delayMs, () => {
        this.#timer = timer;
        call();
      });
    };
    const runtime = { ...realRuntime, timers: { after } };
    this.#viewers = Array.from({ length: size }, (_, viewer) => {
      const platform = { runtime, WebSocket: this.#notingSocket(viewer) };
      const reactions = createReactions({ endpoints: url, streamId: STREAM, platform });
      reactions.on('ack', ({ accepted }) => (this.acknowledged += accepted));
      return reactions;
    });
  }

  get connected(): number {
    return this.#viewers.filter(({ state }) => state === 'connected').length;
  }

  tap(count: number): void {
    for (const viewer of this.#viewers) this.taken += viewer.tap('heart', count);
  }

  close(): void {
    for (const viewer of this.#viewers) viewer.close();
  }

  #notingSocket(viewer: number): Platform['WebSocket'] {
    const note = (): void => void this.attempts.push({ viewer, ...this.#timer });
    return class extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol);
        note();
      }
    } as unknown as Platform['WebSocket'];
  }
}
