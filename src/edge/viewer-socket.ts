/**
 * One viewer's WebSocket: hello, batches in, acknowledgements out.
 *
 * A socket is *new* until it says hello, *verifying* while its token is looked at, then a *sender*.
 * One that says nothing within `helloMs` becomes a *watcher* and stays one: it gets frames and may
 * not send. Everything it can make this process keep is bounded: 32 batches in flight, 32 waiting
 * for its token, a budget of messages. Who comes new to a stream that drains is sent away [EDGE-44], and everybody
 * once it has ended [EDGE-45].
 */

import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import type { IngestReply, Reaction } from '../aggregator/ingest.ts';
import { CLOSE_CODES, type CloseReason } from '../protocol/close-codes.ts';
import { decodeClientJson } from '../protocol/json-codec.ts';
import { MalformedMessage } from '../protocol/message-rules.ts';
import { BATCHES_IN_FLIGHT_MAX, type BatchMessage, type Hello, type ServerMessage } from '../protocol/messages.ts';
import { decodeClientMsgpack } from '../protocol/msgpack-codec.ts';
import { PROBLEMS, type ProblemName } from '../protocol/problems.ts';
import { requireStream, requireViewer } from './auth.ts';
import { webSocketMessage, type Encoding, type Member } from './fanout.ts';
import { Hearing } from './hearing.ts';
import { InFlight } from './in-flight.ts';
import { refusalOf, type Problem } from './problem.ts';
import type { SocketContext } from './socket-context.ts';

type State = 'new' | 'verifying' | 'sender' | 'watcher' | 'closed';

const RETRY_MS = 1_000;
/** Of a short masked message; a longer one's is 2 or 8 bytes more. */
const FRAME_HEAD_BYTES = 6;
/** A whole sweep interval holds several frames and the resends of who came late. */
const ENDED_SWEEPS = 1;
const DRAINING_TEXT = 'The stream is about to end and lets no new viewers in.';

export class ViewerSocket {
  readonly stream: StreamId;
  readonly encoding: Encoding;
  readonly raw: Duplex;
  /** Its place in the fan-out, from its welcome on. */
  member: Member | null = null;
  readonly #webSocket: WebSocket;
  readonly #context: SocketContext;
  readonly #headerToken: string | undefined;
  readonly #network: string | null;
  readonly #bornAt: number;
  readonly #hearing: Hearing;
  #state: State = 'new';
  /** Came when the stream let no new viewer in any more. */
  readonly #isLate: boolean;
  /** Sweeps since the stream was seen to have ended. */
  #endedSweeps = 0;
  #session = '';
  #viewer = '';
  #device: string | null = null;
  /** Null for who never sends. */
  #inFlight: InFlight | null = null;
  /** Batches that came before the token was verified. */
  #early: BatchMessage[] = [];
  #heardAt: number;
  /** Of the last one, as it came. */
  #messageBytes = 0;
  #isPinged = false;
  #budget: number;
  #budgetAt: number;
  #excess = 0;

  constructor(
    context: SocketContext,
    webSocket: WebSocket,
    raw: Duplex,
    stream: StreamId,
    encoding: Encoding,
    headerToken: string | undefined,
    network: string | null,
  ) {
    this.stream = stream;
    this.encoding = encoding;
    this.raw = raw;
    this.#webSocket = webSocket;
    this.#context = context;
    this.#headerToken = headerToken;
    this.#network = network;
    this.#hearing = new Hearing(context, webSocket, raw);
    this.#isLate = context.stateOf(stream) === 'draining';
    this.#bornAt = this.#heardAt = this.#budgetAt = context.seconds;
    this.#budget = context.limits.messageBurstMax;
    webSocket.on('message', (data: Buffer, isBinary: boolean) => this.#onMessage(data, isBinary));
    webSocket.on('ping', () => this.#spend(0));
    webSocket.on('pong', () => this.#onPong());
  }

  get inFlight(): number {
    return this.#inFlight?.size ?? 0;
  }

  isOpen = (): boolean => this.#webSocket.readyState === this.#webSocket.OPEN;

  send(message: ServerMessage): void {
    // One buffer and one write; ws would write the header apart, which costs a quarter more per answer.
    if (this.isOpen()) this.raw.write(webSocketMessage(message, this.encoding));
  }

  /** Says why, and takes nothing more. */
  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#context.stats.closedByEdge += 1;
    // The other side's goodbye must be read.
    this.#hearing.letGo();
    this.#webSocket.close(code, closeText(reason));
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  /** Nothing comes or goes any more. Answers that are still on their way are let go. */
  closed(): void {
    this.#state = 'closed';
    this.#hearing.letGo();
    this.#context.stats.inFlight -= this.inFlight;
    this.#inFlight = null;
    this.#early = [];
  }

  /** Once a second: late hellos, lost answers, silence. */
  sweep(): void {
    const { limits, seconds, now } = this.#context;
    // More than, because the second in which a socket was born had begun before it.
    if (this.#state === 'new' && (seconds - this.#bornAt) * 1000 > limits.helloMs) {
      if (this.#isLate) return this.#refuse('stream-draining', DRAINING_TEXT);
      this.#state = 'watcher';
    }
    if (this.#inFlight !== null && this.#inFlight.size > 0) this.#giveUpUpTo(now() - limits.answerMsMax);
    if (this.#state !== 'closed' && this.#context.stateOf(this.stream) === 'ended') this.#end();
    const silentMs = (seconds - this.#heardAt) * 1000;
    if (silentMs >= 2 * limits.keepaliveMs) this.terminate();
    else if (silentMs >= limits.keepaliveMs && !this.#isPinged && this.isOpen()) {
      this.#isPinged = true;
      this.#webSocket.ping();
    }
  }

  /** After the last frame and the last answers. */
  #end(): void {
    this.#endedSweeps += 1;
    if (this.#endedSweeps <= ENDED_SWEEPS || this.inFlight > 0) return;
    if (this.member !== null) this.#context.catchUp(this.member);
    this.#refuse('stream-ended', 'The stream has ended.');
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#state === 'closed') return;
    this.#messageBytes = FRAME_HEAD_BYTES + data.length;
    this.#context.stats.messages += 1;
    this.#hear();
    try {
      if (isBinary !== (this.encoding === 'msgpack')) {
        throw new MalformedMessage(`${this.encoding === 'json' ? 'text' : 'binary'} frames only, as negotiated`);
      }
      const message = isBinary ? decodeClientMsgpack(data) : decodeClientJson(data.toString());
      if (!this.#spend(message.type === 'batch' ? message.seq : 0)) return;
      if (message.type === 'batch') this.#onBatch(message);
      else this.#onHello(message);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#context.stats.malformed += 1;
      this.#refuse('malformed', error.message);
    }
  }

  #onBatch(message: BatchMessage): void {
    if (this.#state === 'sender') return this.#submit(message);
    if (this.#state === 'watcher') {
      return this.#refuse('hello-timeout', 'No hello came in time, so this socket may only watch. Connect again.');
    }
    if (this.#state === 'new') throw new MalformedMessage('say hello first');
    if (this.#early.length >= BATCHES_IN_FLIGHT_MAX) this.#answerError(message.seq, 'rate-limited', RETRY_MS);
    else this.#early.push(message);
  }

  #onHello(hello: Hello): void {
    if (this.#state === 'watcher') {
      return this.#refuse('hello-timeout', 'The hello came too late. Connect again and say hello at once.');
    }
    if (this.#state === 'sender' && hello.viewer_id === this.#viewer) {
      this.#session = hello.session_id;
      return;
    }
    if (this.#state !== 'new') throw new MalformedMessage('hello was said already');
    // Who has taps that were not answered was here before.
    if (this.#isLate && hello.unacked_from === undefined) return this.#refuse('stream-draining', DRAINING_TEXT);
    this.#session = hello.session_id;
    this.#viewer = hello.viewer_id;
    this.#device = hello.device_id ?? null;
    const { authenticator } = this.#context;
    if (authenticator.open) return this.#becomeSender();
    this.#state = 'verifying';
    authenticator.verify(hello.token ?? this.#headerToken).then(
      (claims) => {
        if (this.#state !== 'verifying') return;
        try {
          requireViewer(claims, hello.viewer_id);
          requireStream(claims, this.stream);
          this.#device = claims.device ?? this.#device;
          this.#becomeSender();
        } catch (error) {
          this.#refuseProblem(error as Problem);
        }
      },
      (error: Problem) => this.#refuseProblem(error),
    );
  }

  #becomeSender(): void {
    this.#state = 'sender';
    this.#inFlight = new InFlight();
    const early = this.#early;
    this.#early = [];
    for (const batch of early) this.#submit(batch);
  }

  #submit({ seq, reactions, via }: BatchMessage): void {
    const inFlight = this.#inFlight;
    const session = this.#session;
    if (inFlight === null) return;
    const sentIn = inFlight.sessionOf(seq);
    // A batch that is sent again while its answer is on the way gets that answer.
    if (sentIn === session) return;
    // An answer names the number alone, and this one would be taken for the other's.
    if (sentIn !== undefined) throw new MalformedMessage(`batch ${seq} of the session before is not answered yet; let the numbers go on`);
    if (inFlight.size >= BATCHES_IN_FLIGHT_MAX) return this.#answerError(seq, 'rate-limited', RETRY_MS);
    const { ingest, stats, now } = this.#context;
    const at = now();
    this.#hearing.batch(this.member?.level ?? 'exact', at, this.#messageBytes);
    inFlight.add(seq, session, at);
    stats.inFlight += 1;
    stats.batches += 1;
    ingest.submit(
      {
        stream: this.stream,
        viewer: this.#viewer,
        device: this.#device,
        address: this.#network,
        session,
        sequence: seq,
        reactions: reactions.map(({ emoji_id, count }): Reaction => [emoji_id as EmojiId, count]),
        ...(via === undefined ? {} : { via }),
      },
      (reply) => this.#onReply(seq, session, reply),
    );
  }

  #onReply(seq: number, session: string, reply: IngestReply): void {
    const { stats, now, observeAckMs } = this.#context;
    const submittedAt = this.#inFlight?.take(seq, session);
    if (submittedAt !== undefined) {
      stats.inFlight -= 1;
      observeAckMs(now() - submittedAt);
    } else if (session !== this.#session) return;
    // Also when it comes too late: the batch is counted, and the client may stop resending it.
    if (reply.kind === 'counted') {
      stats.acks += 1;
      const { accepted, clamped, duplicate } = reply;
      this.send({ type: 'ack', seq, accepted, clamped, duplicate });
    } else {
      stats.refusals += 1;
      const problem = refusalOf(reply);
      if (reply.reason === 'overloaded') this.#hearing.refused(problem.retryAfterMs ?? RETRY_MS);
      this.#answerError(seq, problem.problem, problem.retryAfterMs, problem.message);
    }
  }

  #giveUpUpTo(submittedAt: number): void {
    for (const seq of this.#inFlight!.takeUpTo(submittedAt)) {
      this.#context.stats.inFlight -= 1;
      this.#answerError(seq, 'unavailable', RETRY_MS);
    }
  }

  #answerError(seq: number, code: ProblemName, retryAfterMs?: number, message: string = PROBLEMS[code].title): void {
    if (code === 'rate-limited') this.#context.stats.rateLimited += 1;
    this.send({
      type: 'error',
      seq,
      code,
      message,
      temporary: PROBLEMS[code].temporary,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }),
    });
  }

  /** An error about the whole socket, and its end. */
  #refuse(reason: CloseReason, text: string): void {
    const temporary = CLOSE_CODES[reason] >= 4500;
    this.send({ type: 'error', seq: 0, code: reason, message: text, temporary });
    this.close(CLOSE_CODES[reason], text);
  }

  #refuseProblem({ problem, message }: Problem): void {
    if (this.#state !== 'closed') this.#refuse(problem in CLOSE_CODES ? (problem as CloseReason) : 'overloaded', message);
  }

  /** One that was asked for costs nothing. */
  #onPong(): void {
    if (!this.#isPinged) this.#spend(0);
    this.#hear();
  }

  #hear(): void {
    this.#heardAt = this.#context.seconds;
    this.#isPinged = false;
  }

  /** Takes one message out of the budget; who goes on when it is empty is closed. */
  #spend(seq: number): boolean {
    const { seconds, limits } = this.#context;
    const refill = (seconds - this.#budgetAt) * limits.messagesPerSecondMax;
    this.#budget = Math.min(limits.messageBurstMax, this.#budget + refill);
    this.#budgetAt = seconds;
    if (this.#budget > 0) {
      this.#budget -= 1;
      return true;
    }
    this.#excess += 1;
    if (this.#excess > limits.excessMessagesMax) {
      this.#refuse('rate-limited', `More than ${limits.messagesPerSecondMax} messages a second. Gather taps longer.`);
    } else if (seq > 0) this.#answerError(seq, 'rate-limited', RETRY_MS);
    return false;
  }
}

/** The reason of a close frame holds 123 bytes. */
export function closeText(reason: string): string {
  return reason.length <= 40 ? reason : Buffer.from(reason).subarray(0, 120).toString().replace(/\ufffd$/, '');
}
