import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { browserAvailable, openBrowser } from '../support/browser.ts';
import type { StubRegion } from './stub-region.ts';
import { startStubService, type StubService } from './stub-service.ts';

const WAIT = { timeout: 15_000 };

describe.skipIf(!browserAvailable)('live page in Chromium', () => {
  let browser: Browser;
  let service: StubService;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await openBrowser();
  });

  afterAll(() => browser.close());

  beforeEach(async () => {
    service = await startStubService();
    complaints = [];
    page = await browser.newPage();
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
  const agreement = (): Promise<string> => page.locator('#agreement').innerText();
  const region = (id: string): StubRegion => service.regions.find((candidate) => candidate.id === id)!;

  it('[PAGE-4] a tap in one region moves all three, and its latency is shown', async () => {
    await emoji('us', 'heart').click();
    for (const id of ['us', 'eu', 'ap']) await expect.poll(() => total(id), WAIT).toBe('1');
    await expect.poll(() => player('us').locator('.latency').innerText(), WAIT).toMatch(/tap → frame \d+ ms/);
    await expect.poll(agreement, WAIT).toBe('All regions agree');
    await expect.poll(() => player('us').locator('.chip').allInnerTexts(), WAIT).toEqual(['eu: in step', 'ap: in step']);
    // Also the proof that nothing breaks the strict content security policy.
    expect(complaints).toEqual([]);
  });

  it('[PAGE-1] taps by keyboard, and batches quick taps', async () => {
    await emoji('eu', 'fire').focus();
    for (let tap = 0; tap < 20; tap++) await page.keyboard.press(tap % 2 === 0 ? 'Enter' : ' ');
    await expect.poll(() => total('eu'), WAIT).toBe('20');
    const { received } = region('eu');
    expect(received.map((batch) => batch.seq)).toEqual(received.map((_, index) => index + 1));
    for (const [index, { timestamp }] of received.slice(1).entries()) {
      expect(timestamp - received[index]!.timestamp).toBeGreaterThanOrEqual(240);
    }
  });

  it('[PAGE-5] a link is cut and healed by its button, and the page says who disagrees', async () => {
    const link = page.getByRole('button', { name: /link between us and eu/ });
    await link.click();
    await expect.poll(() => link.innerText(), WAIT).toContain('cut');
    expect(service.cuts).toEqual(new Set(['us eu']));
    expect(await link.getAttribute('aria-pressed')).toBe('true');
    await emoji('us', 'heart').click();
    await expect.poll(agreement, WAIT).toBe('Diverged: us = ap ≠ eu');
    await expect.poll(() => player('eu').locator('.chip').first().innerText(), WAIT).toMatch(/^us: \d+\.\d s behind$/);
    expect(await total('eu')).toBe('0');

    await link.click();
    await expect.poll(agreement, WAIT).toBe('All regions agree');
    await expect.poll(() => total('eu'), WAIT).toBe('1');
    expect(await link.getAttribute('aria-pressed')).toBe('false');
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
    us.dropViewers(1012);
    await expect.poll(() => player('us').locator('.connection').innerText(), WAIT).toBe('reconnecting');
    await expect.poll(() => player('us').locator('.connection').innerText(), WAIT).toBe('live');
    expect(us.received).toHaveLength(2);
  });

  it('[PAGE-2] does not come back after a permanent refusal, and the others go on', async () => {
    await expect.poll(() => player('ap').locator('.chip').allInnerTexts(), WAIT).toEqual(['us: in step', 'eu: in step']);
    region('ap').dropViewers(4401);
    await expect.poll(() => player('ap').getAttribute('data-state'), WAIT).toBe('refused');
    await expect.poll(() => player('ap').locator('.chip').allInnerTexts(), WAIT).toEqual(['us: unknown', 'eu: unknown']);
    await emoji('us', 'wow').click();
    await expect.poll(() => total('eu'), WAIT).toBe('1');
    expect(await player('ap').getAttribute('data-state')).toBe('refused');
  });

  it('[PAGE-6] emoji fly, but not for viewers who asked for reduced motion', async () => {
    const painted = (): Promise<boolean> =>
      page.evaluate<boolean>(`(() => {
        const canvas = document.querySelector('canvas');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.some((value) => value > 0);
      })()`);
    await page.evaluate(`{
      const draw = window.requestAnimationFrame;
      window.drawn = 0;
      window.requestAnimationFrame = (call) => (window.drawn++, draw(call));
    }`);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await emoji('us', 'heart').click();
    await expect.poll(() => total('us'), WAIT).toBe('1');
    expect(await page.evaluate<number>('window.drawn')).toBe(0);
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    await emoji('us', 'heart').click();
    await expect.poll(painted, WAIT).toBe(true);
    await expect.poll(painted, WAIT).toBe(false);
  });

  it('[PAGE-7] fits a phone without scrolling sideways, with buttons large enough for thumbs', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(390);
    for (const button of await page.getByRole('button').all()) {
      const box = await button.boundingBox();
      expect(Math.min(box!.height, box!.width)).toBeGreaterThanOrEqual(44);
    }
  });
});
