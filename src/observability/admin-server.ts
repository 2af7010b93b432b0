/**
 * The admin port: `/livez`, `/readyz`, `/metrics`. For operators, never for viewers.
 *
 * The probes answer 200 or 503 with the reasons as JSON, from checks that only look at memory, so that
 * a probe is fast whatever the region waits for.
 */

import { fastify } from 'fastify';
import { problemDocument } from '../protocol/problems.ts';
import type { Health, HealthReport } from './health.ts';
import type { Metrics } from './metrics.ts';

export interface AdminServer {
  /** @throws when the port is taken */
  listen(): Promise<{ readonly port: number }>;
  stop(): Promise<void>;
}

export interface AdminServerParts {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly health: Health;
  readonly metrics: Metrics;
}

const REQUEST_TIMEOUT_MS = 10_000;

export function createAdminServer({ host, port, health, metrics }: AdminServerParts): AdminServer {
  const server = fastify({ requestTimeout: REQUEST_TIMEOUT_MS, bodyLimit: 1024, forceCloseConnections: true });
  server.server.headersTimeout = REQUEST_TIMEOUT_MS;

  server.get('/livez', (_request, reply) => answer(reply, 'alive', health.liveness()));
  server.get('/readyz', (_request, reply) => answer(reply, 'ready', health.readiness()));
  server.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await metrics.render();
    return reply.header('content-type', contentType).send(body);
  });
  server.setNotFoundHandler((_request, reply) =>
    reply
      .code(404)
      .header('content-type', 'application/problem+json')
      .send(JSON.stringify(problemDocument('not-found', 'the admin port serves /livez, /readyz and /metrics'))),
  );

  return {
    async listen() {
      await server.listen({ host, port });
      const address = server.server.address();
      return { port: typeof address === 'object' && address !== null ? address.port : port };
    },
    stop: () => server.close(),
  };
}

interface Reply {
  code(status: number): Reply;
  header(name: string, value: string): Reply;
  send(payload: unknown): Reply;
}

function answer(reply: Reply, state: string, { ok, reasons }: HealthReport): Reply {
  return reply
    .code(ok ? 200 : 503)
    .header('cache-control', 'no-store')
    .send({ status: ok ? state : `not ${state}`, reasons });
}
