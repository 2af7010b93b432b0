/**
 * Viewers of the slow-viewers benchmark whose links are good, in a process of their own: they tap, heed the pace, and keep how long
 * acknowledgements and frames take.
 *
 * Arguments: port, viewers, emoji that all of them know.
 */

import { WebSocket } from 'ws';
import { median } from './measure.ts';

/** Since it was asked for last. Every message to this process asks. */
export interface Latencies {
  readonly ackMs: readonly number[];
  /** From the making of each frame to its arrival. */
  readonly frameMs: readonly number[];
  readonly frameBytes: number;
  /** Of the last frame. */
  readonly level: string;
}

interface Message {
  readonly type: string;
  readonly seq: number;
  readonly batch_ms: number;
  readonly at: number;
  readonly level: string;
}

const EMOJI_PER_BATCH = 2;
const [port, viewers, ...emoji] = process.argv.slice(2) as [string, string, ...string[]];
let ackMs: number[] = [];
let frameMs: number[] = [];
let frameBytes: number[] = [];
let level = '';
let welcomed = 0;
let tapped = 0;

function watchAndTap(name: string): void {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/streams/derby/reactions`);
  const sentAt = new Map<number, number>();
  let batchMs = 0;
  let sequence = 0;
  function tap(): void {
    sequence += 1;
    const reactions = Array.from({ length: EMOJI_PER_BATCH }, () => ({ emoji_id: emoji[tapped++ % emoji.length]!, count: 1 }));
    sentAt.set(sequence, performance.now());
    socket.send(JSON.stringify({ type: 'batch', seq: sequence, reactions, timestamp: Date.now() }));
    plan();
  }
  const plan = (): unknown => setTimeout(tap, batchMs * (0.9 + 0.2 * Math.random()));
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message;
    if (message.type === 'welcome' || message.type === 'pace') batchMs = message.batch_ms;
    if (message.type === 'frame') {
      frameMs.push(Math.max(0, Date.now() - message.at));
      frameBytes.push(data.length);
      level = message.level;
    } else if (message.type === 'ack') {
      ackMs.push(performance.now() - sentAt.get(message.seq)!);
      sentAt.delete(message.seq);
    } else if (message.type === 'welcome') {
      socket.send(JSON.stringify({ type: 'hello', session_id: name, viewer_id: name }));
      setTimeout(tap, batchMs * Math.random());
      welcomed += 1;
      if (welcomed === Number(viewers)) process.send?.('ready');
    }
  });
}

process.on('disconnect', () => process.exit());
process.on('message', () => {
  process.send?.({ ackMs, frameMs, frameBytes: median(frameBytes), level } satisfies Latencies);
  ackMs = [];
  frameMs = [];
  frameBytes = [];
});
for (let index = 0; index < Number(viewers); index++) watchAndTap(`good-${index}`);
