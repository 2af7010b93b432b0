/** A real browser for tests: headless Chromium where one is installed, otherwise a loud, counted skip. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { chromium, type Browser, type BrowserContext, type LaunchOptions } from 'playwright-core';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const executablePath = PLACES.find((place) => existsSync(place));

export const browserAvailable = executablePath !== undefined;
if (!browserAvailable) {
  console.warn('\n*** No Chromium: the tests in a browser are skipped. On Debian: sudo apt-get install chromium\n');
}

/** Close it in `afterAll`; its profile is temporary. */
export function openBrowser({ args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  if (executablePath === undefined) throw new Error('no Chromium; guard the test with browserAvailable');
  return chromium.launch({
    ...options,
    executablePath,
    args: [
      ...args,
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** What Playwright tells a browser so that tests see less of how browsers are. */
const TAMED = [
  '--disable-back-forward-cache',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/**
 * A browser as people have it. In `window` one tab hides the others and a hidden one's timers are slowed down (elsewhere
 * Playwright makes every page believe that it is looked at); pages that are left may come back whole.
 */
export async function openDesktopBrowser(): Promise<{ readonly browser: Browser; readonly window: BrowserContext }> {
  const port = await freePort();
  const browser = await openBrowser({ args: [`--remote-debugging-port=${port}`], ignoreDefaultArgs: TAMED });
  const connected = await chromium.connectOverCDP(`http://127.0.0.1:${port}`, { noDefaults: true });
  return { browser, window: connected.contexts()[0]! };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
