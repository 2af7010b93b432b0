/**
 * The dev server: the live page and the dev API, for this machine only. The SDK's and the overlay's bundles
 * are there too, for pages of one's own to try (PAGE-12).
 *
 * It can cut links and kill processes, so it listens on loopback, answers only to loopback names (a
 * rebound DNS name is another site), and takes commands only as JSON, which no other site's page can
 * send without asking first.
 */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fastify, { type FastifyInstance } from 'fastify';
import { CommandFailure } from '../failure.ts';
import type { CrowdCommand, DeleteStreamCommand, DevStatus, LinkCommand, ProcessCommand } from '../../web/live/dev-api.ts';
import { TAPS_PER_SECOND_MAX } from './random-crowd.ts';
import { CSV_LENGTH_MAX } from './recordings.ts';

export interface DevControls {
  status(): DevStatus;
  /** @throws CommandFailure */
  link(command: LinkCommand): void;
  /** @throws CommandFailure */
  process(command: ProcessCommand): Promise<void>;
  /** @throws CommandFailure */
  deleteStream(command: DeleteStreamCommand): Promise<void>;
  /** @throws CommandFailure */
  crowd(command: CrowdCommand): Promise<void>;
  /** A page shows the status to somebody. */
  watched(): void;
}

const PAGE_FOLDER = path.join(import.meta.dirname, '../../web/live');
const PAGE_FILE = /^[a-z0-9-]+\.(html|css|svg)$/;
/** Where the build puts the bundles, seen from the built file. */
const BUNDLE_FOLDER = path.join(import.meta.dirname, '../../../client');
const BUNDLE_FILE = /^[a-z0-9-]+\.js$/;
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};
const LOOPBACK_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;
const DURATION_MS_MAX = 86_400_000;
/** Longer than any round trip on earth, and short enough for a link to stay of use. */
const DELAY_MS_MAX = 10_000;
/** Beyond it next to nothing passes. */
const LOSS_MAX = 0.9;

const LINK_COMMAND = {
  type: 'object',
  required: ['from', 'to', 'action'],
  additionalProperties: false,
  properties: {
    from: { type: 'string' },
    to: { type: 'string' },
    action: { enum: ['cut', 'heal', 'delay', 'half-open', 'lose'] },
    delay_ms: { type: 'number', minimum: 0, maximum: DELAY_MS_MAX },
    loss: { type: 'number', minimum: 0, maximum: LOSS_MAX },
    for_ms: { type: 'number', minimum: 0, maximum: DURATION_MS_MAX },
  },
};
const PROCESS_COMMAND = {
  type: 'object',
  required: ['target', 'action'],
  additionalProperties: false,
  properties: {
    target: { type: 'string' },
    action: { enum: ['kill', 'pause', 'resume', 'stop', 'start', 'duplicate'] },
    for_ms: { type: 'number', minimum: 0, maximum: DURATION_MS_MAX },
  },
};
const DELETE_STREAM_COMMAND = {
  type: 'object',
  required: ['region', 'stream'],
  additionalProperties: false,
  properties: { region: { type: 'string' }, stream: { enum: ['log', 'journal', 'windows'] } },
};
const CROWD_COMMAND = {
  type: 'object',
  additionalProperties: false,
  oneOf: [{ required: ['taps_per_second'] }, { required: ['replay'] }],
  properties: {
    stream: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' },
    taps_per_second: { type: 'number', minimum: 0, maximum: TAPS_PER_SECOND_MAX },
    replay: {
      type: 'object',
      additionalProperties: false,
      properties: {
        csv: { type: 'string', maxLength: CSV_LENGTH_MAX },
        name: { type: 'string', maxLength: 100 },
        speed: { type: 'number', minimum: 0.1, maximum: 1_000 },
      },
    },
  },
};

export interface DevServer {
  readonly port: number;
  close(): Promise<void>;
}

/** `apis` are the regions' origins: what the page may connect to. */
export async function startDevServer(
  port: number,
  apis: readonly string[],
  controls: DevControls,
  bundleFolder: string = BUNDLE_FOLDER,
): Promise<DevServer> {
  const server = fastify({ bodyLimit: 16_384, requestTimeout: 10_000, forceCloseConnections: true });
  // A page of another site may send plain text without asking first, and JSON never.
  server.removeContentTypeParser('text/plain');
  const policy = contentSecurityPolicy(apis);
  server.addHook('onRequest', async (request, reply) => {
    reply.header('content-security-policy', policy);
    reply.header('x-content-type-options', 'nosniff');
    reply.header('referrer-policy', 'no-referrer');
    reply.header('cache-control', 'no-store');
    if (!LOOPBACK_HOST.test(request.headers.host ?? '')) await reply.code(403).send({ message: 'this is for loopback only' });
  });
  server.setErrorHandler(async (error: Error & { statusCode?: number }, _request, reply) => {
    if (error instanceof CommandFailure) return reply.code(422).send({ message: error.message, reason: error.reason });
    return reply.code(error.statusCode ?? 500).send({ message: error.message });
  });
  // `?watching` is the page's: while somebody looks on, the crowd stays.
  server.get<{ Querystring: { watching?: string } }>('/dev/status', async ({ query }) => {
    if (query.watching !== undefined) controls.watched();
    return controls.status();
  });
  server.post<{ Body: LinkCommand }>('/dev/links', { schema: { body: LINK_COMMAND } }, async ({ body }) => {
    controls.link(body);
    return controls.status();
  });
  server.post<{ Body: ProcessCommand }>('/dev/processes', { schema: { body: PROCESS_COMMAND } }, async ({ body }) => {
    await controls.process(body);
    return controls.status();
  });
  server.post<{ Body: DeleteStreamCommand }>('/dev/streams/delete', { schema: { body: DELETE_STREAM_COMMAND } }, async ({ body }) => {
    await controls.deleteStream(body);
    return controls.status();
  });
  const crowdOptions = { schema: { body: CROWD_COMMAND }, bodyLimit: CSV_LENGTH_MAX + 65_536 };
  server.post<{ Body: CrowdCommand }>('/dev/crowd', crowdOptions, async ({ body }) => {
    await controls.crowd(body);
    return controls.status();
  });
  servePage(server, bundleFolder);
  await server.listen({ host: '127.0.0.1', port });
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () => server.close(),
  };
}

function servePage(server: FastifyInstance, bundleFolder: string): void {
  server.get<{ Params: { '*': string } }>('/*', async (request, reply) => {
    const name = request.params['*'] === '' ? 'index.html' : request.params['*'];
    const isBundle = BUNDLE_FILE.test(name);
    const folder = isBundle ? bundleFolder : PAGE_FOLDER;
    const content = isBundle || PAGE_FILE.test(name) ? await readFile(path.join(folder, name)).catch(() => null) : null;
    if (content === null) return reply.code(404).send({ message: `there is no ${name} here` });
    // Browsers load modules of other origins only where these allow it; there is nothing in them to keep.
    if (isBundle) reply.header('access-control-allow-origin', '*');
    return reply.type(MEDIA_TYPES[path.extname(name).slice(1)]!).send(content);
  });
}

function contentSecurityPolicy(apis: readonly string[]): string {
  const connect = apis.flatMap((api) => [api, api.replace(/^http/, 'ws')]).join(' ');
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${connect}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
