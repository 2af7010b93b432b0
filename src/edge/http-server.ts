/** The HTTP side of an edge: fastify with its bounds, its documentation and its routes. */

import cors from '@fastify/cors';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { type FastifyInstance } from 'fastify';
import { auditRoute } from './audit-route.ts';
import type { Authenticator } from './auth.ts';
import { consoleRoute } from './console-route.ts';
import { controlRoute } from './control-route.ts';
import type { Door } from './door.ts';
import { flaggedRoute } from './flagged-route.ts';
import { historyRoute } from './history-route.ts';
import { BODY_BYTES_MAX, type EdgeLimits, type EdgeOptions } from './options.ts';
import { policyRoute } from './policy-route.ts';
import { answerClientError, answerProblems, problemOf, sendProblem } from './problem-reply.ts';
import { reactionsRoute, type PostStats } from './reactions-route.ts';
import { streamsRoute } from './streams-route.ts';
import { totalsRoute } from './totals-route.ts';

const REQUEST_MS_MAX = 10_000;
const HEADER_BYTES_MAX = 16 * 1024;
const ROUTE_PARAMETER_MAX = 128;
/** HTTP connections at most, beside those of viewers. */
const HTTP_CONNECTIONS_MAX = 4_096;

export async function createHttpServer(
  options: EdgeOptions,
  limits: EdgeLimits,
  authenticator: Authenticator,
  door: Door,
): Promise<{ readonly app: FastifyInstance; readonly stats: PostStats }> {
  const stats: PostStats = { posts: 0, postedReactions: 0, postsInFlight: 0, postsRefused: 0 };
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    // Who does not read its answer holds it and its place; a connection that becomes a WebSocket has bounds of its own.
    connectionTimeout: limits.stuckMs,
    // Node looks for late requests every 30 s unless told otherwise.
    http: { headersTimeout: REQUEST_MS_MAX, connectionsCheckingInterval: 1_000, maxHeaderSize: HEADER_BYTES_MAX },
    routerOptions: { maxParamLength: ROUTE_PARAMETER_MAX },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, problemOf(error)),
    // What comes over a connection that is open yet is answered like before, and the connection closed.
    return503OnClosing: false,
  });
  app.server.maxConnections = options.config.viewersMax + HTTP_CONNECTIONS_MAX;
  // The schemas are for the documentation: to compile one takes tens of milliseconds, in which nobody else is served, when it is first answered with.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (!door.isClosed) return;
    reply.header('connection', 'close');
    // Nothing of it was read. Whose post was being read when the door closed gets the answer.
    if (request.method === 'POST') throw door.refusal();
  });
  answerProblems(app, options.log);
  const { origins } = options.config;
  await app.register(cors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST'],
    allowedHeaders: ['authorization', 'content-type'],
    exposedHeaders: ['retry-after'],
    maxAge: 600,
  });
  await documentAt(app, '/docs');
  reactionsRoute(app, options, limits, authenticator, stats);
  totalsRoute(app, options, limits);
  historyRoute(app, options, limits, authenticator);
  auditRoute(app, options, limits, authenticator);
  flaggedRoute(app, options, limits, authenticator);
  streamsRoute(app, options, limits, authenticator);
  if (options.control !== undefined) {
    controlRoute(app, options, options.control, limits, authenticator);
    policyRoute(app, options, options.control, authenticator);
    consoleRoute(app, options.consoleFolder);
  }
  return { app, stats };
}

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

/** The page loads nothing from elsewhere; its styles are set by script. */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

async function documentAt(app: FastifyInstance, routePrefix: `/${string}`): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ovation',
        version: '1',
        description: 'Live reactions, counted exactly once in every region. Refusals are RFC 9457 problem documents.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  });
  await app.register(swaggerUi, {
    routePrefix,
    staticCSP: DOCS_CSP,
    // Without this the page asks a validator on the internet.
    uiConfig: { validatorUrl: null },
  });
}
