/**
 * The moderators' door of an edge: WebSockets at `/control/<document>` that speak y-websocket's protocol.
 *
 * The token is verified before the upgrade is answered, so that not a byte of who may not enter is read; then the
 * upgrade is accepted also to be refused, because browsers show a page why a WebSocket was closed and nothing of an
 * upgrade that failed.
 */

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws';
import { sleep, type Log, type Runtime } from '../../regions/runtime.ts';
import type { ControlPlane } from '../moderation/control-plane.ts';
import { subjectOfDocument } from '../moderation/policy-content.ts';
import { CLOSE_CODES, CLOSE_RESTART } from '../protocol/close-codes.ts';
import { CONTROL_SUBPROTOCOL, tokenOfProtocols } from '../protocol/control.ts';
import { bearerToken, requireModerator, type Authenticator, type Claims } from './auth.ts';
import { ControlSocket, type ControlContext, type ControlStats } from './control-socket.ts';
import { CONTROL_LIMITS, isAllowedOrigin, type ControlLimits } from './options.ts';
import { Problem } from './problem.ts';
import { closeText } from './viewer-socket.ts';

const DOCUMENT_PATH = /^\/control\/([^/?#]*)\/?(?:\?|$)/;
/** An update of 64 KiB and what stands around it. */
const MESSAGE_BYTES_MAX = 72 * 1024;
const SWEEP_MS = 1_000;
const CLOSE_HANDSHAKE_MS = 5_000;
const POLL_MS = 5;

export interface ControlServerParts {
  readonly plane: ControlPlane;
  /** Whether the region's log holds a document as it is now; always when absent. */
  readonly isKept?: (document: string) => boolean;
  readonly authenticator: Authenticator;
  /** Origins that browsers may connect from; `*` for any. */
  readonly origins: readonly string[];
  readonly runtime: Runtime;
  readonly log: Log;
  readonly limits?: Partial<ControlLimits>;
}

export interface ControlServer {
  /** True for the paths that are served here. */
  serves(url: string | undefined): boolean;
  upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void;
  /** Asks all to come back later, and cuts who has not left within `graceMs`. */
  stop(graceMs: number): Promise<void>;
  readonly stats: Readonly<ControlStats>;
}

/** Who comes in, or the close code and reason of who does not. */
type Verdict = { readonly document: string; readonly claims: Claims | null } | readonly [code: number, reason: string];

export function createControlServer(parts: ControlServerParts): ControlServer {
  const { plane, authenticator, origins, runtime, log, isKept = () => true } = parts;
  // One message a turn: to look at an update takes long enough, and whoever else there is waits for it.
  const webSockets = new WebSocketServer({ ...webSocketOptions(), allowSynchronousEvents: false });
  /** By document. */
  const rooms = new Map<string, Set<ControlSocket>>();
  const stats: ControlStats = { sockets: 0, updates: 0, refused: 0, closedByEdge: 0 };
  /** Documents that moderators have changed, until the log was seen to hold them. */
  const unkept = new Set<string>();
  const context: ControlContext = {
    plane,
    isKept(document) {
      if (unkept.has(document) && isKept(document)) unkept.delete(document);
      return !unkept.has(document);
    },
    limits: { ...CONTROL_LIMITS, ...parts.limits },
    now: () => runtime.clock.now(),
    timers: runtime.timers,
    stats,
  };
  let arrivals = 0;
  let refusals = 0;
  let isDraining = false;

  if (authenticator.open) log.warn({}, 'NO TOKEN KEY IS CONFIGURED: anybody may moderate, from this region’s own pages and from programs');
  const forgetUpdates = plane.onUpdate((document, update, origin) => {
    if (origin instanceof ControlSocket) unkept.add(document);
    for (const socket of rooms.get(document) ?? []) socket.tell(update, origin);
  });
  const stopSweeping = runtime.timers.every(SWEEP_MS, () => {
    for (const socket of all()) socket.sweep();
  });

  function all(): ControlSocket[] {
    return [...rooms.values()].flatMap((room) => [...room]);
  }

  function upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    raw.on('error', () => raw.destroy());
    if (arrivals >= context.limits.arrivalsMax) return void raw.destroy();
    arrivals += 1;
    void judge(request).then((verdict) => {
      arrivals -= 1;
      if (raw.destroyed) return;
      webSockets.handleUpgrade(request, raw, head, (webSocket) => {
        webSocket.on('error', (error) => log.debug({ err: error }, 'A moderator’s WebSocket broke the protocol'));
        if ('document' in verdict) accept(webSocket, verdict.document, verdict.claims);
        else refuse(webSocket, ...verdict);
      });
    });
  }

  /** How long the other side takes to leave is nobody's affair: who may enter is looked at all the same [EDGE-47]. */
  function refuse(webSocket: WebSocket, code: number, reason: string): void {
    stats.closedByEdge += 1;
    if (refusals >= context.limits.refusalsMax) return webSocket.terminate();
    refusals += 1;
    webSocket.once('close', () => (refusals -= 1));
    webSocket.close(code, closeText(reason));
  }

  /** Never rejects. */
  async function judge({ url, headers }: IncomingMessage): Promise<Verdict> {
    const document = DOCUMENT_PATH.exec(url ?? '')?.[1] ?? '';
    const subject = subjectOfDocument(document);
    if (subject === null) return [CLOSE_CODES.malformed, 'Connect to /control/global or /control/stream.<id>.'];
    if (!isAllowedOrigin(origins, headers.origin) || (authenticator.open && !isOwnPage(headers))) {
      return [CLOSE_CODES.forbidden, 'Pages of this origin may not connect.'];
    }
    if (authenticator.open) return { document, claims: null };
    try {
      const claims = await authenticator.verify(bearerToken(headers.authorization) ?? tokenOfProtocols(headers['sec-websocket-protocol']));
      requireModerator(claims, subject.stream);
      return { document, claims };
    } catch (error) {
      if (!(error instanceof Problem)) {
        log.error({ err: error }, 'A moderator’s token could not be looked at');
        return [CLOSE_CODES.overloaded, 'Tokens cannot be verified at the moment. Try again.'];
      }
      const code = error.problem === 'unauthenticated' || error.problem === 'forbidden' ? CLOSE_CODES[error.problem] : CLOSE_CODES.overloaded;
      return [code, error.message];
    }
  }

  /** Without tokens a page of anywhere could moderate through its visitor's browser: only our own may, and those that are named. */
  function isOwnPage({ origin, host }: IncomingMessage['headers']): boolean {
    return origin === undefined || origins.includes(origin) || origin.replace(/^https?:\/\//, '') === host;
  }

  function accept(webSocket: WebSocket, document: string, claims: Claims | null): void {
    if (isDraining) return refuse(webSocket, CLOSE_RESTART, 'This region is restarting. Connect again.');
    if (stats.sockets >= context.limits.socketsMax) return refuse(webSocket, CLOSE_CODES.overloaded, 'Too many moderators at once. Try later.');
    const socket = new ControlSocket(context, webSocket, document, claims);
    const room = rooms.get(document) ?? new Set();
    rooms.set(document, room.add(socket));
    stats.sockets += 1;
    webSocket.once('close', () => {
      room.delete(socket);
      if (room.size === 0) rooms.delete(document);
      stats.sockets -= 1;
    });
  }

  return {
    stats,
    serves: (url) => url?.startsWith('/control/') ?? false,
    upgrade,
    async stop(graceMs) {
      isDraining = true;
      const deadline = runtime.clock.now() + graceMs;
      for (const socket of all()) socket.close(CLOSE_RESTART, 'This region is restarting. Connect again.');
      while (webSockets.clients.size > 0 && runtime.clock.now() < deadline) await sleep(runtime.timers, POLL_MS);
      for (const client of webSockets.clients) client.terminate();
      stopSweeping();
      forgetUpdates();
      webSockets.close();
    },
  };
}

function webSocketOptions(): ServerOptions {
  // The type of the package does not know its newer bounds.
  const bounds = { maxFragments: 64, maxBufferedChunks: 256, maxPendingAutoPongs: 8, closeTimeout: CLOSE_HANDSHAKE_MS };
  return {
    ...bounds,
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    // Never the one that holds the token: it would be said back aloud.
    handleProtocols: (offered) => (offered.has(CONTROL_SUBPROTOCOL) ? CONTROL_SUBPROTOCOL : false),
  };
}
