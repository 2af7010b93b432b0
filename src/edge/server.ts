/**
 * The edge of a region: HTTP and WebSocket for viewers, over the two ports `Ingest` and `FrameFeed`.
 *
 * It authenticates, validates, limits and decodes, and holds no state that matters: what it has not
 * acknowledged, the client sends again.
 */

import type { AddressInfo } from 'node:net';
import { Arrivals } from './arrivals.ts';
import { createAuthenticator } from './auth.ts';
import { createControlServer } from './control-server.ts';
import type { ControlStats } from './control-socket.ts';
import { Door } from './door.ts';
import type { Fanout } from './fanout.ts';
import { createHttpServer } from './http-server.ts';
import { EDGE_LIMITS, type EdgeOptions } from './options.ts';
import { passOverUpgrade } from './passed-over-upgrade.ts';
import type { PostStats } from './reactions-route.ts';
import type { SocketStats } from './socket-context.ts';
import { createSocketServer } from './socket-server.ts';

/**
 * Connections that the kernel keeps until they are accepted. Those beyond are tried again by the kernel of the
 * viewer after 1, 3 and 7 s: a crowd that returns to a busy edge would come in step again.
 */
const BACKLOG = 4_096;

export interface Edge {
  /** Rejects when the port is taken. */
  listen(): Promise<{ readonly port: number }>;
  /**
   * Sends viewers away in good order: from now on nobody comes in any more, those who are here are told to go one after another
   * within `drainMs` (default: at once), and who has not gone about `graceMs` later is cut.
   */
  stop(options: { readonly graceMs: number; readonly drainMs?: number }): Promise<void>;
  /** Gauges are those of the fan-out, `sockets`, `held`, `inFlight`, `postsInFlight` and `arrivalsWaiting`; the rest are counters. */
  readonly stats: Readonly<SocketStats & Fanout['stats'] & PostStats & Door['stats'] & Arrivals['stats']>;
  /** Of the moderators' sockets; a gauge is `sockets`. */
  readonly controlStats: Readonly<ControlStats> | null;
}

export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const limits = { ...EDGE_LIMITS, ...options.limits };
  const { config, runtime, log } = options;
  const authenticator = createAuthenticator(config.jwt, runtime.clock, log, (sub) => options.control?.plane.revokedBefore(sub) ?? null);
  const door = new Door(runtime.random);
  const arrivals = new Arrivals(runtime, door);
  const { app, stats: posts } = await createHttpServer(options, limits, authenticator, door);
  const sockets = createSocketServer(options, limits, authenticator, door);
  const control = options.control && createControlServer({ ...options.control, authenticator, origins: config.origins, runtime, log });
  app.server.on('upgrade', (request, raw, head) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') passOverUpgrade(app.server, request, raw, head);
    else if (door.isClosed) door.turnAway(raw);
    else if (control?.serves(request.url)) control.upgrade(request, raw, head);
    else arrivals.add(raw, () => sockets.upgrade(request, raw, head));
  });
  return {
    async listen() {
      await app.listen({ host: config.host, port: config.port, backlog: BACKLOG });
      return { port: (app.server.address() as AddressInfo).port };
    },
    async stop({ graceMs, drainMs = 0 }) {
      door.close();
      await Promise.all([sockets.stop({ drainMs, graceMs }), control?.stop(graceMs)]);
      const closing = app.close();
      const force = runtime.timers.after(graceMs, () => app.server.closeAllConnections());
      await closing.finally(force);
    },
    controlStats: control?.stats ?? null,
    get stats() {
      return { ...sockets.stats, ...sockets.fanoutStats, ...posts, ...door.stats, ...arrivals.stats };
    },
  };
}
