/** A site of its own, apart from all regions, with a page that plays (`faults-player.ts`), and what a test does with it. */

import { createServer } from 'node:http';
import { build } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';
import type { ReactionsOptions } from '../../src/client/client-types.ts';
import type { PageBooks, PageWindow } from './faults-player.ts';
import { close, listen } from './stub-region.ts';

export interface Player {
  readonly page: Page;
  /** Errors that nobody caught, and what the page's own code wrote to the console as errors. */
  readonly complaints: string[];
  tap(taps: number): Promise<number>;
  burst(on: boolean): Promise<void>;
  books(): Promise<PageBooks>;
}

export interface PlayerSite {
  /** Other names for the same machine are other sites to a browser. */
  readonly url: string;
  open(context: BrowserContext, options: Omit<ReactionsOptions, 'platform' | 'getToken'>, token?: string): Promise<Player>;
  stop(): Promise<void>;
}

export async function startPlayerSite(): Promise<PlayerSite> {
  const { outputFiles } = await build({
    entryPoints: [`${import.meta.dirname}/faults-player.ts`],
    bundle: true,
    format: 'esm',
    minify: true,
    target: ['es2022'],
    write: false,
  });
  const pages: Record<string, readonly [type: string, body: string]> = {
    '/': ['text/html', '<!doctype html><meta charset="utf-8"><title>A player</title><script type="module" src="player.js"></script>'],
    '/player.js': ['text/javascript', outputFiles[0]!.text],
    '/elsewhere': ['text/html', '<!doctype html><title>Elsewhere</title>'],
  };
  const server = createServer(({ url = '/' }, response) => {
    const [type, body] = pages[url] ?? ['text/plain', ''];
    response.writeHead(url in pages ? 200 : 204, { 'content-type': `${type}; charset=utf-8` });
    response.end(url in pages ? body : undefined);
  });
  const url = `http://localhost:${await listen(server)}`;
  return {
    url,
    async open(context, options, token) {
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      // The browser itself tells the console of each connection and request that failed; no script can stop it.
      page.on('console', (message) => {
        if (message.type() === 'error' && !/^Failed to load resource|^WebSocket connection to/.test(message.text())) complaints.push(message.text());
      });
      await page.goto(url);
      await page.waitForFunction('globalThis.page !== undefined');
      const ask = <Result>(name: keyof PageWindow, ...rest: readonly unknown[]): Promise<Result> =>
        page.evaluate<Result>(`page.${name}(${rest.map((argument) => JSON.stringify(argument)).join()})`);
      await (token === undefined ? ask('play', options) : ask('play', options, token));
      return {
        page,
        complaints,
        tap: (taps) => ask('tap', taps),
        burst: (on) => ask('burst', on),
        books: () => ask('books'),
      };
    },
    stop: () => close(server),
  };
}
