/**
 * A viewer: one session over one WebSocket at a time, behaving as the player SDK does.
 *
 * It batches every `batch_ms` ± jitter, the first tap after a pause at once; after a lost connection
 * it comes back to the same region with full-jitter backoff and resends what is unanswered, unchanged.
 * It has no timer: the crowd's wheel gives it turns. Only `wantsFrames` viewers decode frames.
 */

import { WebSocket, type ClientOptions, type RawData } from 'ws';
import { mayReconnect } from '../../protocol/close-codes.ts';
import { MalformedMessage } from '../../protocol/message-rules.ts';
import type { FrameMessage, ServerMessage, Welcome } from '../../protocol/messages.ts';
import type { GroundTruth } from './ground-truth.ts';
import { ViewerSession } from './session.ts';
import type { Turn } from './timer-wheel.ts';
import type { MintToken } from './tokens.ts';
import type { Wire } from './wire.ts';

/** What a viewer needs of the crowd that it belongs to. */
export interface ViewerHost {
  readonly wire: Wire;
  /** Null where regions ask for no token. */
  readonly mintToken: MintToken | null;
  now(): number;
  random(): number;
  /** Plans a turn of the viewer. */
  plan(viewer: Viewer, atMs: number): void;
  /** Asks for one of the bounded connections; the host calls `connect` when there is one. */
  requestConnection(viewer: Viewer): void;
  /** The viewer moved to another state, or from busy to idle or back. */
  changed(viewer: Viewer): void;
  acknowledged(viewer: Viewer, tapToAckMs: number): void;
  /** A message of the service that follows no rule. */
  unreadable(): void;
  /** The service does not want this client, for good. */
  rejected(viewer: Viewer, code: number, reason: string): void;
}

export interface ViewerOptions {
  readonly id: string;
  readonly sessionId: string;
  /** The region's API, `http://host:port`. */
  readonly endpoint: string;
  readonly stream: string;
  readonly truth: GroundTruth;
  /** True for one who watches: it reconnects also when it has nothing to say. */
  readonly stays: boolean;
  readonly onWelcome?: (welcome: Welcome) => void;
  readonly onFrame?: (frame: FrameMessage) => void;
}

export type ViewerState = 'closed' | 'queued' | 'connecting' | 'open' | 'waiting';

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 8000;
const CONNECT_MS_MAX = 8000;
const CLOSE_MS_MAX = 1000;
/** An unanswered batch makes a connection suspect after this long: it is half open or the region hangs. */
const ANSWER_MS_MAX = 10_000;
const JITTER = 0.1;
const FRAME_BYTES_MAX = 256 * 1024;

export class Viewer implements Turn {
  turnAt = Infinity;
  reconnects = 0;
  readonly session: ViewerSession;
  readonly #host: ViewerHost;
  readonly #options: ViewerOptions;
  #state: ViewerState = 'closed';
  #socket: WebSocket | null = null;
  #failures = 0;
  #batchMs = 250;
  #nextBatchAt = 0;
  #retryAt = Infinity;
  /** When the region must have been heard of, while something is unanswered or a connection opens. */
  #deadline = Infinity;

  constructor(host: ViewerHost, options: ViewerOptions) {
    this.#host = host;
    this.#options = options;
    this.session = new ViewerSession(options.sessionId, options.truth);
  }

  get id(): string {
    return this.#options.id;
  }

  /** True for one whose connection is not taken away while it is idle. */
  get keepsConnection(): boolean {
    return this.#options.onFrame !== undefined;
  }

  get state(): ViewerState {
    return this.#state;
  }

  tap(emoji: string, count: number, atMs: number): void {
    const wasIdle = this.session.idle;
    this.session.tap(emoji, count, atMs);
    if (wasIdle) this.#host.changed(this);
    if (this.#state === 'open') this.#host.plan(this, this.#nextBatchAt);
    else if (this.#state === 'closed') this.watch();
  }

  /** Asks for a connection, to watch or because there is something to send. */
  watch(): void {
    if (this.#state !== 'closed') return;
    this.#enter('queued');
    this.#host.requestConnection(this);
  }

  /** Does what is due and answers when to come back; Infinity when only an event can change anything. */
  turn(nowMs: number): number {
    if (nowMs >= this.#deadline) this.#socket?.terminate();
    if (this.#state === 'waiting' && nowMs >= this.#retryAt) {
      this.#retryAt = Infinity;
      this.#enter('queued');
      this.#host.requestConnection(this);
    }
    if (this.#state === 'open') {
      if (nowMs >= this.session.resendAt) this.#resend(nowMs, false);
      if (nowMs >= this.#nextBatchAt) this.#sendBatch(nowMs);
    }
    const batchAt = this.#state === 'open' && this.session.canSend ? this.#nextBatchAt : Infinity;
    return Math.min(batchAt, this.session.resendAt, this.#retryAt, this.#deadline > nowMs ? this.#deadline : Infinity);
  }

  /** Called by the host, which counts the connections. */
  connect(): void {
    this.#enter('connecting');
    this.#expectAnswer(CONNECT_MS_MAX);
    const { endpoint, stream } = this.#options;
    const url = `${endpoint.replace(/^http/, 'ws')}/streams/${stream}/reactions`;
    const socket = new WebSocket(url, this.#host.wire.subprotocol, {
      perMessageDeflate: false,
      maxPayload: FRAME_BYTES_MAX,
      skipUTF8Validation: true,
      closeTimeout: CLOSE_MS_MAX,
    } as ClientOptions);
    this.#socket = socket;
    socket.on('open', () => void this.#opened(socket));
    socket.on('message', (data) => this.#received(data));
    socket.on('close', (code, reason) => this.#closed(socket, code, reason.toString()));
    // A close event follows every error, and both are handled there.
    socket.on('error', () => undefined);
  }

  /** Hangs up an idle connection to make room for another viewer, or at the end. */
  hangUp(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#deadline = Infinity;
    this.#retryAt = Infinity;
    this.#enter('closed');
    socket?.close(1000);
  }

  /** Gives up on what is unanswered; nothing more is said or heard. */
  abandon(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
    this.session.abandon();
    this.#enter('closed');
  }

  async #opened(socket: WebSocket): Promise<void> {
    const { mintToken, wire } = this.#host;
    const { id, stream } = this.#options;
    const token = mintToken === null ? undefined : await mintToken({ viewer: id, stream, role: 'viewer' });
    // Hung up or closed while the token was signed.
    if (this.#socket !== socket) return;
    socket.send(
      wire.encode({
        type: 'hello',
        session_id: this.session.id,
        viewer_id: id,
        ...(token === undefined ? {} : { token }),
        unacked_from: this.session.unackedFrom,
      }),
    );
  }

  #received(data: RawData): void {
    // One who hung up hears no more.
    if (this.#socket === null) return;
    const { wire } = this.#host;
    const bytes = data as Buffer;
    if (this.#options.onFrame === undefined && wire.isFrame(bytes)) return;
    try {
      this.#heard(wire.decode(bytes));
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      // An acknowledgement that cannot be read is one that did not come: the batch is resent.
      this.#host.unreadable();
    }
  }

  #heard(message: ServerMessage): void {
    const now = this.#host.now();
    switch (message.type) {
      case 'welcome':
        this.#batchMs = message.batch_ms;
        this.#failures = 0;
        this.#deadline = Infinity;
        this.#enter('open');
        this.#options.onWelcome?.(message);
        this.#resend(now, true);
        this.#host.plan(this, this.#nextBatchAt);
        return;
      case 'ack': {
        const batch = this.session.acknowledge(message);
        this.#answered();
        if (batch !== null) this.#host.acknowledged(this, now - batch.tappedAt);
        return;
      }
      case 'error':
        this.session.refuse(message, now);
        this.#answered();
        return;
      case 'pace':
        this.#batchMs = message.batch_ms;
        return;
      case 'goaway':
        // Spread over the time asked for: a region that drains sends this to everybody at once.
        this.#retryAt = now + message.retry_after_ms * this.#host.random();
        this.#socket?.close(1000);
        return;
      case 'frame':
        this.#options.onFrame?.(message);
    }
  }

  #answered(): void {
    if (this.session.unansweredCount > 0) this.#expectAnswer(ANSWER_MS_MAX);
    else this.#deadline = Infinity;
    if (this.session.canSend) this.#host.plan(this, this.#nextBatchAt);
    if (this.session.resendAt !== Infinity) this.#host.plan(this, this.session.resendAt);
    if (this.session.idle) this.#host.changed(this);
  }

  #sendBatch(nowMs: number): void {
    const message = this.session.nextBatch(nowMs);
    if (message === null) return;
    this.#socket?.send(this.#host.wire.encode(message));
    this.#nextBatchAt = nowMs + this.#batchMs * (1 + JITTER * (2 * this.#host.random() - 1));
    if (this.#deadline === Infinity) this.#expectAnswer(ANSWER_MS_MAX);
  }

  #resend(nowMs: number, reconnected: boolean): void {
    for (const message of this.session.resends(nowMs, reconnected)) {
      this.#socket?.send(this.#host.wire.encode(message));
      this.#expectAnswer(ANSWER_MS_MAX);
    }
  }

  #expectAnswer(withinMs: number): void {
    this.#deadline = this.#host.now() + withinMs;
    this.#host.plan(this, this.#deadline);
  }

  #enter(state: ViewerState): void {
    this.#state = state;
    this.#host.changed(this);
  }

  #closed(socket: WebSocket, code: number, reason: string): void {
    // A connection that was hung up belongs to nobody any more.
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#deadline = Infinity;
    if (!mayReconnect(code)) {
      this.#enter('closed');
      this.#host.rejected(this, code, reason);
      return;
    }
    if (this.session.idle && !this.#options.stays) {
      this.#enter('closed');
      return;
    }
    this.reconnects += 1;
    if (this.#retryAt === Infinity) {
      const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.#failures, 6));
      this.#retryAt = this.#host.now() + ceiling * this.#host.random();
    }
    this.#failures += 1;
    this.#enter('waiting');
    this.#host.plan(this, this.#retryAt);
  }
}
