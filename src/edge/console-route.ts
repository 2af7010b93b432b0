/**
 * The moderators' console at `/console/`: a page of files that asks this region and nobody else.
 *
 * Its content security policy lets nothing in but those files, and no text become markup or script: what viewers
 * call themselves is shown to moderators.
 */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Problem } from './problem.ts';

const PAGE_FOLDER = path.join(import.meta.dirname, '../web/console');
/** Where the build puts the bundles, seen from the built file. */
const BUNDLE_FOLDER = path.join(import.meta.dirname, '../../client');
const FILES: Readonly<Record<string, { readonly type: string; readonly isBundle?: true }>> = {
  'index.html': { type: 'text/html; charset=utf-8' },
  'console.css': { type: 'text/css; charset=utf-8' },
  'controls.css': { type: 'text/css; charset=utf-8' },
  'parts.css': { type: 'text/css; charset=utf-8' },
  'icon.svg': { type: 'image/svg+xml' },
  'console-page.js': { type: 'text/javascript; charset=utf-8', isBundle: true },
};
const HOST = /^[A-Za-z0-9._-]+(?::\d+)?$|^\[[0-9A-Fa-f:.]+\](?::\d+)?$/;

export function consoleRoute(app: FastifyInstance, bundleFolder: string = BUNDLE_FOLDER): void {
  const hidden = { schema: { hide: true } };
  // The page's links are relative, so that a proxy may serve a region below a path of its own.
  app.get('/console', hidden, (_request, reply) => reply.redirect('console/', 308));
  app.get<{ Params: { '*': string } }>('/console/*', hidden, async (request, reply) => {
    const name = request.params['*'] === '' ? 'index.html' : request.params['*'];
    const file = Object.hasOwn(FILES, name) ? FILES[name]! : null;
    const content = file && (await readFile(path.join(file.isBundle ? bundleFolder : PAGE_FOLDER, name)).catch(() => null));
    if (content === null || file === null) throw new Problem('not-found', 'The console has no such file. Open /console/.');
    return reply.header('content-security-policy', contentSecurityPolicy(request.headers.host)).type(file.type).send(content);
  });
}

/** Some browsers do not take 'self' for WebSockets too, so that these are named. */
function contentSecurityPolicy(host = ''): string {
  const sockets = HOST.test(host) ? ` ws://${host} wss://${host}` : '';
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self'${sockets}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}
