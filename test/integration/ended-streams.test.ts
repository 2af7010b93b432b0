/** Streams that end in three regions on real NATS and real Postgres, one of them cut off. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNatsLogReader } from '../../regions/nats-log.ts';
import { endStream } from '../../src/moderation/policy-doc.ts';
import { connectModerator, type Moderator } from '../edge/moderators.ts';
import { natsAvailable } from '../support/nats.ts';
import { postgresAvailable } from '../support/postgres.ts';
import { REGION_NAMES, startThreeRegions, type RegionName, type ThreeRegions } from '../support/three-regions.ts';

const SETTLED = { timeout: 60_000, interval: 50 };
const GRACE_MS = 3_000;

describe.skipIf(!natsAvailable || !postgresAvailable)('streams that end in three regions', () => {
  let world: ThreeRegions;
  let ada: Moderator | null = null;

  beforeAll(async () => {
    world = await startThreeRegions({ shardCount: 2, endedGraceMs: GRACE_MS });
  });
  afterAll(async () => {
    ada?.stop();
    await world?.stop();
  });

  const acknowledged = new Map<string, number>();
  const tap = async (region: RegionName, stream: string, count_since_last: number): Promise<Response> => {
    const response = await world.post(region, { stream_id: stream, viewer_id: `ann-${region}`, emoji_id: 'heart', count_since_last });
    if (response.status === 202) {
      const { accepted } = (await response.clone().json()) as { accepted: number };
      acknowledged.set(stream, (acknowledged.get(stream) ?? 0) + accepted);
    }
    return response;
  };
  const totalsStatus = async (region: RegionName, stream: string): Promise<number> => (await fetch(`${world.url(region)}/streams/${stream}/reactions`)).status;

  /** The keys of a region's log. */
  async function keysOf(region: RegionName): Promise<string[]> {
    const reader = createNatsLogReader({ region, address: world.nats[region].peerAddress, reader: 'test' });
    const keys = new Set<string>();
    const done = new AbortController();
    const visitor = {
      started: () => {},
      batch: (messages: readonly { readonly key: string }[]) => {
        for (const { key } of messages) keys.add(key);
        // A heartbeat is never older than what it tells of.
        if (keys.has('heartbeat')) done.abort();
      },
    };
    await reader.follow(null, visitor, done.signal);
    return [...keys];
  }

  async function metric(region: RegionName, name: string): Promise<number> {
    const text = await (await fetch(`${world.adminUrl(region)}/metrics`)).text();
    const value = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1];
    if (value === undefined) throw new Error(`there is no metric ${name}`);
    return Number(value);
  }

  async function digestsEqual(): Promise<boolean> {
    const audits = await Promise.all(REGION_NAMES.map(async (region) => (await fetch(`${world.url(region)}/streams/derby/audit`)).json()));
    return audits.every(({ peers }) => (peers as { digest_equal: boolean | null }[]).every(({ digest_equal }) => digest_equal === true));
  }

  async function storedTaps(stream: string): Promise<number> {
    const { stored } = (await (await fetch(`${world.url('us')}/streams/${stream}/audit`)).json()) as { stored: { increments?: number; count?: number }[] };
    return stored.reduce((sum, { increments, count }) => sum + (increments ?? count ?? 0), 0);
  }

  it('[MOD-32] all regions forget it, also one that was cut off and counted on; every tap is stored, and nothing is taken for a loss', async () => {
    for (const region of REGION_NAMES) for (const stream of ['final', 'derby']) expect((await tap(region, stream, 5)).status).toBe(202);
    for (const region of REGION_NAMES) await expect.poll(() => world.totals(region, 'final'), SETTLED).toMatchObject({ heart: 15 });
    await expect.poll(digestsEqual, SETTLED).toBe(true);
    const repairs = await Promise.all(REGION_NAMES.map((region) => metric(region, 'reactions_replicator_repairs_total')));

    world.cut('us', 'ap');
    world.cut('eu', 'ap');
    ada = connectModerator(world.url('us').replace('http', 'ws'), 'stream.final', null);
    await ada.synced();
    endStream(ada.doc, { by: 'ada', at: Date.now() });
    await expect.poll(async () => (await tap('eu', 'final', 1)).status, SETTLED).toBe(410);
    for (const region of ['us', 'eu'] as const) await expect.poll(() => totalsStatus(region, 'final'), SETTLED).toBe(410);
    expect((await tap('ap', 'final', 7)).status).toBe(202);

    world.heal('us', 'ap');
    world.heal('eu', 'ap');
    await expect.poll(async () => (await tap('ap', 'final', 1)).status, SETTLED).toBe(410);
    await expect.poll(() => totalsStatus('ap', 'final'), SETTLED).toBe(410);
    for (const region of REGION_NAMES) await expect.poll(async () => (await keysOf(region)).filter((key) => key.endsWith('.final') && key.startsWith('row.')), SETTLED).toEqual([]);
    await expect.poll(() => storedTaps('final'), SETTLED).toBe(acknowledged.get('final'));

    for (const region of REGION_NAMES) expect((await tap(region, 'derby', 1)).status).toBe(202);
    for (const region of REGION_NAMES) await expect.poll(() => world.totals(region, 'derby'), SETTLED).toMatchObject({ heart: 18 });
    await expect.poll(digestsEqual, SETTLED).toBe(true);
    expect(await Promise.all(REGION_NAMES.map((region) => metric(region, 'reactions_replicator_repairs_total')))).toEqual(repairs);
    expect(await metric('us', 'reactions_streams_forgotten')).toBe(1);
  });

  it('[MOD-32] a region that restarts has forgotten it too, and refuses taps on it', async () => {
    await world.stopRegion('eu');
    await world.startRegion('eu');
    expect((await tap('eu', 'final', 1)).status).toBe(410);
    expect(await totalsStatus('eu', 'final')).toBe(410);
    await expect.poll(() => world.totals('eu', 'derby'), SETTLED).toMatchObject({ heart: 18 });
    await expect.poll(digestsEqual, SETTLED).toBe(true);
    expect(await metric('eu', 'reactions_streams_forgotten')).toBe(1);
  });
});
