import { gzipSync } from 'node:zlib';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { browserAvailable, openBrowser } from '../support/browser.ts';
import type { StubRegion } from './stub-region.ts';
import { bundlePage, startStubService, type PageBundle, type StubService } from './stub-service.ts';

const WAIT = { timeout: 60_000 };

describe.skipIf(!browserAvailable)('live page in Chromium', () => {
  let browser: Browser;
  let bundle: PageBundle;
  let service: StubService;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    [browser, bundle] = await Promise.all([openBrowser(), bundlePage()]);
  });

  afterAll(async () => {
    bundle.remove();
    await browser.close();
  });

  beforeEach(async () => {
    service = await startStubService(bundle);
    complaints = [];
    // Without a graphics card, motion costs these tests more than all they look at.
    page = await browser.newPage({ reducedMotion: 'reduce' });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(service.url);
    await expect.poll(() => page.locator('.player[data-state=live] .emoji').count(), WAIT).toBe(18);
  });

  afterEach(async () => {
    await page.close();
    await service.stop();
  });

  const player = (id: string): Locator => page.getByRole('region', { name: `Region ${id}` });
  const emoji = (id: string, name: string): Locator => player(id).getByRole('button', { name: new RegExp(`^${name},`) });
  const total = (id: string): Promise<string> => player(id).locator('.total').innerText();
  const notice = (id: string): Promise<string> => player(id).locator('.player-notice').innerText();
  const agreement = (): Promise<string> => page.locator('#agreement').innerText();
  const fact = (id: string, name: string): Promise<string> => player(id).locator('.fact', { hasText: name }).locator('dd').innerText();
  const link = (one: string, other: string): Locator => page.getByRole('button', { name: `The link between ${one} and ${other}` });
  const choose = (name: string): Promise<void> => page.getByRole('menuitemradio', { name }).click();
  const region = (id: string): StubRegion => service.regions.find((candidate) => candidate.id === id)!;

  it('[PAGE-4] a tap in one region moves all three, and its latency is shown', async () => {
    await emoji('us', 'heart').click();
    for (const id of ['us', 'eu', 'ap']) await expect.poll(() => total(id), WAIT).toBe('1');
    await expect.poll(() => fact('us', 'Tap → frame'), WAIT).toMatch(/^\d+ ms$/);
    await expect.poll(() => fact('us', 'Frames'), WAIT).toMatch(/^[1-9]\d?\.\d\/s$/);
    expect(await fact('us', 'Level')).toBe('exact');
    await expect.poll(() => page.locator('.beacon').allInnerTexts(), WAIT).toEqual(['us\n1', 'eu\n1', 'ap\n1']);
    await expect.poll(agreement, WAIT).toBe('All regions agree');
    await expect.poll(() => player('us').locator('.chip').allInnerTexts(), WAIT).toEqual(['eu: in step', 'ap: in step']);
    // Also the proof that nothing breaks the strict content security policy.
    expect(complaints).toEqual([]);
  });

  it('[PAGE-1] taps by pointer or keyboard show at once, and go to the region of their phone alone', async () => {
    expect(await page.evaluate<string>(`(document.querySelector('.emoji').click(), document.querySelector('.total').textContent)`)).toBe('1');
    await emoji('eu', 'fire').focus();
    for (let tap = 0; tap < 20; tap++) await page.keyboard.press(tap % 2 === 0 ? 'Enter' : ' ');
    await expect.poll(() => total('eu'), WAIT).toBe('21');
    const taps = ({ received }: StubRegion): number => received.flatMap(({ reactions }) => reactions).reduce((sum, { count }) => sum + count, 0);
    await expect.poll(() => service.regions.map(taps), WAIT).toEqual([1, 20, 0]);
  });

  it('[PAGE-3] says which taps do not count', async () => {
    await page.evaluate(`for (let tap = 0; tap < 300; tap++) document.querySelector('.emoji').click()`);
    await expect.poll(() => notice('us'), WAIT).toBe('Too fast, not counted');
    await expect.poll(async () => region('us').total('heart') - Number(await total('us')), WAIT).toBe(0);
    expect(region('us').total('heart')).toBeLessThan(300);
    region('eu').clamps = true;
    await emoji('eu', 'fire').click();
    await expect.poll(() => notice('eu'), WAIT).toBe('1 too fast, not counted');
    await expect.poll(() => emoji('eu', 'fire').locator('.count').innerText(), WAIT).toBe('0');
  });

  it('[PAGE-5] a link is cut and healed from its menu, and the page says who is behind and who disagrees', async () => {
    await link('us', 'eu').click();
    await choose('Cut');
    await expect.poll(() => link('us', 'eu').innerText(), WAIT).toContain('cut');
    expect(service.cuts).toEqual(new Set(['us eu']));
    expect(await page.locator('.arc[data-state=cut]').count()).toBe(1);
    await emoji('us', 'heart').click();
    await expect.poll(agreement, WAIT).toBe('Diverged: us = ap ≠ eu');
    await expect.poll(() => player('eu').locator('.chip').first().innerText(), WAIT).toMatch(/^us: \d+\.\d s behind$/);
    expect(await total('eu')).toBe('0');

    await link('us', 'eu').click();
    await choose('Heal');
    await expect.poll(agreement, WAIT).toBe('All regions agree');
    await expect.poll(() => total('eu'), WAIT).toBe('1');
    expect(await page.locator('.arc[data-state=up]').count()).toBe(3);
  });

  it('[PAGE-8] each region says what it lacks and whose books are its own, and the chart shows it', async () => {
    service.cuts.add('us eu');
    await emoji('us', 'heart').click();
    await emoji('us', 'fire').click();
    await expect.poll(() => fact('eu', 'Missing'), WAIT).toBe('2 of us');
    await expect.poll(() => fact('eu', 'Books'), WAIT).toBe('unlike others');
    expect(await fact('us', 'Books')).toBe('= ap');
    expect(await fact('ap', 'Missing')).toBe('nothing');
    await expect.poll(() => page.locator('.legend li').allInnerTexts(), WAIT).toEqual(['us 0', 'eu 2', 'ap 0']);
    const digest = (id: string): Promise<string> =>
      player(id).locator('.digest i').evaluateAll((colours) => colours.map((colour) => (colour as HTMLElement).style.background).join());
    await expect.poll(async () => (await digest('us')) === (await digest('ap')), WAIT).toBe(true);
    await expect.poll(async () => (await digest('us')) === (await digest('eu')), WAIT).toBe(false);
    service.cuts.clear();
    await expect.poll(() => fact('eu', 'Missing'), WAIT).toBe('nothing');
    await expect.poll(() => fact('eu', 'Books'), WAIT).toBe('= us, ap');
    // Hangs below the top by 2 of 100, and is back at the top.
    await expect.poll(() => page.locator('.gap-line').nth(1).getAttribute('d'), WAIT).toMatch(/ 1\.9L.*L240 0$/);
  });

  it('[PAGE-5] a link is delayed by keyboard alone, also one that is cut, and the menu gives the focus back', async () => {
    service.cuts.add('eu ap');
    await expect.poll(() => link('eu', 'ap').innerText(), WAIT).toContain('cut');
    await link('eu', 'ap').focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => page.evaluate<string>('document.activeElement.innerText'), WAIT).toContain('Cut');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await expect.poll(() => link('eu', 'ap').innerText(), WAIT).toContain('+150 ms');
    expect(service.cuts.size).toBe(0);
    expect(service.delays.get('eu ap')).toBe(150);
    expect(await page.evaluate<string>('document.activeElement.className')).toBe('link-button');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Escape');
    expect(await page.getByRole('menu').count()).toBe(0);
  });

  it('[PAGE-11] the slider moves the crowd, and shows what others do to it', async () => {
    const slider = page.getByRole('slider', { name: 'Crowd' });
    await slider.fill('100');
    await expect.poll(() => service.crowd, WAIT).toEqual([{ stream: 'demo', taps_per_second: 5000 }]);
    await expect.poll(() => page.locator('.crowd').innerText(), WAIT).toContain('625 viewers over all regions');
    await slider.press('Home');
    await expect.poll(() => service.crowd.at(-1), WAIT).toEqual({ stream: 'demo', taps_per_second: 0 });
    service.crowd.push({ stream: 'demo', taps_per_second: 5000 });
    await expect.poll(() => slider.inputValue(), WAIT).toBe('100');
  });

  it('[PAGE-11] recordings are replayed: the built-in one, and any CSV, also a packed one', async () => {
    const csv = 't_ms,viewer,emoji,count\n0,ann,heart,1\n';
    await page.getByRole('combobox', { name: 'Speed of the replay' }).selectOption('5');
    await page.getByRole('button', { name: 'Replay a final' }).click();
    await expect.poll(() => service.crowd.at(-1), WAIT).toEqual({ stream: 'demo', replay: { speed: 5 } });
    await expect.poll(() => page.locator('.crowd-who').innerText(), WAIT).toContain('a final at 5×: 0:30');
    expect(await page.locator('.crowd-rate').innerText()).toBe('a replay');
    await page.getByRole('button', { name: 'Stop the replay' }).click();
    await expect.poll(() => service.crowd.at(-1), WAIT).toEqual({ stream: 'demo', taps_per_second: 0 });
    await page.setInputFiles('#recording', { name: 'night.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) });
    await expect.poll(() => service.crowd.at(-1), WAIT).toEqual({ stream: 'demo', replay: { csv, name: 'night.csv', speed: 5 } });
    await page.setInputFiles('#recording', { name: 'night.csv.gz', mimeType: 'application/gzip', buffer: gzipSync(csv) });
    await expect.poll(() => service.crowd.at(-1), WAIT).toEqual({ stream: 'demo', replay: { csv, name: 'night.csv.gz', speed: 5 } });
  });

  it('[PAGE-10] every emoji has its last two minutes, from the history', async () => {
    const sparks = page.locator('.spark');
    await expect.poll(() => sparks.count(), WAIT).toBe(6);
    // The stub's hearts rise from 0 to 119.
    await expect.poll(() => sparks.first().locator('.spark-line').getAttribute('d'), WAIT).toMatch(/^M0 44L2 43\.8.*L240 17\.8$/);
    expect(await sparks.first().innerText()).toContain('118');
    expect(await sparks.nth(1).locator('.spark-line').getAttribute('d')).toBe('');
  });

  it('[PAGE-2] comes back after a loss and resends what was not answered, unchanged', async () => {
    const us = region('us');
    us.acknowledges = false;
    await emoji('us', 'heart').click();
    await expect.poll(() => us.received.length, WAIT).toBe(1);
    us.acknowledges = true;
    us.dropViewers(4503);
    await expect.poll(() => us.received.length, WAIT).toBe(2);
    expect(us.received[1]).toEqual(us.received[0]);
    expect(us.total('heart')).toBe(1);
    expect(service.regions.map(({ received }) => received.length)).toEqual([2, 0, 0]);
    // The pause may be over sooner than anybody looks.
    await page.evaluate(`{
      window.words = [];
      const word = document.querySelector('.connection');
      new MutationObserver(() => words.push(word.textContent)).observe(word, { childList: true, characterData: true, subtree: true });
    }`);
    us.dropViewers(1012);
    await expect.poll(() => page.evaluate<string[]>('words'), WAIT).toEqual(['reconnecting', 'live']);
    expect(us.received).toHaveLength(2);
  });

  it('[PAGE-2] does not come back after a permanent refusal, and the others go on', async () => {
    await expect.poll(() => player('ap').locator('.chip').allInnerTexts(), WAIT).toEqual(['us: in step', 'eu: in step']);
    region('ap').dropViewers(4401);
    await expect.poll(() => player('ap').getAttribute('data-state'), WAIT).toBe('refused');
    await expect.poll(() => player('ap').locator('.chip').allInnerTexts(), WAIT).toEqual(['us: unknown', 'eu: unknown']);
    // It stays, where other notices go.
    region('us').clamps = true;
    await emoji('us', 'wow').click();
    await expect.poll(() => notice('us'), WAIT).toBe('1 too fast, not counted');
    await page.evaluate(`{
      const now = performance.now.bind(performance);
      performance.now = () => now() + 60_000;
    }`);
    await expect.poll(() => notice('us'), WAIT).toBe('');
    expect(await notice('ap')).toBe('The connection was closed (4401)');
    region('us').clamps = false;
    // What was true before is not shown as if it still were.
    expect(await player('ap').locator('.phone-crowd').innerText()).toBe('–');
    expect(await fact('ap', 'Level')).toBe('–');
    expect(await page.locator('.beacon').evaluateAll((beacons) => beacons.map((beacon) => (beacon as HTMLElement).dataset['state']))).toEqual(['live', 'live', 'silent']);
    await emoji('us', 'wow').click();
    await expect.poll(() => total('eu'), WAIT).toBe('1');
    expect(await player('ap').getAttribute('data-state')).toBe('refused');
  });

  it('[PAGE-6] own emoji and those of the crowd fly, but not for viewers who asked for reduced motion', async () => {
    const painted = (): Promise<boolean[]> =>
      page.evaluate<boolean[]>(`[...document.querySelectorAll('canvas')].map((canvas) => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.some((value) => value > 0);
      })`);
    await page.evaluate(`{
      const draw = window.requestAnimationFrame;
      window.drawn = 0;
      window.requestAnimationFrame = (call) => (window.drawn++, draw(call));
    }`);
    await emoji('us', 'heart').click();
    await expect.poll(() => total('eu'), WAIT).toBe('1');
    expect(await page.evaluate<number>('window.drawn')).toBe(0);
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    // One's own flies by itself, also one that never counts; the crowd's because a frame says so.
    region('us').clamps = true;
    await emoji('us', 'heart').click();
    await expect.poll(painted, WAIT).toEqual([true, false, false]);
    await emoji('eu', 'fire').click();
    await expect.poll(painted, WAIT).toEqual([expect.any(Boolean), true, true]);
  });

  it('[PAGE-13] the console of each region is one link away, on the stream of the page', async () => {
    const stream = await page.locator('#stream').innerText();
    for (const { id, api } of service.regions) {
      const console = player(id).getByRole('link', { name: `Moderate in ${id}` });
      expect(await console.getAttribute('href')).toBe(`${api}/console/#stream=${stream}`);
    }
  });

  it('[PAGE-7] fits a phone without scrolling sideways, with controls large enough for thumbs', async () => {
    for (const width of [390, 820, 1280]) {
      await page.setViewportSize({ width, height: 844 });
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(width);
    }
    await page.setViewportSize({ width: 390, height: 844 });
    await link('us', 'ap').click();
    // A file is chosen by its label.
    const seen = page.locator(':not([type=file])');
    for (const controls of [...(['button', 'link', 'menuitemradio', 'slider', 'combobox'] as const).map((role) => page.getByRole(role).and(seen)), page.locator('label.action')]) {
      for (const control of await controls.all()) {
        const box = await control.boundingBox();
        expect(Math.min(box!.height, box!.width)).toBeGreaterThanOrEqual(44);
      }
    }
  });
});
