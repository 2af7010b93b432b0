import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startCountingRegions, type CountingRegion } from '../cli/counting-region.ts';
import { browserAvailable, openBrowser } from '../support/browser.ts';
import { startOverlayPage, type OverlayPage } from './overlay-page.ts';

const WAIT = { timeout: 60_000 };

interface Stats {
  readonly animationFrames: number;
  readonly spawned: number;
  readonly particles: number;
  readonly running: boolean;
}

/** A frame as the SDK hands it on, written as code that runs in the page. */
function frameOf(rates: Record<string, number>, level = 'exact', hints = rates, more = {}): string {
  return `puppets.at(-1).emit('frame', ${JSON.stringify({
    region: 'us',
    at: 0,
    level,
    totals: {},
    rates,
    hints,
    viewers: 9,
    staleness: {},
    ...more,
  })})`;
}

describe.skipIf(!browserAvailable)('<live-reactions> in Chromium', () => {
  let browser: Browser;
  let served: OverlayPage;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    [browser, served] = await Promise.all([openBrowser(), startOverlayPage()]);
  });

  afterAll(async () => {
    await browser.close();
    await served.stop();
  });

  async function open(options: BrowserContextOptions = {}): Promise<void> {
    page = await browser.newPage({ viewport: { width: 820, height: 520 }, ...options });
    complaints.length = 0;
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    // Counts what an element may leave behind: animation frames, timers, and listeners outside of it.
    await page.addInitScript(`
      globalThis.pending = new Set();
      const ask = requestAnimationFrame, cancel = cancelAnimationFrame;
      globalThis.requestAnimationFrame = (call) => {
        const id = ask((now) => { pending.delete(id); call(now); });
        pending.add(id);
        return id;
      };
      globalThis.cancelAnimationFrame = (id) => { pending.delete(id); cancel(id); };
      globalThis.listening = 0;
      for (const target of [document, window, MediaQueryList.prototype]) {
        const add = target.addEventListener;
        target.addEventListener = function (name, call, options) {
          globalThis.listening++;
          options?.signal?.addEventListener('abort', () => globalThis.listening--);
          return add.call(this, name, call, options);
        };
      }
      globalThis.timers = 0;
      for (const name of ['setTimeout', 'setInterval']) {
        const original = globalThis[name];
        globalThis[name] = (...rest) => { globalThis.timers++; return original(...rest); };
      }
    `);
    await page.goto(served.url);
    await expect.poll(() => page.evaluate('puppets.length'), WAIT).toBe(1);
    await page.evaluate(`puppets[0].emit('state', 'connected')`);
  }

  afterEach(() => page.close());

  const stats = (): Promise<Stats> => page.evaluate<Stats>(`({ ...document.querySelector('live-reactions').stats })`);
  /** Pixels of the canvas that something is drawn on: all, red ones, and others. */
  const painted = (): Promise<{ drawn: number; red: number }> =>
    page.evaluate(`(() => {
      const canvas = document.querySelector('live-reactions').shadowRoot.querySelector('canvas');
      const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      let drawn = 0, red = 0;
      for (let at = 0; at < pixels.length; at += 4) {
        if (pixels[at + 3] < 128) continue;
        drawn++;
        if (pixels[at] > 150 && pixels[at + 1] < 110 && pixels[at + 2] < 130) red++;
      }
      return { drawn, red };
    })()`);
  /** Has the crowd's frame come four times a second. */
  const play = (frame: string): Promise<unknown> =>
    page.evaluate(`clearInterval(globalThis.playing); globalThis.playing = setInterval(() => { ${frame} }, 250); ${frame}`);

  it('[OVL-11] keeps to a strict content security policy, and hands attributes and token on', async () => {
    await open();
    await play(frameOf({ heart: 40, fire: 12 }));
    await expect.poll(async () => (await painted()).drawn, WAIT).toBeGreaterThan(100);
    expect(await page.evaluate(`(() => {
      const { endpoints, streamId, watchOnly } = puppets[0].options;
      return [endpoints, streamId, watchOnly, 'getToken' in puppets[0].options];
    })()`)).toEqual([['https://us.test', 'https://eu.test'], 'derby', false, false]);

    await page.evaluate(`{
      const element = document.querySelector('live-reactions');
      element.stream = 'other';
      element.token = () => 'a token';
      element.watchOnly = true;
      element.viewer = 'ann';
    }`);
    await expect.poll(() => page.evaluate('puppets.length'), WAIT).toBe(2);
    expect(await page.evaluate(`(() => {
      const { options: { streamId, watchOnly, viewerId, getToken } } = puppets[1];
      const element = document.querySelector('live-reactions');
      return [puppets[0].closed, streamId, watchOnly, viewerId, getToken(), element.getAttribute('stream'), element.outerHTML.includes('a token')];
    })()`)).toEqual([true, 'other', true, 'ann', 'a token', 'other', false]);
    expect(complaints).toEqual([]);
  });

  it('[OVL-12] its buttons are reached and pressed by keyboard, named in words, and 44 pixels or more', async () => {
    await open();
    const buttons = page.getByRole('group', { name: 'Reactions' }).getByRole('button');
    await expect.poll(() => buttons.count(), WAIT).toBe(6);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press(' ');
    expect(await page.evaluate('puppets[0].taps')).toEqual([['heart', 1], ['fire', 1]]);
    expect((await stats()).spawned).toBe(2);
    const names = await buttons.evaluateAll((all) => all.map((button) => button.getAttribute('aria-label')));
    expect(names).toEqual(['heart', 'fire', 'clap', 'laugh', 'wow', 'sad'].map((emoji) => `React with ${emoji}`));
    for (const button of await buttons.all()) {
      const { width, height } = (await button.boundingBox())!;
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(44);
    }

    // Totals and another palette change neither names nor focus; the total is said to who is at the buttons.
    await page.evaluate(`puppets[0].emit('totals', { heart: 12345, fire: 7 })`);
    await page.evaluate(frameOf({ heart: 1 }));
    expect(await buttons.first().innerText()).toContain('12.3K');
    expect(await page.getByRole('status').textContent()).toBe('12,352 reactions');
    await page.evaluate(`document.querySelector('live-reactions').palette = 'fire wow nothing'`);
    expect(await buttons.count()).toBe(2);
    expect(await page.evaluate(`document.querySelector('live-reactions').shadowRoot.activeElement.getAttribute('aria-label')`)).toBe('React with fire');
    await page.evaluate(`document.querySelector('live-reactions').controls = false`);
    expect(await buttons.count()).toBe(0);

    // What every object inherits is no total, no rate and no glyph.
    await page.evaluate(`Object.assign(document.querySelector('live-reactions'), { palette: '', controls: true });
      puppets[0].palette = { constructor: '🔧', heart: '❤️' };
      puppets[0].emit('totals', { heart: 3 })`);
    await expect.poll(() => buttons.allInnerTexts().then((texts) => texts.map((text) => text.replace(/\s/g, ''))), WAIT).toEqual(['🔧0', '❤️3']);
  });

  it('[OVL-13] with reduced motion nothing flies, and a calm counter tells the total', async () => {
    await open({ reducedMotion: 'reduce' });
    await page.evaluate(`puppets[0].emit('totals', { heart: 41, fire: 7 })`);
    await page.evaluate(frameOf({ heart: 400, fire: 900 }));
    await page.getByRole('button', { name: 'React with clap' }).click();
    const calm = page.locator('live-reactions .calm');
    await expect.poll(() => calm.innerText(), WAIT).toMatch(/🔥\s*48\s*1,300 a second/);
    expect(await calm.isVisible()).toBe(true);
    expect(await stats()).toMatchObject({ spawned: 0, animationFrames: 0, running: false });

    await page.emulateMedia({ reducedMotion: 'no-preference' });
    await play(frameOf({ heart: 40 }));
    await expect.poll(async () => (await stats()).particles, WAIT).toBeGreaterThan(3);
    expect(await calm.isVisible()).toBe(false);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await expect.poll(stats, WAIT).toMatchObject({ particles: 0, running: false });
  });

  it('[OVL-19] what was taken back brings no particle, and the lower total stands at once', async () => {
    await open();
    await page.evaluate(`puppets[0].emit('totals', { heart: 500 })`);
    await page.evaluate(frameOf({ heart: 4 }));
    await expect.poll(stats, WAIT).toMatchObject({ running: false });
    const { spawned } = await stats();
    await page.evaluate(`puppets[0].emit('totals', { heart: 100 })`);
    await page.evaluate(frameOf({}, 'exact', {}, { corrected: 400 }));
    await page.evaluate(`puppets[0].emit('discontinuity', { reason: 'corrected', taps: 400 })`);
    expect(await page.locator('live-reactions .count').first().innerText()).toBe('100');
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await expect.poll(() => page.locator('live-reactions .calm').innerText(), WAIT).toMatch(/100$/);
    expect(await stats()).toMatchObject({ spawned, running: false });
  });

  it('[OVL-14] a removed element leaves no connection, animation frame, timer or listener, and a moved one keeps all', async () => {
    await open();
    await play(frameOf({ heart: 400 }));
    await expect.poll(async () => (await stats()).particles, WAIT).toBeGreaterThan(3);
    await page.evaluate(`clearInterval(globalThis.playing)`);
    await page.evaluate(`{
      globalThis.kept = document.querySelector('live-reactions');
      document.body.append(kept);
    }`);
    expect(await page.evaluate('[puppets.length, puppets[0].closed, kept.stats.particles > 0]')).toEqual([1, false, true]);

    await page.evaluate('kept.remove()');
    expect(await page.evaluate('[puppets[0].closed, pending.size, listening, kept.stats ?? null, kept.state]')).toEqual([true, 0, 0, null, 'disconnected']);
    // One timer was made, by this test.
    expect(await page.evaluate('timers')).toBe(1);
    await page.evaluate(frameOf({ heart: 1e6 }));
    expect(await page.evaluate('pending.size')).toBe(0);

    await page.evaluate('document.body.append(kept)');
    await expect.poll(() => page.evaluate('puppets.length'), WAIT).toBe(2);
    await play(frameOf({ heart: 400 }));
    await expect.poll(async () => (await stats()).particles, WAIT).toBeGreaterThan(3);
    expect(complaints).toEqual([]);
  });

  it('[OVL-15] draws while something flies and somebody can see it, and not otherwise', async () => {
    await open();
    expect(await stats()).toMatchObject({ running: false, animationFrames: 0 });
    await page.evaluate(frameOf({ heart: 2 }));
    await expect.poll(stats, WAIT).toMatchObject({ running: true });
    await expect.poll(stats, WAIT).toMatchObject({ running: false, particles: 0 });
    expect((await painted()).drawn).toBe(0);

    await play(frameOf({ heart: 400 }));
    await expect.poll(async () => (await stats()).particles, WAIT).toBeGreaterThan(3);
    await page.evaluate(`document.querySelector('main').classList.add('away')`);
    await expect.poll(stats, WAIT).toMatchObject({ running: false });
    const { spawned, animationFrames } = await stats();
    await page.evaluate(`new Promise((resolve) => { ${frameOf({ heart: 400 })}; requestAnimationFrame(() => requestAnimationFrame(resolve)); })`);
    expect(await stats()).toMatchObject({ spawned, animationFrames });
    await page.evaluate(`document.querySelector('main').classList.remove('away')`);
    await expect.poll(async () => (await stats()).animationFrames, WAIT).toBeGreaterThan(animationFrames);
  });

  it('[OVL-8] [OVL-9] draws both folded levels in hearts alone, the last one without further frames', async () => {
    await open();
    await play(frameOf({ fire: 300, clap: 200 }, 'hearts'));
    await expect.poll(async () => (await stats()).particles, WAIT).toBeGreaterThan(20);
    const hearts = await painted();
    expect(hearts.red / hearts.drawn).toBeGreaterThan(0.75);
    await page.evaluate(`clearInterval(globalThis.playing); ${frameOf({ fire: 300 }, 'static')}`);
    await expect.poll(async () => (await stats()).particles, WAIT).toBeLessThan(10);
    const { spawned } = await stats();
    await expect.poll(async () => (await stats()).spawned, WAIT).toBeGreaterThan(spawned + 1);
    const still = await painted();
    expect(still.red / still.drawn).toBeGreaterThan(0.75);
    await page.evaluate(`puppets[0].emit('state', 'disconnected')`);
    expect(await stats()).toMatchObject({ running: false, particles: 0 });
  });

  it('[OVL-16] an animation frame with all 300 particles costs 4 ms at most, and the canvas fits the screen', async () => {
    await open({ deviceScaleFactor: 2 });
    await play(frameOf({ heart: 4e5, fire: 3e5, clap: 2e5, laugh: 1e5 }));
    // Own taps fill what the plan leaves free: the cap is the worst case.
    const costs = await page.evaluate<number[]>(`new Promise((resolve) => {
      const element = document.querySelector('live-reactions');
      const costs = [];
      let seen = 0;
      const look = () => {
        const { particles, drawMs, animationFrames } = element.stats;
        if (particles < 300) element.tap('heart', 20, Math.random());
        else if (animationFrames > seen) costs.push(drawMs);
        seen = animationFrames;
        if (costs.length < 120) requestAnimationFrame(look);
        else resolve(costs);
      };
      look();
    })`);
    costs.sort((one, other) => one - other);
    console.info(`a frame of 300 particles: median ${costs[60]!.toFixed(2)} ms, p95 ${costs[114]!.toFixed(2)} ms`);
    // The machine that tests may be shared; the median is not moved by what else runs.
    expect(costs[60]!).toBeLessThan(4);
    const { particles, spawned, animationFrames } = await stats();
    expect(particles).toBeLessThanOrEqual(300);
    expect(spawned).toBeGreaterThan(300);
    expect(animationFrames).toBeGreaterThan(120);

    const size = (): Promise<number[]> =>
      page.evaluate(`(() => {
        const canvas = document.querySelector('live-reactions').shadowRoot.querySelector('canvas');
        return [canvas.width, canvas.height, canvas.clientWidth, canvas.clientHeight];
      })()`);
    expect((await size()).slice(0, 2)).toEqual((await size()).slice(2).map((side) => side * 2));
    await page.setViewportSize({ width: 600, height: 400 });
    // 16:9 of the width.
    await expect.poll(size, WAIT).toEqual([1200, 676, 600, 338]);
  });

  it('[OVL-17] tells the page frames, states and errors by events that cross shadow roots', async () => {
    await open();
    await page.evaluate(`{
      globalThis.heard = [];
      for (const name of ['frame', 'state', 'error']) {
        document.addEventListener(name, (event) => heard.push(['document', name]));
        document.querySelector('live-reactions').addEventListener(name, (event) => heard.push([name, event.detail.code ?? event.detail.level ?? event.detail, event.composed]));
      }
      window.onerror = () => heard.push('window.onerror');
      puppets[0].emit('state', 'connecting');
      ${frameOf({ heart: 1 })};
      puppets[0].emit('error', { code: 'forbidden', message: 'no', temporary: false });
    }`);
    expect(await page.evaluate('heard')).toEqual([
      ['state', 'connecting', true],
      ['document', 'state'],
      ['frame', 'exact', true],
      ['document', 'frame'],
      ['error', 'forbidden', true],
    ]);
  });

  it('[OVL-18] taps are counted by a real region and come back, and the socket ends with the element', async () => {
    const [region] = (await startCountingRegions('us')) as [CountingRegion];
    const live = await startOverlayPage([region.url]);
    onTestFinished(async () => {
      await live.stop();
      await region.stop();
    });
    page = await browser.newPage();
    complaints.length = 0;
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    const opened = page.waitForEvent('websocket');
    await page.goto(live.url);
    const heart = page.getByRole('button', { name: 'React with heart' });
    for (let tap = 0; tap < 3; tap++) await heart.click();
    await expect.poll(() => region.totalsOf('derby').get('heart'), WAIT).toBe(3);
    await expect.poll(() => heart.innerText(), WAIT).toMatch(/3$/);
    expect((await stats()).spawned).toBe(3);
    // What others tapped comes with the frames.
    region.totalsOf('derby').set('fire', 2);
    await expect.poll(() => page.getByRole('button', { name: 'React with fire' }).innerText(), WAIT).toMatch(/2$/);
    const socket = await opened;
    const closed = socket.waitForEvent('close');
    await page.evaluate(`document.querySelector('live-reactions').remove()`);
    await closed;
    expect(complaints).toEqual([]);
  });
});
