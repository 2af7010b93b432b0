/** A real browser for tests: headless Chromium where one is installed, otherwise a loud, counted skip. */

import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

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
export function openBrowser(): Promise<Browser> {
  if (executablePath === undefined) throw new Error('no Chromium; guard the test with browserAvailable');
  return chromium.launch({
    executablePath,
    args: [
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
