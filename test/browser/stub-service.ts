/**
 * The service behind the live page: three stub regions with links that can be cut, the development
 * API, and the page itself under a strict content security policy, compiled from its source.
 */

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import ts from 'typescript';
import { close, listen, replicate, startStubRegion, type StubRegion } from './stub-region.ts';

const PAGE = path.resolve(import.meta.dirname, '../../src/web/live');
const GOSSIP_MS = 50;
const TYPES: Record<string, string> = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
  "connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:*; base-uri 'none'; form-action 'none'";

export interface StubService {
  readonly url: string;
  readonly regions: readonly StubRegion[];
  /** Pairs of regions whose link is cut, as `one other`. */
  readonly cuts: Set<string>;
  stop(): Promise<void>;
}

export async function startStubService(): Promise<StubService> {
  const regions = await Promise.all(['us', 'eu', 'ap'].map(startStubRegion));
  const cuts = new Set<string>();
  const isCut = (from: string, to: string): boolean => cuts.has(`${from} ${to}`) || cuts.has(`${to} ${from}`);
  const pairs = regions.flatMap((from) => regions.filter((to) => to !== from).map((to) => [from, to] as const));

  const gossip = setInterval(() => {
    for (const [from, to] of pairs) if (!isCut(from.id, to.id)) replicate(from, to);
  }, GOSSIP_MS);

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/dev/status') return sendJson(response, status());
    if (pathname === '/dev/links') return void changeLink(request).then(() => sendJson(response, status()));
    return sendFile(response, pathname === '/' ? '/index.html' : pathname);
  });

  function status(): object {
    return {
      regions: regions.map(({ id, api }) => ({ id, api })),
      links: pairs.map(([from, to]) => ({ from: from.id, to: to.id, state: isCut(from.id, to.id) ? 'cut' : 'up', delay_ms: 0 })),
    };
  }

  async function changeLink(request: IncomingMessage): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { from, to, action } = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, string>;
    cuts.delete(`${to} ${from}`);
    if (action === 'cut') cuts.add(`${from} ${to}`);
    else cuts.delete(`${from} ${to}`);
  }

  return {
    url: `http://127.0.0.1:${await listen(server)}/`,
    regions,
    cuts,
    async stop() {
      clearInterval(gossip);
      await close(server);
      await Promise.all(regions.map((region) => region.stop()));
    },
  };
}

function sendJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendFile(response: ServerResponse, name: string): void {
  const type = TYPES[path.extname(name)];
  const body = type === undefined ? null : readPageFile(name);
  if (body === null) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': POLICY });
  response.end(body);
}

function readPageFile(name: string): string | null {
  try {
    if (!name.endsWith('.js')) return readFileSync(path.join(PAGE, name), 'utf8');
    const source = readFileSync(path.join(PAGE, name.replace(/\.js$/, '.ts')), 'utf8');
    return ts.transpileModule(source, {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    }).outputText;
  } catch {
    return null;
  }
}
