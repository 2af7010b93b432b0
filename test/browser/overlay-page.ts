/**
 * A page with the overlay element under the strictest content security policy that a player may have.
 * Without regions, behind the element is no SDK but a puppet, `puppets.at(-1)`, that the test pulls the
 * strings of.
 */

import { createServer } from 'node:http';
import { build, type Plugin } from 'esbuild';
import { close, listen } from './stub-region.ts';

const PUPPET_ENDPOINTS = ['https://us.test', 'https://eu.test'];
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const PUPPET = `
  globalThis.puppets = [];
  export function createReactions(options) {
    const listeners = {};
    const puppet = {
      options,
      closed: false,
      taps: [],
      totals: {},
      palette: { heart: '❤️', fire: '🔥', clap: '👏', laugh: '😂', wow: '😮', sad: '😢' },
      state: 'connecting',
      tap(emoji, count = 1) {
        if (!(emoji in this.palette)) return 0;
        this.taps.push([emoji, count]);
        return count;
      },
      on(name, listener) {
        (listeners[name] ??= []).push(listener);
        return () => {};
      },
      close() {
        this.closed = true;
      },
      emit(name, event) {
        if (name === 'state') this.state = event;
        if (name === 'totals') this.totals = event;
        for (const listener of listeners[name] ?? []) listener(event);
      },
    };
    globalThis.puppets.push(puppet);
    return puppet;
  }
`;

const page = (endpoints: readonly string[]): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A player</title>
<link rel="stylesheet" href="page.css">
<script type="module" src="overlay.js"></script>
<main><live-reactions endpoint="${endpoints.join(' ')}" stream="derby" controls></live-reactions></main>
`;

const CSS = `
  body { margin: 0; background: #12131c; }
  main { width: 100%; aspect-ratio: 16 / 9; min-height: 320px; max-height: 100vh; background: linear-gradient(160deg, #273a5c, #6d3b66 60%, #d08a5b); }
  live-reactions { height: 100%; }
  main.away { margin-top: 3000px; }
`;

const puppetInsteadOfSdk: Plugin = {
  name: 'puppet',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /create-reactions\.ts$/ }, () => ({ path: 'puppet', namespace: 'puppet' }));
    onLoad({ filter: /.*/, namespace: 'puppet' }, () => ({ contents: PUPPET }));
  },
};

export interface OverlayPage {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startOverlayPage(regions: readonly string[] = []): Promise<OverlayPage> {
  const { outputFiles } = await build({
    entryPoints: ['src/client/overlay/define.ts'],
    bundle: true,
    format: 'esm',
    write: false,
    plugins: regions.length === 0 ? [puppetInsteadOfSdk] : [],
  });
  const files: Record<string, readonly [type: string, body: string]> = {
    '/': ['text/html', page(regions.length === 0 ? PUPPET_ENDPOINTS : regions)],
    '/page.css': ['text/css', CSS],
    '/overlay.js': ['text/javascript', outputFiles[0]!.text],
  };
  const connect = regions.flatMap((region) => [region, region.replace(/^http/, 'ws')]).join(' ');
  const policy = connect === '' ? POLICY : `${POLICY}; connect-src ${connect}`;
  const server = createServer(({ url = '/' }, response) => {
    const [type, body] = files[url] ?? ['text/plain', ''];
    response.writeHead(url in files ? 200 : 204, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': policy });
    response.end(url in files ? body : undefined);
  });
  return {
    url: `http://127.0.0.1:${await listen(server)}/`,
    stop: () => close(server),
  };
}
