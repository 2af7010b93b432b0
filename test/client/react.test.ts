import { build } from 'esbuild';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { useReactions } from '../../src/client/react.ts';
import { startCountingRegions } from '../cli/counting-region.ts';
import { browserAvailable, openBrowser } from '../support/browser.ts';

interface TestWindow {
  start(endpoint: string): void;
  setStream(stream: string | null): void;
  sockets(): { opened: number; open: number };
}

test('[SDK-15] on a server it renders the palette of the options, and connects to nothing', () => {
  const Player = () => {
    const { state, palette, totals } = useReactions({ endpoints: 'http://127.0.0.1:1', streamId: 'derby', palette: { heart: '♥' } });
    return createElement('p', null, JSON.stringify({ state, palette, totals }).replaceAll('"', ''));
  };
  expect(renderToString(createElement(Player))).toBe('<p>{state:disconnected,palette:{heart:♥},totals:{}}</p>');
});

describe.skipIf(!browserAvailable)('[SDK-15] in a browser, under StrictMode', () => {
  test('one connection per mounted stream, another one for another stream, none once unmounted', async () => {
    const [region] = await startCountingRegions('us');
    const browser = await openBrowser();
    try {
      const { outputFiles } = await build({
        entryPoints: [`${import.meta.dirname}/react-page.ts`],
        bundle: true,
        format: 'esm',
        define: { 'process.env.NODE_ENV': '"development"' },
        write: false,
      });
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
      await page.addScriptTag({ content: outputFiles[0]!.text, type: 'module' });
      const ask = <Result>(call: (window: TestWindow) => Result): Promise<Result> =>
        page.evaluate(`(${String(call)})(window)`) as Promise<Result>;
      await page.waitForFunction('window.start !== undefined');
      await page.evaluate(`window.start(${JSON.stringify(region!.url)})`);
      const text = (shown: string) => page.getByText(shown, { exact: true }).waitFor();
      await text('derby connected ❤️ 0');
      await page.getByRole('button').click();
      await text('derby connected ❤️ 2');
      await expect.poll(() => region!.totalsOf('derby').get('heart')).toBe(2);
      expect(await ask((window) => window.sockets())).toEqual({ opened: 1, open: 1 });
      await ask((window) => window.setStream('final'));
      await text('final connected ❤️ 0');
      await expect.poll(() => ask((window) => window.sockets())).toEqual({ opened: 2, open: 1 });
      await ask((window) => window.setStream(null));
      await expect.poll(() => ask((window) => window.sockets())).toEqual({ opened: 2, open: 0 });
      expect(problems).toEqual([]);
    } finally {
      await browser.close();
      await region!.stop();
    }
  });
});
