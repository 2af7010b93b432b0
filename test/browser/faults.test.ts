/**
 * Faults as viewers meet them: the bundled SDK in real Chromium, three regions in processes of their own on real
 * nats-servers, and something that breaks in between. The truth is the page's own: what its `tap` took.
 */

import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startLinkProxy } from '../../src/cli/dev/link-proxy.ts';
import { browserAvailable, openBrowser } from '../support/browser.ts';
import { natsAvailable } from '../support/nats.ts';
import { startRegionProcesses, type RegionProcesses } from '../support/region-processes.ts';
import { seededRandom } from '../support/simulated-runtime.ts';
import { startViewerLink } from '../support/viewer-link.ts';
import { startPlayerSite, type Player, type PlayerSite } from './faults-page.ts';

const REGIONS = ['us', 'eu', 'ap'];
const SETTLED = { timeout: 60_000, interval: 50 };
const LONG = { timeout: 180_000 };

describe.skipIf(!browserAvailable || !natsAvailable)('faults, as a page in Chromium meets them', () => {
  let browser: Browser;
  let context: BrowserContext;
  let regions: RegionProcesses;
  let site: PlayerSite;
  /** Stream → what all regions agreed upon: the last test looks whether anything has moved since. */
  const agreed = new Map<string, Record<string, number>>();

  beforeAll(async () => {
    [browser, regions, site] = await Promise.all([openBrowser(), startRegionProcesses(REGIONS), startPlayerSite()]);
    context = await browser.newContext();
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all([regions?.stop(), site?.stop()]);
  });

  // `expect.poll` is not for tests that run beside others.
  const eventually = <Value>(ask: () => Value | Promise<Value>, check: (value: Value) => void): Promise<void> =>
    vi.waitFor(async () => check(await ask()), SETTLED);
  const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((total, count) => total + count, 0);
  const added = (one: Record<string, number>, other: Record<string, number>): Record<string, number> => {
    const both = { ...one };
    for (const [emoji, count] of Object.entries(other)) both[emoji] = (both[emoji] ?? 0) + count;
    return both;
  };
  const answered = async (player: Player): Promise<number> => {
    const { accepted, clamped } = await player.books();
    return accepted + clamped;
  };

  /** Every tap was answered, and the totals of every region are what the pages know. */
  async function expectTruth(stream: string, ...players: readonly Player[]): Promise<void> {
    let truth: Record<string, number> = {};
    let clamped = 0;
    for (const player of players) {
      await eventually(async () => (await answered(player)) - sum((await player.books()).taken), (open) => expect(open).toBe(0));
      const books = await player.books();
      expect(books.discontinuities.filter(({ reason, taps }) => taps > 0 && reason !== 'corrected')).toEqual([]);
      expect(player.complaints).toEqual([]);
      clamped += books.clamped;
      truth = added(truth, books.taken);
    }
    expect(sum(truth)).toBeGreaterThan(clamped);
    // An answer does not tell which of its batch's taps were clamped, so that then only the sum is known.
    if (clamped > 0) {
      await eventually(() => regions.totals(REGIONS[0]!, stream), (totals) => expect(sum(totals ?? {})).toBe(sum(truth) - clamped));
      truth = (await regions.totals(REGIONS[0]!, stream))!;
    }
    for (const name of REGIONS) await eventually(() => regions.totals(name, stream), (totals) => expect(totals).toEqual(truth));
    agreed.set(stream, truth);
  }

  it.concurrent('[E2E-12] of the acknowledgements 30 % are lost on a connection that stands', LONG, async () => {
    const link = await startViewerLink(regions.url('us'));
    const random = seededRandom(12);
    const losses = new Map<number, number>();
    let acks = 0;
    // No batch is unlucky more than twice, because a lost answer is waited for 7 s.
    link.arrives = (message) => {
      if (message.type !== 'ack') return true;
      acks += 1;
      const lost = losses.get(message.seq) ?? 0;
      if (random() >= 0.3 || lost === 2) return true;
      losses.set(message.seq, lost + 1);
      return false;
    };
    const player = await site.open(context, { endpoints: link.url, streamId: 'acks' });
    await player.burst(true);
    await eventually(() => acks, (value) => expect(value).toBeGreaterThan(12));
    await player.burst(false);
    await expectTruth('acks', player);
    expect(losses.size).toBeGreaterThan(1);
    expect(link.connections).toBe(1);
    expect((await player.books()).answers).toBe(acks - [...losses.values()].reduce((total, lost) => total + lost, 0));
    await link.close();
  });

  it.concurrent('[E2E-11] a region is killed with taps counted and unanswered; the page goes on with the next, and the first comes back', LONG, async () => {
    const link = await startViewerLink(regions.url('ap'));
    const player = await site.open(context, { endpoints: [link.url, regions.url('eu')], streamId: 'failover' });
    await player.burst(true);
    await eventually(() => answered(player), (value) => expect(value).toBeGreaterThan(3));
    link.arrives = ({ type }) => type !== 'ack';
    const before = await answered(player);
    await eventually(async () => sum((await regions.totals('ap', 'failover')) ?? {}), (value) => expect(value).toBeGreaterThan(before + 2));
    await regions.kill('ap');
    await eventually(async () => (await player.books()).endpoint, (value) => expect(value).toBe(regions.url('eu')));
    await eventually(() => answered(player), (value) => expect(value).toBeGreaterThan(before + 5));
    await player.burst(false);
    // The next one answers also what the first has counted.
    await eventually(async () => (await answered(player)) - sum((await player.books()).taken), (open) => expect(open).toBe(0));
    link.arrives = null;
    await regions.start('ap');
    await expectTruth('failover', player);
    expect((await player.books()).discontinuities).toContainEqual({ reason: 'moved', taps: 0 });
    await link.close();
  });

  it.concurrent('[E2E-10] connections are forgotten amid a burst, as by a router: bytes go nowhere, both ways', LONG, async () => {
    const link = await startViewerLink(regions.url('us'));
    const player = await site.open(context, { endpoints: link.url, streamId: 'forgotten' });
    await player.burst(true);
    await eventually(() => answered(player), (value) => expect(value).toBeGreaterThan(3));
    link.forget();
    const before = await answered(player);
    await eventually(() => answered(player), (value) => expect(value).toBeGreaterThan(before + 5));
    await player.burst(false);
    await expectTruth('forgotten', player);
    await link.close();
  });

  it.concurrent('[E2E-10] bytes are held back amid a burst and delivered when the page has connected anew', LONG, async () => {
    const { hostname, port } = new URL(regions.url('eu'));
    const link = await startLinkProxy({ targetHost: hostname, targetPort: Number(port) });
    const player = await site.open(context, { endpoints: `http://127.0.0.1:${link.port}`, streamId: 'late' });
    await player.burst(true);
    await eventually(() => answered(player), (value) => expect(value).toBeGreaterThan(3));
    link.cut();
    await eventually(async () => (await player.books()).states.at(-1)?.state, (value) => expect(value).toBe('connecting'));
    link.heal();
    await eventually(async () => (await player.books()).states.at(-1)?.state, (value) => expect(value).toBe('connected'));
    await player.burst(false);
    await expectTruth('late', player);
    await link.close();
  });

  it.concurrent('[E2E-10] connections are reset amid a burst, and for a while refused', LONG, async () => {
    const link = await startViewerLink(regions.url('us'));
    const player = await site.open(context, { endpoints: link.url, streamId: 'reset' });
    await player.burst(true);
    for (const refused of [0, 2, 0]) {
      const before = await answered(player);
      await eventually(() => answered(player), (value) => expect(value).toBeGreaterThan(before + 3));
      const { connections } = link;
      if (refused > 0) link.mode = 'refuse';
      link.reset();
      await eventually(() => link.connections, (value) => expect(value).toBeGreaterThan(connections + refused));
      link.mode = 'open';
    }
    await player.burst(false);
    await expectTruth('reset', player);
    await link.close();
  });

  it.concurrent('[E2E-9] taps of three pages, one a region, reach the totals of all regions', LONG, async () => {
    const players = await Promise.all(REGIONS.map((name) => site.open(context, { endpoints: regions.url(name), streamId: 'three' })));
    for (const [index, player] of players.entries()) expect(await player.tap(5 + index)).toBe(5 + index);
    await expectTruth('three', ...players);
    for (const { page } of players) await page.close();
  });

  it('nothing has moved since the regions agreed', async () => {
    expect(agreed.size).toBeGreaterThan(4);
    for (const [stream, truth] of agreed) {
      for (const name of REGIONS) expect([name, stream, await regions.totals(name, stream)]).toEqual([name, stream, truth]);
    }
  });
});
