/** Viewers who do nothing wrong while others do: they tap four times a second, and keep books and latencies. */

import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';

const BATCH_MS = 250;

export interface Latencies {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

/** Of latencies in milliseconds. */
export function summaryOf(latencies: readonly number[]): Latencies {
  const sorted = latencies.toSorted((a, b) => a - b);
  const quantile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, p50: quantile(0.5), p99: quantile(0.99) };
}

export class LegitimateCrowd {
  accepted = 0;
  clamped = 0;
  /** Errors, and connections that ended. */
  failures = 0;
  readonly #latencies: number[] = [];
  readonly #sentAt = new Map<string, number>();
  readonly #sockets: WebSocket[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #welcomed = 0;
  #isLeaving = false;

  constructor(url: string, stream: string, tokens: readonly string[], viewerOf: (index: number) => string) {
    tokens.forEach((token, index) => this.#join(`${url.replace('http', 'ws')}/streams/${stream}/reactions`, token, viewerOf(index)));
  }

  get isWelcome(): boolean {
    return this.#welcomed === this.#sockets.length;
  }

  get unanswered(): number {
    return this.#sentAt.size;
  }

  /** The latencies since it was asked for last: milliseconds. */
  takeLatencies(): number[] {
    return this.#latencies.splice(0);
  }

  /** Taps no more; what is on its way is still answered. */
  rest(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  leave(): void {
    this.#isLeaving = true;
    this.rest();
    for (const socket of this.#sockets) socket.terminate();
  }

  #join(url: string, token: string, viewer: string): void {
    const session = randomUUID();
    const socket = new WebSocket(url, 'ovation.v1.json', { perMessageDeflate: false });
    this.#sockets.push(socket);
    let seq = 0;
    const tap = (): void => {
      seq += 1;
      this.#sentAt.set(`${session} ${seq}`, performance.now());
      socket.send(JSON.stringify({ type: 'batch', seq, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: Date.now() }));
    };
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { readonly type: string; readonly seq: number; readonly accepted: number; readonly clamped: number };
      if (message.type === 'welcome') {
        this.#welcomed += 1;
        socket.send(JSON.stringify({ type: 'hello', session_id: session, viewer_id: viewer, token }));
        setTimeout(() => this.#timers.push(setInterval(tap, BATCH_MS)), BATCH_MS * Math.random());
      } else if (message.type === 'error') {
        this.failures += 1;
      } else if (message.type === 'ack') {
        const key = `${session} ${message.seq}`;
        this.#latencies.push(performance.now() - this.#sentAt.get(key)!);
        this.#sentAt.delete(key);
        this.accepted += message.accepted;
        this.clamped += message.clamped;
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!this.#isLeaving) this.failures += 1;
    });
  }
}
