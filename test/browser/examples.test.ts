/**
 * The examples, opened in Chromium as they stand: served from their own files, where nothing but the
 * addresses of `npm start` is replaced by those of the test's regions.
 */

import { readFileSync, readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import type { Browser, Locator, Page, ViewportSize } from 'playwright-core';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { portsOf } from '../../src/cli/dev/ports.ts';
import { startCountingRegions, type CountingRegion } from '../cli/counting-region.ts';
import { browserAvailable, openBrowser } from '../support/browser.ts';
import { close, listen } from './stub-region.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const EXAMPLES = path.join(ROOT, 'docs/examples');
/** What the package's `exports` lead to, from the sources instead of from the last build. */
const ENTRIES = {
  'ovation/react': path.join(ROOT, 'src/client/react.ts'),
  'ovation/overlay': path.join(ROOT, 'src/client/overlay/live-reactions.ts'),
};
const WAIT = { timeout: 60_000 };
const TYPES: Record<string, string> = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript' };
const PAGE_PORT = 8080;
const FILES = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(html|tsx)$/.test(name));

const read = (name: string): string => readFileSync(path.join(EXAMPLES, name), 'utf8');

async function bundle(entry: string, options: BuildOptions = {}): Promise<string> {
  const { outputFiles } = await build({ entryPoints: [path.join(ROOT, entry)], bundle: true, format: 'esm', write: false, ...options });
  return outputFiles![0]!.text;
}

/** As `npm start` would, one server has the bundles; it has the examples too. */
async function serve(regions: readonly CountingRegion[]): Promise<{ server: Server; port: number }> {
  const bundles: Record<string, string> = {
    'ovation-overlay.js': await bundle('src/client/overlay/define.ts'),
    'ovation-client.js': await bundle('src/client/create-reactions.ts'),
    'react/main.js': await bundle('docs/examples/react/main.tsx', { jsx: 'automatic', alias: ENTRIES }),
  };
  const moved = (text: string): string =>
    text.replaceAll(/http:\/\/127\.0\.0\.1:(80\d\d)/g, (_, from: string) =>
      Number(from) === PAGE_PORT ? `http://127.0.0.1:${port}` : regions[Number(from) - PAGE_PORT - 1]!.url,
    );
  const connect = regions.flatMap(({ url }) => [url, url.replace('http', 'ws')]).join(' ');
  const server = createServer(({ url = '/' }, response) => {
    const name = new URL(url, 'http://localhost').pathname.slice(1);
    const text = bundles[name] ?? (FILES.includes(name) || name.endsWith('.css') ? read(name) : null);
    response.writeHead(text === null ? 404 : 200, {
      'content-type': `${TYPES[path.extname(name)] ?? 'text/plain'}; charset=utf-8`,
      'access-control-allow-origin': '*',
      'content-security-policy':
        `default-src 'none'; script-src http://127.0.0.1:${port} 'self' ${name === 'html/index.html' ? '' : "'unsafe-inline'"}; ` +
        `style-src 'self' 'unsafe-inline'; img-src data:; connect-src ${connect}; base-uri 'none'`,
    });
    response.end(text === null ? '' : moved(text));
  });
  const port = await listen(server);
  return { server, port };
}

/** How opaque the corners of a page are, and which share of it is not wholly transparent. */
async function alphaOf(page: Page): Promise<{ corners: number[]; seen: number; width: number }> {
  const picture = await page.screenshot({ omitBackground: true });
  // Read by the browser itself, which knows how.
  return page.evaluate(`(async () => {
    const bytes = Uint8Array.from(atob('${picture.toString('base64')}'), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const { width, height } = image;
    const context = new OffscreenCanvas(width, height).getContext('2d');
    context.drawImage(image, 0, 0);
    const alpha = context.getImageData(0, 0, width, height).data.filter((_, index) => index % 4 === 3);
    const corners = [0, width - 1, (height - 1) * width, height * width - 1].map((at) => alpha[at]);
    return { corners, seen: alpha.filter((value) => value > 0).length / alpha.length, width };
  })()`);
}

describe.skipIf(!browserAvailable)('examples in Chromium', () => {
  let browser: Browser;
  let regions: CountingRegion[];
  let us: CountingRegion;
  let eu: CountingRegion;
  let server: Server;
  let port: number;
  let page: Page;
  /** What stands on the console, warnings too. */
  let complaints: string[];
  let sent: string[];
  let socketsOpen: number;
  let socketsOpened: number;

  beforeAll(async () => {
    [browser, regions] = await Promise.all([openBrowser(), startCountingRegions('us', 'eu')]);
    [us, eu] = regions as [CountingRegion, CountingRegion];
    ({ server, port } = await serve(regions));
  });

  afterAll(async () => {
    await browser.close();
    await close(server);
    await Promise.all(regions.map((region) => region.stop()));
  });

  beforeEach(() => {
    for (const region of regions) {
      region.totalsOf('demo').clear();
      region.rates = {};
    }
  });

  afterEach(() => page.close());

  /** From another origin than the bundles', as a page that was opened from a disk or another server. */
  async function open(name: string, viewport: ViewportSize = { width: 1280, height: 720 }): Promise<void> {
    page = await browser.newPage({ viewport });
    complaints = [];
    sent = [];
    socketsOpen = socketsOpened = 0;
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (/error|warning/.test(message.type())) complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (request.method() !== 'GET') sent.push(request.method());
    });
    page.on('websocket', (socket) => {
      socketsOpen++;
      socketsOpened++;
      socket.on('framesent', () => sent.push('message'));
      socket.on('close', () => socketsOpen--);
    });
    await page.goto(`http://localhost:${port}/${name}`);
  }

  const button = (emoji: string): Locator => page.getByRole('button', { name: `React with ${emoji}` });
  const stat = (name: string): Promise<number> => page.evaluate(`document.querySelector('live-reactions').stats.${name}`);

  async function tapsAreCountedAndComeBack(): Promise<void> {
    for (let tap = 0; tap < 3; tap++) await button('heart').click();
    await expect.poll(() => us.totalsOf('demo').get('heart'), WAIT).toBe(3);
    await expect.poll(() => button('heart').innerText(), WAIT).toMatch(/3$/);
    // What somebody taps in another region comes with the frames.
    eu.totalsOf('demo').set('heart', 1_200);
    await expect.poll(() => button('heart').innerText(), WAIT).toMatch(/1,203$/);
    expect(complaints).toEqual([]);
  }

  it('[EX-1] plain HTML: one script tag and one element', async () => {
    await open('html/index.html');
    await tapsAreCountedAndComeBack();
    expect(await stat('spawned')).toBeGreaterThanOrEqual(3);
  });

  it('[EX-1] plain HTML: buttons of the page itself, on the SDK', async () => {
    await open('html/own-look.html');
    await tapsAreCountedAndComeBack();
    us.totalsOf('demo').set('fire', 9);
    us.rates = { heart: 40.2, fire: 1_200 };
    await expect.poll(() => page.locator('#line').innerText(), WAIT).toMatch(/^\d watching · 1,240 reactions a second · region us$/);
  });

  it('[EX-1] [EX-2] React: the hook and the element, one connection at a time under StrictMode', async () => {
    await open('react/index.html');
    await tapsAreCountedAndComeBack();
    expect([socketsOpened, socketsOpen]).toEqual([1, 1]);

    await page.getByRole('button', { name: '<live-reactions>' }).click();
    await expect.poll(() => button('heart').innerText(), WAIT).toMatch(/1,203$/);
    us.totalsOf('demo').clear();
    eu.totalsOf('demo').clear();
    await button('fire').click();
    await expect.poll(() => us.totalsOf('demo').get('fire'), WAIT).toBe(1);
    await expect.poll(() => button('fire').innerText(), WAIT).toMatch(/1$/);
    await expect.poll(() => [socketsOpened, socketsOpen], WAIT).toEqual([2, 1]);

    await page.getByRole('button', { name: 'useReactions' }).click();
    await expect.poll(() => [socketsOpened, socketsOpen], WAIT).toEqual([3, 1]);
    expect(await page.locator('live-reactions').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('[EX-3] OBS: the crowd on a transparent page, no buttons, and not a byte sent', async () => {
    for (const emoji of ['heart', 'fire']) us.totalsOf('demo').set(emoji, 1_000);
    us.rates = { heart: 60, fire: 30 };
    const submissions = us.submissions;
    await open(`obs/overlay.html?stream=demo&endpoint=${us.url}&endpoint=${eu.url}&size=96`, { width: 1920, height: 1080 });
    // Glyphs of 96 pixels are seen, and nothing is behind them.
    await expect.poll(async () => (await alphaOf(page)).seen, WAIT).toBeGreaterThan(0.01);
    const { corners, seen, width } = await alphaOf(page);
    expect([corners, width]).toEqual([[0, 0, 0, 0], 1920]);
    expect(seen).toBeLessThan(0.4);
    expect(await page.getByRole('button').count()).toBe(0);
    expect(await page.evaluate('[document.documentElement.scrollWidth, document.documentElement.scrollHeight]')).toEqual([1920, 1080]);
    expect([sent, us.submissions - submissions, socketsOpened]).toEqual([[], 0, 1]);
    expect(complaints).toEqual([]);
  });

  it('[EX-3] OBS: what is missing in the address is said while it is set up, and a wrong size changes nothing', async () => {
    await open('obs/overlay.html?stream=demo');
    await page.getByText('Add ?stream=…&endpoint=').waitFor();
    expect([await page.locator('live-reactions').count(), socketsOpened]).toEqual([0, 0]);
    await page.goto(`http://localhost:${port}/obs/overlay.html?stream=demo&endpoint=${us.url}&size=enormous`);
    const size = `getComputedStyle(document.querySelector('live-reactions')).getPropertyValue('--ovation-glyph-size')`;
    await expect.poll(() => page.evaluate(`document.querySelector('live-reactions') && ${size}`), WAIT).toBe('64px');
    expect(complaints).toEqual([]);
  });
});

test('[EX-2] the React example fits the types that the package exports', () => {
  const sources = FILES.filter((name) => name.endsWith('.tsx')).map((name) => path.join(EXAMPLES, name));
  const { compilerOptions } = JSON.parse(readFileSync(path.join(ROOT, 'tsconfig.json'), 'utf8'));
  const program = ts.createProgram(sources, {
    ...ts.convertCompilerOptionsFromJson({ ...compilerOptions, types: [] }, ROOT).options,
    jsx: ts.JsxEmit.ReactJSX,
    noEmit: true,
    paths: Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, [file]])),
  });
  // Of these files alone: `npm run check` has looked at the others.
  const found = sources.map((file) => program.getSourceFile(file)!).flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]);
  const problems = found.map(({ file, messageText }) => `${path.basename(file?.fileName ?? '')}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  expect(problems).toEqual([]);
});

test('[EX-4] the lines to copy stand in the examples, whose addresses are those of `npm start -- --port 8080`', () => {
  const lines = (text: string): string[] => text.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  const known = new Set(FILES.flatMap((name) => lines(read(name))));
  const snippets = [...read('README.md').matchAll(/^```(?:html|tsx|js)\n(.*?)^```/gms)].flatMap(([, code]) => lines(code!));
  expect(snippets.length).toBeGreaterThan(10);
  expect(snippets.filter((line) => !known.has(line))).toEqual([]);

  const ports = [PAGE_PORT, portsOf(PAGE_PORT, 0).port, portsOf(PAGE_PORT, 1).port].map(String);
  const addresses = FILES.flatMap((name) => [...read(name).matchAll(/https?:\/\/(?!us\.example|eu\.example)([\w.:]+)/g)].map((found) => found[1]!));
  expect(addresses.length).toBeGreaterThan(5);
  expect(addresses.filter((address) => !ports.some((port) => address === `127.0.0.1:${port}`))).toEqual([]);
});
