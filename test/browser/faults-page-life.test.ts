/**
 * What happens to pages, in real Chromium and before a real region in a process of its own: they are hidden, left and
 * closed, and they are given options, tokens and servers that are of no use.
 */

import { createServer } from 'node:http';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { CountingRegion } from '../cli/counting-region.ts';
import { browserAvailable, openDesktopBrowser } from '../support/browser.ts';
import { natsAvailable } from '../support/nats.ts';
import { startRegionProcesses, type RegionProcesses } from '../support/region-processes.ts';
import { startViewerLink } from '../support/viewer-link.ts';
import { startPlayerSite, type Player, type PlayerSite } from './faults-page.ts';
import { close, listen } from './stub-region.ts';

const SETTLED = { timeout: 60_000, interval: 50 };
const LONG = { timeout: 180_000 };

describe.skipIf(!browserAvailable || !natsAvailable)('what happens to a page in Chromium', () => {
  let browser: Browser;
  let window: BrowserContext;
  let context: BrowserContext;
  let regions: RegionProcesses;
  let site: PlayerSite;

  beforeAll(async () => {
    [{ browser, window }, regions, site] = await Promise.all([
      openDesktopBrowser(),
      startRegionProcesses(['us'], { endedStreams: ['over'] }),
      startPlayerSite(),
    ]);
    context = await browser.newContext();
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all([regions?.stop(), site?.stop()]);
  });

  const eventually = <Value>(ask: () => Value | Promise<Value>, check: (value: Value) => void): Promise<void> =>
    vi.waitFor(async () => check(await ask()), SETTLED);
  const counted = async (stream: string): Promise<number> =>
    Object.values((await regions.totals('us', stream)) ?? {}).reduce((total, count) => total + count, 0);

  it.concurrent('[E2E-13] a tab behind another flushes, rests after ten seconds, draws nothing, and goes on when it is looked at', LONG, async () => {
    const { page, tap, books, complaints } = await site.open(window, { endpoints: regions.url('us'), streamId: 'tabs' });
    await page.evaluate(`{
      const overlay = document.createElement('live-reactions');
      Object.assign(overlay, { endpoint: ${JSON.stringify(regions.url('us'))}, stream: 'tabs', watchOnly: true });
      overlay.style.height = '400px';
      document.body.append(overlay);
      const { send } = WebSocket.prototype;
      let sent = 0;
      WebSocket.prototype.send = function (data) { sent++; return send.call(this, data); };
      // Before the player hears of it: of two taps the second has to wait, unless it is flushed. And after it has heard.
      addEventListener('visibilitychange', () => {
        if (document.visibilityState !== 'hidden') return;
        page.tap(2);
        const before = sent;
        globalThis.hidden = { at: performance.now() };
        document.addEventListener('visibilitychange', () => { hidden.flushed = sent - before; }, { once: true });
      }, true);
    }`);
    const drawn = (): Promise<number> => page.evaluate(`document.querySelector('live-reactions').stats.animationFrames`);
    await eventually(async () => (await books()).states.at(-1)?.state, (state) => expect(state).toBe('connected'));
    // Frames of the crowd, so that there is something to draw or not.
    const crowd = await site.open(context, { endpoints: regions.url('us'), streamId: 'tabs' });
    await crowd.burst(true);
    await eventually(drawn, (frames) => expect(frames).toBeGreaterThan(10));

    expect(await tap(3)).toBe(3);
    const other = await window.newPage();
    await eventually(() => page.evaluate('document.visibilityState'), (visibility) => expect(visibility).toBe('hidden'));
    const framesBefore = await drawn();
    await eventually(async () => (await books()).accepted, (accepted) => expect(accepted).toBe(5));
    await eventually(async () => (await books()).states.at(-1)?.state, (state) => expect(state).toBe('disconnected'));
    const { states } = await books();
    const hidden = await page.evaluate<{ at: number; flushed: number }>('hidden');
    expect(hidden.flushed).toBe(1);
    expect(states.at(-1)!.at - hidden.at).toBeGreaterThan(9_900);
    expect(await drawn()).toBe(framesBefore);
    // A script may tap also there; nobody connects for that.
    expect(await tap(4)).toBe(4);
    expect(await drawn()).toBe(framesBefore);

    await other.close();
    await eventually(async () => (await books()).accepted, (accepted) => expect(accepted).toBe(9));
    await eventually(drawn, (frames) => expect(frames).toBeGreaterThan(framesBefore));
    expect((await books()).states.map(({ state }) => state)).toEqual(['connecting', 'connected', 'disconnected', 'connecting', 'connected']);
    await crowd.burst(false);
    const others = Object.values((await crowd.books()).taken).reduce((total, taken) => total + taken, 0);
    await eventually(() => counted('tabs'), (total) => expect(total).toBe(9 + others));
    expect(complaints).toEqual([]);
  });

  const elsewhere = (): string => `http://127.0.0.1:${new URL(site.url).port}/elsewhere`;
  const ways: readonly (readonly [way: string, leave: (player: Player) => Promise<number>, token?: string])[] = [
    ['left for another site', ({ page }) => page.evaluate(`{ const taken = page.tap(2); location.href = '${elsewhere()}'; taken; }`)],
    ['loaded again', ({ page }) => page.evaluate('{ const taken = page.tap(2); location.reload(); taken; }')],
    ['closed', (player) => tapAndClose(player)],
    ['closed by who has a token', (player) => tapAndClose(player), 'e30.e30.e30'],
  ];
  async function tapAndClose({ page, tap }: Player): Promise<number> {
    const taken = await tap(2);
    await page.close();
    return taken;
  }

  for (const [index, [way, leave, token]] of ways.entries()) {
    it.concurrent(`[E2E-14] a page that is ${way} right after a tap has it counted once`, LONG, async () => {
      const stream = `left${index}`;
      const link = await startViewerLink(regions.url('us'));
      const player = await site.open(context, { endpoints: link.url, streamId: stream }, token);
      let taken = await player.tap(2);
      await eventually(async () => (await player.books()).accepted, (accepted) => expect(accepted).toBe(2));
      // The socket is dead and nobody knows: what follows goes another way or not at all.
      link.forget();
      taken += await player.tap(3);
      taken += await leave(player);
      expect(taken).toBe(7);
      await eventually(() => counted(stream), (total) => expect(total).toBe(7));
      await link.close();
    });
  }

  it.concurrent('[E2E-14] a page that is closed before it has met a region has its taps counted once', LONG, async () => {
    const link = await startViewerLink(regions.url('us'));
    link.mode = 'forget';
    const { page, tap } = await site.open(context, { endpoints: link.url, streamId: 'early' });
    expect(await tap(3)).toBe(3);
    await eventually(() => link.connections, (connections) => expect(connections).toBeGreaterThan(0));
    link.mode = 'open';
    await page.close();
    await eventually(() => counted('early'), (total) => expect(total).toBe(3));
    await link.close();
  });

  it.concurrent('[E2E-14] a page that is left and comes back whole has all its taps counted once', LONG, async () => {
    const { page, tap, books, complaints } = await site.open(context, { endpoints: regions.url('us'), streamId: 'back' });
    await tap(2);
    await eventually(async () => (await books()).accepted, (accepted) => expect(accepted).toBe(2));
    // From here on nobody can ask the page, so that it does by itself what is left to do, and only if it is the same page.
    await page.evaluate(`{
      addEventListener('pageshow', ({ persisted }) => { if (persisted) page.tap(4); });
      page.tap(3);
      location.href = '${elsewhere()}';
    }`);
    await page.waitForURL(elsewhere());
    await eventually(() => counted('back'), (total) => expect(total).toBe(5));
    await page.evaluate('void setTimeout(() => history.back())');
    await eventually(() => counted('back'), (total) => expect(total).toBe(9));
    expect(complaints).toEqual([]);
    await page.close();
  });

  describe.concurrent('[E2E-15] what is of no use is one error, no loop and no crash', () => {
    const strict = new CountingRegion('us', [], { jwt: { secret: 'a secret of at least thirty-two characters' } });
    const shut = createServer((_request, response) => void response.end('It works!'));
    const readable = createServer((_request, response) => void response.setHeader('access-control-allow-origin', '*').end('It works!'));
    const babble = createServer();
    new WebSocketServer({ server: babble }).on('connection', (socket) => {
      for (const bytes of [[], [0xc1], [0x93, 2], [0xff, 0x00, 0xff]]) socket.send(Uint8Array.from(bytes));
    });
    const servers = [shut, readable, babble];
    let urls: string[] = [];

    beforeAll(async () => {
      await strict.start();
      urls = (await Promise.all(servers.map(listen))).map((port) => `http://127.0.0.1:${port}`);
    });
    afterAll(() => Promise.all([strict.stop(), ...servers.map(close)]));

    interface Case {
      readonly what: string;
      readonly endpoint: () => string;
      readonly stream?: string;
      readonly token?: string;
      readonly act?: (player: Player) => Promise<unknown>;
      /** Of its errors; a temporary one ends with `…`. */
      readonly errors: readonly string[];
      /** Connections at most until it gives up. */
      readonly connections?: number;
    }
    const CASES: readonly Case[] = [
      { what: 'text that is no endpoint', endpoint: () => 'http://', errors: ['invalid-options'] },
      { what: 'a path that is no region', endpoint: () => `${regions.url('us')}/not/here`, errors: ['not-found'], connections: 1 },
      // A page is not told why it may not read an answer, so that this may as well be the network.
      { what: 'a web server', endpoint: () => urls[0]!, errors: ['unreachable…'], connections: 12 },
      { what: 'a web server that any page may read', endpoint: () => urls[1]!, errors: ['unreachable…', 'not-found'], connections: 5 },
      { what: 'a server that speaks garbage', endpoint: () => urls[2]!, errors: ['not-found'], connections: 1 },
      // It was asked for anew once, and what waited is posted as it ends.
      { what: 'a bad token', endpoint: () => strict.url, token: 'e30.e30.e30', errors: ['unauthenticated'], connections: 4 },
      { what: 'an ended stream', endpoint: () => regions.url('us'), stream: 'over', errors: ['stream-ended'], connections: 1 },
      {
        what: 'an unknown emoji',
        endpoint: () => regions.url('us'),
        act: async ({ page, books }) => {
          await eventually(async () => (await books()).accepted, (accepted) => expect(accepted).toBe(1));
          expect(await page.evaluate(`[page.tap(1, 'nothing'), page.tap(1, 'nothing')]`)).toEqual([0, 0]);
        },
        errors: ['unknown-emoji'],
        connections: 1,
      },
    ];
    for (const { what, endpoint, stream = 'bad', token, act, errors, connections = 0 } of CASES) {
      it.concurrent(what, LONG, async () => {
        const text = endpoint();
        const link = connections > 0 ? await startViewerLink(text) : null;
        const path = link === null ? '' : new URL(text).pathname.replace(/\/$/, '');
        const player = await site.open(context, { endpoints: link === null ? text : `${link.url}${path}`, streamId: stream }, token);
        await player.tap(1);
        await act?.(player);
        const told = async (): Promise<string[]> => (await player.books()).errors.map(({ code, temporary }) => `${code}${temporary ? '…' : ''}`);
        await eventually(told, (codes) => expect(codes).toEqual(errors));
        await player.tap(1);
        expect(await told()).toEqual(errors);
        for (const error of (await player.books()).errors) expect(Object.keys(error)).toEqual(['code', 'message', 'temporary']);
        expect(link?.connections ?? 0).toBeLessThanOrEqual(connections);
        expect(player.complaints).toEqual([]);
        await link?.close();
      });
    }
  });
});
