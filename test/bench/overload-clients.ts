/**
 * The crowd of the overload benchmark, in a process of its own.
 *
 * Viewers have the player SDK's own sessions over bare sockets, because a whole client for each would need more CPU than the
 * region has: 32 batches out, refused ones again when the region said, all again after a reconnect. *Deaf* viewers do not
 * heed the pace: they are the load that a region can only refuse. Beside them probes, each on a stream of its own, heed it as players
 * do, tap one at a time and wait for the frame that holds it. Arguments: the port. Told by its parent what to do, it answers with what it saw.
 */

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { sleep } from '../../regions/runtime.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { Latencies, type Percentiles } from '../../src/cli/load/latencies.ts';
import { Session, WaitingTaps, tapsOf } from '../../src/client/session.ts';
import { mayReconnect } from '../../src/protocol/close-codes.ts';
import { SUBPROTOCOL_MSGPACK, type ClientMessage, type ServerMessage } from '../../src/protocol/messages.ts';
import { decodeServerMsgpack, encodeClientMsgpack } from '../../src/protocol/msgpack-codec.ts';

/** A crowd of `sockets`, each of which taps every `intervalMs`, about evenly apart. */
export interface Offer {
  readonly sockets: number;
  readonly intervalMs: number;
  readonly durationMs: number;
  readonly isDeaf: boolean;
}

/** What became of an offer. Counts are of batches unless they say otherwise. */
export interface Outcome {
  readonly offeredTaps: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly acknowledgedTaps: number;
  readonly refused: number;
  readonly closed: number;
  /** How late these viewers' own timers fired, at the 99th percentile: as much of the latencies may be theirs. */
  readonly ownDelayMs: number;
  /** From the sending of a batch that was taken to its acknowledgement. */
  readonly sentToAck: Percentiles | null;
  /** Of the probes: from the sending of the tap that was taken to the frame that holds it. */
  readonly tapToFrame: Percentiles | null;
  /** The level of the probes' last frames, at each change: milliseconds since the start, and which. */
  readonly levels: readonly (readonly [atMs: number, level: string])[];
}

/** Taps acknowledged as accepted since the start, of crowd and probes, by stream; and sessions with unanswered batches. */
export interface Account {
  readonly accepted: Readonly<Record<string, number>>;
  readonly unanswered: number;
}

export type Order = { readonly connect: number; readonly probes: number } | { readonly offer: Offer } | { readonly settle: number };

const STREAMS = 20;
const EMOJI = ['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'];
const TICK_MS = 10;
const HANDSHAKES_MAX = 50;
const BATCH_MS = 250;
const ANSWER_MS_MAX = 7_000;
const PROBE_PAUSE_MS = 200;
const PROBE_SILENCE_MS = 15_000;
const [port] = process.argv.slice(2).map(Number) as [number];
const now = (): number => realRuntime.clock.now();

const accepted = new Map<string, number>();
let isDeaf = false;
/** Nobody taps any more. */
let isOver = false;
let tally = emptyTally();

function emptyTally() {
  return { startedAt: now(), offeredTaps: 0, sent: 0, acknowledged: 0, acknowledgedTaps: 0, refused: 0, closed: 0, sentToAck: new Latencies(), tapToFrame: new Latencies(), levels: [] as [number, string][] };
}

/** One viewer on one bare socket. */
class Viewer {
  readonly session: Session;
  readonly waiting = new WaitingTaps();
  readonly stream: string;
  readonly #name: string;
  readonly #sentAt = new Map<number, number>();
  #socket: net.Socket | null = null;
  #buffer: Buffer = Buffer.alloc(0);
  #isWelcomed = false;
  #batchMs = BATCH_MS;
  #nextBatchAt = 0;
  isProbe = false;
  onFrame: ((message: Extract<ServerMessage, { type: 'frame' }>) => void) | null = null;
  onAccepted: ((sentAt: number) => void) | null = null;

  constructor(name: string, stream: string) {
    this.#name = name;
    this.stream = stream;
    this.session = new Session(randomBytes(12).toString('hex'), ANSWER_MS_MAX);
  }

  /** Resolves when welcomed, or when the connection ended before. */
  connect(): Promise<void> {
    return new Promise((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      this.#socket = socket;
      this.#buffer = Buffer.alloc(0);
      this.#isWelcomed = false;
      socket.on('error', () => {});
      socket.on('close', () => {
        if (this.#socket !== socket) return resolve();
        this.#socket = null;
        tally.closed += 1;
        resolve();
        realRuntime.timers.after(500 + 10_000 * Math.random(), () => void this.connect());
      });
      const key = randomBytes(16).toString('base64');
      const head = ['GET /streams/' + this.stream + '/reactions HTTP/1.1', 'host: x', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', `sec-websocket-key: ${key}`, `sec-websocket-protocol: ${SUBPROTOCOL_MSGPACK}`];
      socket.write(`${head.join('\r\n')}\r\n\r\n`);
      let isOpen = false;
      socket.on('data', (chunk) => {
        this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
        if (!isOpen) {
          const end = this.#buffer.indexOf('\r\n\r\n');
          if (end < 0) return;
          if (!this.#buffer.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) return void socket.destroy();
          this.#buffer = this.#buffer.subarray(end + 4);
          isOpen = true;
        }
        this.#readMessages(resolve);
      });
    });
  }

  tap(emoji: string): void {
    this.waiting.add(emoji, 1, now());
    tally.offeredTaps += 1;
  }

  /** Sends what is due. */
  turn(): void {
    if (!this.#isWelcomed) return;
    const at = now();
    if (at >= this.session.resendAt) for (const batch of this.session.resends(at, false)) this.#sendBatch(batch, at);
    if (this.waiting.isEmpty || at < this.#nextBatchAt) return;
    const batch = this.session.nextBatch(this.waiting, at);
    if (batch === null) return;
    // The crowd's batches must not come in step.
    this.#nextBatchAt = isDeaf && !this.isProbe ? 0 : at + this.#batchMs * (0.9 + 0.2 * Math.random());
    this.#sendBatch(batch, at);
  }

  #sendBatch(batch: ClientMessage & { readonly type: 'batch' }, at: number): void {
    tally.sent += 1;
    this.#sentAt.set(batch.seq, at);
    this.#send(batch);
  }

  #send(message: ClientMessage): void {
    const payload = encodeClientMsgpack(message);
    const frame = Buffer.allocUnsafe(6 + payload.length);
    // Masked with zeros; a hello or a batch is shorter than 126 bytes here.
    frame.writeUInt32BE(0x82800000 + payload.length * 0x10000, 0);
    frame.writeUInt16BE(0, 4);
    frame.set(payload, 6);
    this.#socket?.write(frame);
  }

  #readMessages(welcomed: () => void): void {
    const buffer = this.#buffer;
    let offset = 0;
    while (buffer.length - offset >= 2) {
      const short = buffer[offset + 1]!;
      const head = short < 126 ? 2 : 4;
      if (buffer.length - offset < head) break;
      const length = short < 126 ? short : buffer.readUInt16BE(offset + 2);
      if (buffer.length - offset < head + length) break;
      const payload = buffer.subarray(offset + head, offset + head + length);
      if (buffer[offset] === 0x82) this.#read(payload, welcomed);
      else if (buffer[offset] === 0x88) this.#closing(length >= 2 ? payload.readUInt16BE(0) : 1006);
      offset += head + length;
    }
    this.#buffer = buffer.subarray(offset);
  }

  #closing(code: number): void {
    if (!mayReconnect(code)) throw new Error(`a viewer was closed with ${code}`);
    this.#socket?.destroy();
  }

  #read(payload: Buffer, welcomed: () => void): void {
    // The second byte is the type of the message; frames are read by probes only.
    if (payload[1] === 5 && this.onFrame === null) return;
    const message = decodeServerMsgpack(payload);
    const at = now();
    switch (message.type) {
      case 'welcome':
        this.#isWelcomed = true;
        this.#batchMs = message.batch_ms;
        this.#send({ type: 'hello', session_id: this.session.id, viewer_id: this.#name });
        for (const batch of this.session.resends(at, true)) this.#sendBatch(batch, at);
        return welcomed();
      case 'ack': {
        const batch = this.session.settle(message.seq);
        if (batch === null) return;
        const sentAt = this.#sentAt.get(message.seq)!;
        this.#sentAt.delete(message.seq);
        tally.acknowledged += 1;
        tally.acknowledgedTaps += tapsOf(batch.message.reactions);
        tally.sentToAck.record(at - sentAt);
        accepted.set(this.stream, (accepted.get(this.stream) ?? 0) + message.accepted);
        return this.onAccepted?.(sentAt);
      }
      case 'error':
        if (message.seq === 0) return;
        if (!message.temporary) throw new Error(`a batch was refused for good: ${message.code}`);
        tally.refused += 1;
        // As the SDK does: not before it was asked to, and not all together.
        return this.session.postpone(message.seq, at + (message.retry_after_ms ?? 1_000) * (1 + Math.random() / 2));
      case 'pace':
        this.#batchMs = message.batch_ms;
        return;
      case 'frame':
        return this.onFrame?.(message);
      case 'goaway':
    }
  }
}

const crowd: Viewer[] = [];
const ownDelay = monitorEventLoopDelay({ resolution: 10 });
ownDelay.enable();
const probes: Viewer[] = [];

async function connectAll(viewers: readonly Viewer[]): Promise<void> {
  const left = viewers.values();
  const connectNext = async (): Promise<void> => {
    for (const viewer of left) await viewer.connect();
  };
  await Promise.all(Array.from({ length: HANDSHAKES_MAX }, connectNext));
}

/** Taps when the last tap was seen, or given up. */
function startProbe(index: number): Viewer {
  const probe = new Viewer(`probe-${index}`, `probe-${index}`);
  probe.isProbe = true;
  let taken = 0;
  let sentAt = 0;
  let tappedAt = -Infinity;
  let level = '';
  const tapAgain = (): void => {
    if (isOver) return;
    tappedAt = now();
    sentAt = 0;
    probe.waiting.add('heart', 1, tappedAt);
    probe.turn();
  };
  probe.onAccepted = (at) => {
    taken += 1;
    sentAt = at;
  };
  let seen = 0;
  let pendingFrom = 0;
  probe.onFrame = ({ totals, level: shown }) => {
    if (index === 0 && shown !== level) {
      level = shown;
      tally.levels.push([Math.round(now() - tally.startedAt), level]);
    }
    const total = totals['heart'] ?? 0;
    if (total > seen) {
      // A frame may come before the acknowledgement, which then brings the time of the sending.
      seen = total;
      pendingFrom = now();
    }
    if (seen >= taken && taken > 0 && sentAt > 0 && pendingFrom > 0) {
      tally.tapToFrame.record(Math.max(pendingFrom, sentAt) - sentAt);
      pendingFrom = 0;
      sentAt = 0;
      realRuntime.timers.after(PROBE_PAUSE_MS * (1 + Math.random()), tapAgain);
    }
  };
  realRuntime.timers.after(1_000 * Math.random(), tapAgain);
  realRuntime.timers.every(100, () => {
    probe.turn();
    if (now() - tappedAt > PROBE_SILENCE_MS && probe.session.unansweredCount === 0) tapAgain();
  });
  return probe;
}

async function play({ sockets, intervalMs, durationMs, isDeaf: deaf }: Offer): Promise<Outcome> {
  isDeaf = deaf;
  ownDelay.reset();
  const before = tally.levels.at(-1)?.[1];
  tally = emptyTally();
  if (before !== undefined) tally.levels.push([0, before]);
  const slices = Math.round(intervalMs / TICK_MS);
  const active = crowd.slice(0, sockets);
  const { startedAt } = tally;
  for (let turn = 0; now() - startedAt < durationMs; turn++) {
    for (let index = turn % slices; index < active.length; index += slices) {
      active[index]!.tap(EMOJI[Math.floor(Math.random() * EMOJI.length)]!);
      active[index]!.turn();
    }
    const nextAt = startedAt + (turn + 1) * TICK_MS;
    await sleep(realRuntime.timers, Math.max(0, nextAt - now()));
  }
  const { sentToAck, tapToFrame, startedAt: _, ...counts } = tally;
  return { ...counts, ownDelayMs: ownDelay.percentile(99) / 1e6, sentToAck: sentToAck.percentiles(), tapToFrame: tapToFrame.percentiles() };
}

/** Nobody taps any more; what waits is sent until all is answered. */
async function settle(limitMs: number): Promise<Account> {
  isOver = true;
  const viewers = [...crowd, ...probes];
  const unanswered = (): number => viewers.filter(({ session, waiting }) => session.unansweredCount > 0 || !waiting.isEmpty).length;
  const deadline = now() + limitMs;
  while (unanswered() > 0 && now() < deadline) {
    for (const viewer of crowd) viewer.turn();
    await sleep(realRuntime.timers, 100);
  }
  return { accepted: Object.fromEntries(accepted), unanswered: unanswered() };
}

process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  void (async () => {
    if ('connect' in order) {
      for (let index = 0; index < order.connect; index++) crowd.push(new Viewer(`viewer-${index}`, `stream-${index % STREAMS}`));
      await connectAll(crowd);
      for (let index = 0; index < order.probes; index++) probes.push(startProbe(index));
      await connectAll(probes);
      process.send?.('ready');
    } else if ('offer' in order) process.send?.(await play(order.offer));
    else process.send?.(await settle(order.settle));
  })();
});
process.send?.('started');
