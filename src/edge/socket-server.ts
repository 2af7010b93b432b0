/**
 * The WebSocket side of an edge: takes upgrades, welcomes viewers, hands frames to the fan-out.
 *
 * Every upgrade that is well-formed is accepted, also one that is then refused: browsers show a close
 * code and reason to the page, but nothing of an upgrade that failed.
 */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws';
import { isId, type StreamId } from '../../crdt/ids.ts';
import { sleep } from '../../regions/runtime.ts';
import { CLOSE_CODES, CLOSE_RESTART, type CloseReason } from '../protocol/close-codes.ts';
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type FrameMessage } from '../protocol/messages.ts';
import { bearerToken, type Authenticator } from './auth.ts';
import type { Door } from './door.ts';
import { Fanout } from './fanout.ts';
import { BATCH_MS, FRAME_MS, frameMessageOf } from './frame-message.ts';
import { networkOf } from './network.ts';
import { MESSAGE_BYTES_MAX, isAllowedOrigin, type EdgeLimits, type EdgeOptions } from './options.ts';
import { within } from './problem.ts';
import { HearingTurns } from './hearing-turns.ts';
import { emptyStats, type SocketContext } from './socket-context.ts';
import { ViewerCounts } from './viewer-counts.ts';
import { ViewerSocket, closeText } from './viewer-socket.ts';

/** How a stop takes its time. */
export interface DrainTimes {
  /** Over how long viewers are told to go. */
  readonly drainMs: number;
  /** How long the last of them have for what is left. */
  readonly graceMs: number;
}

const SWEEP_MS = 1_000;
const STREAM_PATH = /^\/streams\/([^/?#]*)\/reactions\/?(?:\?|$)/;
const CLOSE_HANDSHAKE_MS = 5_000;
/** How long it is read on after a goaway: what a client sent before it heard of it is answered here. */
const LINGER_MS = 250;
const POLL_MS = 10;
/** Cut sockets are gone in the next turns; this is only a bound. */
const TERMINATE_MS_MAX = 1_000;

export function createSocketServer(options: EdgeOptions, limits: EdgeLimits, authenticator: Authenticator, door: Door) {
  const { config, feed, runtime, log } = options;
  const webSockets = new WebSocketServer(webSocketOptions());
  const counts = new ViewerCounts(runtime.timers, (stream, viewers) => feed.watch(stream, viewers));
  const fanout = new Fanout(runtime, (stream, viewers) => counts.set(stream, viewers), Math.ceil(limits.stuckMs / SWEEP_MS), limits.waitingBytesMax);
  const sockets = new Set<ViewerSocket>();
  /** Welcomes that wait for the same frame share one question to the feed. */
  const readings = new Map<StreamId, Promise<FrameMessage>>();
  let refusals = 0;
  const context: SocketContext = {
    ingest: options.ingest,
    authenticator,
    limits,
    stateOf: (stream) => options.policyOf(stream).state,
    catchUp: (member) => fanout.catchUp(member),
    now: () => runtime.clock.now(),
    timers: runtime.timers,
    turns: new HearingTurns(runtime.timers),
    random: () => runtime.random.next(),
    observeAckMs: options.observeAckMs ?? (() => {}),
    stats: emptyStats(),
    seconds: 0,
  };
  const forgetFrames = feed.onFrame((frame) => fanout.publish(frame.stream, frameMessageOf(frame), options.policyOf(frame.stream).palette));
  const stopSweeping = runtime.timers.every(SWEEP_MS, () => {
    context.seconds += 1;
    for (const socket of sockets) socket.sweep();
    fanout.sweep();
  });

  function upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    raw.on('error', () => raw.destroy());
    webSockets.handleUpgrade(request, raw, head, (webSocket) => {
      webSocket.on('error', (error) => log.debug({ err: error }, 'A viewer’s WebSocket broke the protocol'));
      const refusal = refusalFor(request, webSocket);
      if (refusal !== null) refuse(webSocket, ...refusal);
      else accept(request, webSocket, raw);
    });
  }

  function refusalFor(request: IncomingMessage, webSocket: WebSocket): [code: number, reason: string] | null {
    const because = (reason: CloseReason, text: string): [number, string] => [CLOSE_CODES[reason], text];
    const stream = STREAM_PATH.exec(request.url ?? '')?.[1];
    if (!isAllowedOrigin(config.origins, request.headers.origin)) {
      return because('forbidden', 'Pages of this origin may not connect.');
    }
    if (stream === undefined) return because('not-found', 'Connect to /streams/{id}/reactions.');
    if (!isId(stream)) return because('malformed', 'A stream id must match [A-Za-z0-9_-]{1,64}.');
    if (webSocket.protocol !== '' && encodingOf(webSocket.protocol) === null) {
      return because('malformed', `Offer ${SUBPROTOCOL_JSON} or ${SUBPROTOCOL_MSGPACK}.`);
    }
    if (options.overload?.isFull() === true) return because('overloaded', 'This region is overloaded. Try another, or later.');
    if (sockets.size >= config.viewersMax) return because('overloaded', 'This region is full. Try another, or later.');
    return null;
  }

  /** Who is refused waits for nobody but itself: those who may come in are judged whatever is still on its way out [EDGE-47]. */
  function refuse(webSocket: WebSocket, code: number, reason: string): void {
    context.stats.closedByEdge += 1;
    if (refusals >= limits.refusalsMax) return webSocket.terminate();
    refusals += 1;
    webSocket.once('close', () => (refusals -= 1));
    webSocket.close(code, closeText(reason));
  }

  function accept(request: IncomingMessage, webSocket: WebSocket, raw: Duplex): void {
    const stream = STREAM_PATH.exec(request.url!)![1] as StreamId;
    const encoding = encodingOf(webSocket.protocol) ?? 'json';
    const { authorization, 'x-forwarded-for': forwarded } = request.headers;
    const network = networkOf(request.socket.remoteAddress, forwarded, config.proxies ?? 0);
    const socket = new ViewerSocket(context, webSocket, raw, stream, encoding, bearerToken(authorization), network);
    sockets.add(socket);
    context.stats.sockets = sockets.size;
    webSocket.once('close', () => {
      sockets.delete(socket);
      context.stats.sockets = sockets.size;
      if (socket.member !== null) fanout.leave(socket.member);
      socket.closed();
    });
    newestFrame(stream).then(
      (frame) => welcome(socket, frame),
      (error: unknown) => {
        log.warn({ err: error, stream }, 'A viewer could not be welcomed');
        socket.close(CLOSE_CODES.overloaded, 'This region cannot read its counts now. Connect again.');
      },
    );
  }

  function welcome(socket: ViewerSocket, { level, totals }: FrameMessage): void {
    if (!socket.isOpen()) return;
    const known = options.policyOf(socket.stream).palette;
    const palette = Object.fromEntries(known);
    const pace = { batch_ms: BATCH_MS[level], frame_ms: FRAME_MS[level] };
    socket.send({ type: 'welcome', region: options.region, palette, ...pace, totals });
    socket.member = fanout.join(socket.stream, socket.raw as Socket, socket.encoding, socket.isOpen, level, known);
  }

  function newestFrame(stream: StreamId): Promise<FrameMessage> {
    const known = fanout.newest(stream);
    if (known !== null) return Promise.resolve(known);
    let reading = readings.get(stream);
    if (reading === undefined) {
      reading = within(runtime.timers, limits.answerMsMax, feed.read(stream).then(frameMessageOf));
      readings.set(stream, reading);
      const forget = (): unknown => readings.delete(stream);
      reading.then(forget, forget);
    }
    return reading;
  }

  /** The door is closed. Everybody is shown out within `drainMs`, and who is there yet is cut `graceMs` later. */
  async function stop({ drainMs, graceMs }: DrainTimes): Promise<void> {
    const deadline = runtime.clock.now() + drainMs + graceMs;
    await showOut(drainMs, graceMs / 2);
    while (webSockets.clients.size > 0 && runtime.clock.now() < deadline) await sleep(runtime.timers, POLL_MS);
    for (const client of webSockets.clients) client.terminate();
    const cutBy = runtime.clock.now() + TERMINATE_MS_MAX;
    while (webSockets.clients.size > 0 && runtime.clock.now() < cutBy) await sleep(runtime.timers, POLL_MS);
    stopSweeping();
    forgetFrames();
    counts.flush();
    webSockets.close();
  }

  /**
   * One viewer after the other is told to go, or they would come as one wherever they go next [EDGE-71]; each is closed once it
   * has its answers, or `answerMs` later.
   */
  async function showOut(drainMs: number, answerMs: number): Promise<void> {
    const startedAt = runtime.clock.now();
    const waiting = [...sockets];
    const leaving = new Map<ViewerSocket, number>();
    let told = 0;
    while (told < waiting.length || leaving.size > 0) {
      const now = runtime.clock.now();
      const due = drainMs === 0 ? waiting.length : Math.ceil((waiting.length * (now - startedAt)) / drainMs);
      for (; told < Math.min(due, waiting.length); told++) {
        const socket = waiting[told]!;
        socket.send({ type: 'goaway', retry_after_ms: door.retryAfterMs() });
        leaving.set(socket, now);
      }
      for (const [socket, toldAt] of leaving) {
        const hasAnswers = socket.inFlight === 0 && now - toldAt >= LINGER_MS;
        if (!hasAnswers && now - toldAt < answerMs && sockets.has(socket)) continue;
        leaving.delete(socket);
        socket.close(CLOSE_RESTART, 'This region is restarting. Connect again.');
      }
      await sleep(runtime.timers, POLL_MS);
    }
  }

  return {
    upgrade,
    stop,
    stats: context.stats,
    fanoutStats: fanout.stats,
  };
}

function encodingOf(subprotocol: string): 'json' | 'msgpack' | null {
  return subprotocol === SUBPROTOCOL_JSON ? 'json' : subprotocol === SUBPROTOCOL_MSGPACK ? 'msgpack' : null;
}

function webSocketOptions(): ServerOptions {
  // The type of the package does not know its newer bounds; without them a socket may keep megabytes.
  const bounds = { maxFragments: 8, maxBufferedChunks: 64, maxPendingAutoPongs: 8, closeTimeout: CLOSE_HANDSHAKE_MS };
  return {
    ...bounds,
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => {
      for (const subprotocol of offered) if (encodingOf(subprotocol) !== null) return subprotocol;
      // Browsers fail a connection without a choice and hide the reason; so choose, then say it.
      return offered.values().next().value ?? false;
    },
  };
}
