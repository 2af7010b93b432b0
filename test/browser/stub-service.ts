/**
 * The service behind the live page: three stub regions with links that can be cut, the development API
 * with a crowd that only obeys, and the page itself under a strict content security policy, compiled
 * from its source.
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
  /** Pairs of regions → how much slower their link is. */
  readonly delays: Map<string, number>;
  /** Every command to the crowd. */
  readonly crowd: Record<string, unknown>[];
  stop(): Promise<void>;
}

export async function startStubService(): Promise<StubService> {
  const regions = await Promise.all(['us', 'eu', 'ap'].map(startStubRegion));
  const cuts = new Set<string>();
  const delays = new Map<string, number>();
  const crowd: Record<string, unknown>[] = [];
  const isCut = (from: string, to: string): boolean => cuts.has(`${from} ${to}`) || cuts.has(`${to} ${from}`);
  const pairs = regions.flatMap((from) => regions.filter((to) => to !== from).map((to) => [from, to] as const));

  const gossip = setInterval(() => {
    for (const [from, to] of pairs) if (!isCut(from.id, to.id)) replicate(from, to);
  }, GOSSIP_MS);

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/dev/status') return sendJson(response, status());
    if (pathname === '/dev/links') return void bodyOf(request).then((body) => sendJson(response, changeLink(body)));
    if (pathname === '/dev/crowd') return void bodyOf(request).then((body) => sendJson(response, changeCrowd(body)));
    return sendFile(response, pathname === '/' ? '/index.html' : pathname);
  });

  function status(): object {
    return {
      regions: regions.map(({ id, api }) => ({ id, api })),
      links: pairs.map(([{ id: from }, { id: to }]) => {
        const delay_ms = delays.get(`${from} ${to}`) ?? 0;
        return { from, to, state: isCut(from, to) ? 'cut' : delay_ms > 0 ? 'delayed' : 'up', delay_ms };
      }),
      crowd: crowdStatus(),
    };
  }

  function crowdStatus(): object {
    const taps = Number(crowd.at(-1)?.['taps_per_second'] ?? 0);
    const replay = crowd.at(-1)?.['replay'] as { name?: string; speed: number } | undefined;
    return {
      mode: replay !== undefined ? 'replay' : taps > 0 ? 'random' : 'off',
      stream: crowd.at(-1)?.['stream'] ?? null,
      taps_per_second: taps,
      viewers: Math.ceil(taps / 8),
      tapped: 0,
      acknowledged: 0,
      clamped: 0,
      refused: 0,
      replay: replay === undefined ? null : { name: replay.name ?? 'a final', speed: replay.speed, at_ms: 30_000, length_ms: 90_000 },
      problem: null,
    };
  }

  /** As the real one: a cut outlasts a delay, and healing undoes both. */
  function changeLink({ from, to, action, delay_ms }: Record<string, unknown>): object {
    for (const key of [`${from} ${to}`, `${to} ${from}`]) {
      if (action === 'heal') {
        cuts.delete(key);
        delays.delete(key);
      }
      if (action === 'delay') delays.set(key, Number(delay_ms));
    }
    if (action === 'cut') cuts.add(`${from} ${to}`);
    return status();
  }

  function changeCrowd(command: Record<string, unknown>): object {
    crowd.push(command);
    return status();
  }

  return {
    url: `http://127.0.0.1:${await listen(server)}/`,
    regions,
    cuts,
    delays,
    crowd,
    async stop() {
      clearInterval(gossip);
      await close(server);
      await Promise.all(regions.map((region) => region.stop()));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
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

/** Compiled once for all tests of a file. */
const pageFiles = new Map<string, string | null>();

function readPageFile(name: string): string | null {
  if (!pageFiles.has(name)) pageFiles.set(name, compilePageFile(name));
  return pageFiles.get(name)!;
}

function compilePageFile(name: string): string | null {
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
