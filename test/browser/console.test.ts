/** The moderators' console in Chromium, against two whole regions with a link that can be cut. */

import { build } from 'esbuild';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { browserAvailable, openBrowser } from '../support/browser.ts';
import { revoke } from '../../src/moderation/policy-doc.ts';
import { connectModerator } from '../edge/moderators.ts';
import { openConsole, startConsoleWorld, type ConsoleWorld, type RegionName } from './console-world.ts';

const WAIT = { timeout: 60_000 };
const HOSTILE = '<img/src=x/onerror=alert(1)>';

describe.skipIf(!browserAvailable)('console in Chromium', () => {
  let browser: Browser;
  let world: ConsoleWorld;
  let script: string;
  const pages: Page[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    const [bundle, started, opened] = await Promise.all([
      build({ entryPoints: ['src/web/console/console.ts'], bundle: true, format: 'esm', write: false, logLevel: 'silent' }),
      startConsoleWorld(),
      openBrowser(),
    ]);
    [script, world, browser] = [bundle.outputFiles[0]!.text, started, opened];
  });
  afterAll(async () => {
    await browser?.close();
    await world?.stop();
  });
  afterEach(async () => {
    world.heal();
    for (const page of pages.splice(0)) await page.context().close();
    // Also the proof that nothing breaks the strict content security policy.
    expect(complaints.splice(0)).toEqual([]);
  });

  async function moderator(region: RegionName, stream: string, claims: object | null = {}, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const page = await openConsole(browser, world, region, claims === null ? null : await world.token(claims), stream, script, options);
    pages.push(page);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // A region that is away, and a token that is refused, are told by the browser too.
      if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) complaints.push(message.text());
    });
    return page;
  }

  const sync = (page: Page): Promise<string> => page.locator('#sync').innerText();
  const inStep = (page: Page): Promise<void> => expect.poll(() => sync(page), WAIT).toBe('In step with the region');
  const card = (page: Page, title: string): Locator => page.getByRole('region', { name: title, exact: true });
  const banner = (page: Page): Promise<string> => page.locator('#banner').innerText();
  const focused = (page: Page): Promise<string> => page.evaluate<string>('document.activeElement.getAttribute("aria-label") ?? document.activeElement.innerText');

  it('[CONS-20] a token is asked for, kept out of the address, and a viewer’s is refused with the reason', async () => {
    const page = await moderator('us', 'derby', { role: 'viewer' });
    await expect.poll(() => page.getByRole('alert').innerText(), WAIT).toContain('role');
    await page.getByLabel('Token').fill('no token at all');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.getByRole('alert').innerText(), WAIT).toContain('That is no token');
    await page.getByLabel('Token').fill(await world.token({}));
    await page.keyboard.press('Enter');
    await inStep(page);
    expect(page.url()).toMatch(/\/console\/#stream=derby$/);
    await page.reload();
    await inStep(page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect.poll(() => page.getByLabel('Token').count(), WAIT).toBe(1);
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });

  it('[CONS-20] a token that is revoked is asked for again, and what was decided meanwhile goes with the next', async () => {
    const now = Math.floor(Date.now() / 1000);
    const page = await moderator('us', '', { sub: 'eve', streams: ['derby'], iat: now - 60 });
    await inStep(page);
    // Who may moderate one stream begins there.
    expect(page.url()).toMatch(/#stream=derby$/);
    world.unplug('us');
    await expect.poll(() => sync(page), WAIT).toBe('Offline');
    await page.getByLabel('In a burst, per viewer').fill('33');
    await page.keyboard.press('Tab');
    const admin = connectModerator(world.ws('us'), 'global', await world.token({ role: 'admin' }));
    await admin.synced();
    revoke(admin.doc, 'eve', (now - 30) * 1000, { by: 'mo', at: now * 1000 });
    world.plug('us');
    await expect.poll(() => page.getByRole('alert').filter({ visible: true }).innerText(), WAIT).toContain('revoked');
    admin.stop();
    await page.getByLabel('Token').fill(await world.token({ sub: 'eve', streams: ['derby'] }));
    await page.keyboard.press('Enter');
    await inStep(page);
    await expect.poll(() => card(page, 'Who changed what').innerText(), WAIT).toContain('eve limit per viewer: in a burst 33');
  });

  it('[CONS-21] mutes, takes back and unmutes by keyboard alone, in force in both regions, told in the history', async () => {
    expect(await world.tap('us', 'finals', 'bot', 5)).toMatchObject({ body: { accepted: 5 } });
    expect(await world.tap('eu', 'finals', 'bot', 4)).toMatchObject({ body: { accepted: 4 } });
    const page = await moderator('us', 'finals');
    await inStep(page);
    await expect.poll(() => page.locator('.facts').innerText(), WAIT).toContain('9 in all');

    await card(page, 'Muted').getByRole('button', { name: 'Mute somebody' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    expect(await page.getByRole('dialog').count()).toBe(0);
    expect(await focused(page)).toBe('Mute somebody…');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.type('bot');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.type('a bot');
    await page.keyboard.press('Tab');
    await page.keyboard.type('15');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('dialog').count()).toBe(0);

    const row = card(page, 'Muted').getByRole('listitem');
    await expect.poll(() => row.innerText(), WAIT).toMatch(/viewer bot\s*muted/);
    await inStep(page);
    for (const region of ['us', 'eu'] as const) {
      await expect.poll(() => world.total(region, 'finals'), WAIT).toBe(0);
      expect(await world.tap(region, 'finals', 'bot', 2)).toMatchObject({ body: { accepted: 0, clamped: 2 } });
    }
    await expect.poll(() => card(page, 'Who changed what').innerText(), WAIT).toMatch(/mo muted viewer bot until .*: a bot/);

    await row.getByRole('button', { name: 'Unmute viewer bot' }).focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => row.innerText(), WAIT).toMatch(/viewer bot\s*unmuted/);
    // The button is gone, and the focus is not lost with it.
    expect(await focused(page)).toBe('Mute somebody…');
    await expect.poll(async () => (await world.tap('eu', 'finals', 'bot', 2)).body.accepted, WAIT).toBe(2);
    expect(await page.locator('#said').innerText()).toBe('Unmuted viewer bot');
  });

  it('[CONS-22] two moderators on both sides of a cut decide on, are told so, and end up with the same', async () => {
    const [ada, bob] = await Promise.all([moderator('us', 'cup', { sub: 'ada' }), moderator('eu', 'cup', { sub: 'bob' })]);
    await Promise.all([inStep(ada), inStep(bob)]);
    world.cut();
    const add = async (page: Page, id: string, glyph: string): Promise<void> => {
      await page.getByLabel('New emoji: id').fill(id);
      await page.getByLabel('Glyph', { exact: true }).fill(glyph);
      await page.keyboard.press('Enter');
      await expect.poll(() => page.getByLabel(`Glyph of ${id}`).inputValue(), WAIT).toBe(glyph);
      await inStep(page);
    };
    await add(ada, 'star', '⭐');
    await add(bob, 'moon', '🌙');
    await bob.getByRole('button', { name: 'Move heart down' }).click();
    await expect.poll(() => banner(ada), WAIT).toMatch(/^us is cut off from eu for \d+ s: your changes hold here and merge later\.$/);
    await expect.poll(() => banner(bob), WAIT).toMatch(/^eu is cut off from us/);
    expect(await ada.evaluate(FAINT_TEXTS)).toEqual([]);
    expect(await ada.getByLabel('Glyph of moon').count()).toBe(0);
    world.heal();
    await expect.poll(() => ada.locator('#banner').isHidden(), WAIT).toBe(true);
    const order = (page: Page): Promise<string[]> => card(page, 'Emoji').locator('label.name').allInnerTexts();
    await expect.poll(() => order(ada), WAIT).toContain('moon');
    await expect.poll(() => order(bob), WAIT).toContain('star');
    await expect.poll(async () => (await order(ada)).join() === (await order(bob)).join(), WAIT).toBe(true);
    expect((await order(ada)).slice(0, 2)).toEqual(['fire', 'heart']);
  });

  it('[CONS-23] away from its region it keeps what is decided, says so, and sends it when the region is back', async () => {
    const page = await moderator('us', 'relay');
    await inStep(page);
    world.unplug('us');
    await expect.poll(() => sync(page), WAIT).toBe('Offline');
    await page.getByLabel('Taps a second, per viewer').fill('7');
    await page.keyboard.press('Tab');
    await page.getByLabel('Taps a second, per device').fill('-1');
    await page.keyboard.press('Tab');
    await expect.poll(() => card(page, 'Limits').getByRole('alert').innerText(), WAIT).toBe('Taps a second, per device: a number above 0.');
    await expect.poll(() => sync(page), WAIT).toBe('Offline, 1 change not sent');
    await expect.poll(() => banner(page), WAIT).toMatch(/^This console is offline: .*kept on this page and sent later; leave it open\.$/);
    world.plug('us');
    await inStep(page);
    await expect.poll(() => card(page, 'Who changed what').innerText(), WAIT).toContain('limit per viewer: taps a second 7');
    await expect.poll(() => page.locator('#banner').isHidden(), WAIT).toBe(true);
  });

  it('[CONS-24] what viewers and moderators call themselves is text, wherever it is shown', async () => {
    const page = await moderator('us', 'gala', { sub: 'mo<b>' });
    await page.route('**/flagged', (route) =>
      route.fulfill({
        json: {
          cell_ms: 6000,
          interval_classes_ms: [20, 40],
          viewers: [{ viewer_id: HOSTILE, device_id: HOSTILE, standing: 'shadow', score: 110, reasons: ['cadence', '<b>x</b>'], since: Date.now() - 120_000, samples: 3, taps_per_second: 9.8, shadowed_taps: 412, cells: [0, 60, 60], intervals: [0, 120, 3] }],
        },
      }),
    );
    await inStep(page);
    const suspect = card(page, 'Suspected').getByRole('listitem');
    await expect.poll(() => suspect.innerText(), WAIT).toContain(HOSTILE);
    expect(await suspect.innerText()).toMatch(/not counted\s*even pauses, <b>x<\/b> · score 110 · 9.8\/s · for 2 min · 412 taps not counted/);
    expect(await suspect.getByRole('img').evaluateAll((charts) => charts.map((chart) => chart.getAttribute('aria-label')))).toEqual([
      'Taps in each 6 s: 0, 60, 60',
      'Pauses between batches: 120 up to 40 ms, 3 up to longer',
    ]);
    await suspect.getByRole('button', { name: 'Mute the device of' }).click();
    expect(await page.getByRole('dialog').getByLabel('Why').inputValue()).toBe('even pauses, <b>x</b>');
    await page.getByRole('dialog').getByRole('button', { name: 'Mute' }).click();
    await page.getByLabel('Glyph of heart').fill('<i>♥</i>');
    await page.keyboard.press('Tab');
    await inStep(page);
    await expect.poll(() => card(page, 'Muted').innerText(), WAIT).toContain(`device ${HOSTILE}`);
    const changes = card(page, 'Who changed what');
    await expect.poll(() => changes.innerText(), WAIT).toContain('mo<b> emoji heart: glyph <i>♥</i>');
    expect(await changes.innerText()).toContain(`muted device ${HOSTILE}`);
    expect(await page.locator('main :is(img, i, b b, script)').count()).toBe(0);
  });

  it('[CONS-25] a stream is ended by typing its name, drained before, and held at a level', async () => {
    expect((await world.tap('us', 'race', 'ann')).status).toBe(202);
    const page = await moderator('us', 'race');
    await inStep(page);
    await expect.poll(() => page.locator('.facts').innerText(), WAIT).toMatch(/^live · .* 1 in all/);
    await page.getByRole('button', { name: 'Let nobody new in' }).click();
    await expect.poll(() => page.getByRole('button', { name: 'Let new viewers in' }).count(), WAIT).toBe(1);
    await page.getByLabel('Level').selectOption('hearts');
    await expect.poll(() => page.locator('.facts').innerText(), WAIT).toMatch(/^draining/);
    await page.getByRole('button', { name: 'End the stream' }).click();
    await page.getByLabel('Type race to confirm').fill('rac');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('dialog').getByRole('alert').innerText()).toBe('That is not race.');
    await page.getByLabel('Type race to confirm').fill('race');
    await page.keyboard.press('Enter');
    await expect.poll(() => card(page, 'Stream').innerText(), WAIT).toContain('It has ended');
    // The head of the panel does not wait for the region to say so.
    expect(await page.locator('.facts').innerText()).toMatch(/^ended/);
    expect(await page.getByRole('button', { name: 'End the stream' }).isDisabled()).toBe(true);
    await expect.poll(async () => (await world.tap('eu', 'race', 'ann')).status, WAIT).toBe(410);
  });

  it('[CONS-26] every control is reached with Tab, is seen to have the focus, and lets it go', async () => {
    const page = await moderator('us', 'finals');
    await inStep(page);
    // The policy in force brings palette and limits, a moment after the document is in step.
    await expect.poll(() => page.locator(':is(a, button, input, select):visible:enabled').count(), WAIT).toBeGreaterThan(30);
    const controls = await page.evaluate<number>(`(globalThis.missed = new Set([...document.querySelectorAll('a, button, input, select')].filter((control) => !control.disabled && control.checkVisibility()))).size`);
    const unseen: string[] = [];
    for (let press = 0; press < controls + 10; press++) {
      await page.keyboard.press('Tab');
      const text = await page.evaluate<string>(
        `(missed.delete(document.activeElement), document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none' ? '' : document.activeElement.outerHTML)`,
      );
      if (text !== '') unseen.push(text);
    }
    expect(unseen).toEqual([]);
    expect(await page.evaluate('[...missed].map((control) => control.outerHTML)')).toEqual([]);
  });

  it('[CONS-26] fits a phone without scrolling sideways, with controls of 44 pixels or more, and texts that can be read', async () => {
    await world.tap('us', 'a-stream-with-a-name-that-is-as-long-as-names-of-streams-may-be-1', 'ann');
    const page = await moderator('us', 'finals', {}, { viewport: { width: 390, height: 844 } });
    await inStep(page);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    const small = await page.locator('button:visible, select:visible, input:not([type=checkbox]):visible').evaluateAll((controls) =>
      controls.filter((control) => control.getBoundingClientRect().height < 44).map((control) => control.outerHTML),
    );
    expect(small).toEqual([]);
    expect(await page.evaluate(FAINT_TEXTS)).toEqual([]);
    await page.getByRole('button', { name: 'Mute somebody' }).click();
    expect(await page.getByRole('dialog').evaluate((dialog) => dialog.getBoundingClientRect().width <= 390)).toBe(true);
    expect(await page.evaluate(FAINT_TEXTS)).toEqual([]);
  });
});

/** In the page: texts whose colour has a contrast below 4.5 to what is behind them, disabled controls apart. */
const FAINT_TEXTS = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => { for (let at = node; at; at = at.parentElement) { const colour = rgba(getComputedStyle(at).backgroundColor); if (colour[3] > 250) return colour; } return [8, 10, 16]; };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.trim()).join('');
    if (text === '' || node.offsetParent === null || node.closest('[aria-disabled=true], :disabled, option, script')) continue;
    const [one, other] = [luminance(rgba(getComputedStyle(node).color)), luminance(behind(node))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) faint.push(text + ' ' + contrast.toFixed(1));
  }
  return faint;
})()`;
