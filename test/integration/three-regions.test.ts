/** The main job, end to end: three regions, four shards each, real NATS, real Postgres, links that break. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { natsAvailable } from '../support/nats.ts';
import { postgresAvailable } from '../support/postgres.ts';
import { REGION_NAMES, startThreeRegions, type ThreeRegions } from '../support/three-regions.ts';

const SETTLED = { timeout: 60_000, interval: 100 };

describe.skipIf(!natsAvailable || !postgresAvailable)('three regions with four shards each', () => {
  let world: ThreeRegions;

  beforeAll(async () => {
    world = await startThreeRegions({ shardCount: 4, policy: { ...DEFAULT_BASE, endedStreams: new Set(['over']) } });
  });
  afterAll(() => world?.stop());

  const balanced = async (stream: string, total: number): Promise<void> => {
    await expect
      .poll(async () => {
        const { differences, total: counted } = await world.audit(stream);
        return { differences: differences.map(({ text }) => text), counted };
      }, SETTLED)
      .toEqual({ differences: [], counted: total });
  };

  it('[E2E-1] a tap in any region is counted in every region and stored', async () => {
    for (const region of REGION_NAMES) {
      const response = await world.post(region, { stream_id: 'one', viewer_id: 'ada', emoji_id: 'heart', count_since_last: 2 });
      expect(response.status).toBe(202);
    }
    for (const region of REGION_NAMES) {
      await expect.poll(() => world.totals(region, 'one'), SETTLED).toMatchObject({ heart: 6 });
    }
    await balanced('one', 6);
  });

  it('[E2E-2] a batch sent twice counts once and is answered alike', async () => {
    const reaction = { stream_id: 'twice', viewer_id: 'ada', emoji_id: 'fire', count_since_last: 3, session_id: 's1', seq: 1 };
    const first = await (await world.post('us', reaction)).json();
    const second = await (await world.post('us', reaction)).json();
    expect(first).toMatchObject({ seq: 1, accepted: 3, clamped: 0, duplicate: false });
    expect(second).toMatchObject({ seq: 1, accepted: 3, clamped: 0, duplicate: true });
    await balanced('twice', 3);
  });

  it('[E2E-3] an ended stream and an unknown emoji are refused by name, and nothing is counted', async () => {
    const ended = await world.post('eu', { stream_id: 'over', viewer_id: 'ada', emoji_id: 'heart', count_since_last: 1 });
    expect(ended.status).toBe(410);
    expect(await ended.json()).toMatchObject({ type: 'urn:ovation:problem:stream-ended' });
    const unknown = await world.post('eu', { stream_id: 'one', viewer_id: 'ada', emoji_id: 'skull', count_since_last: 1 });
    expect(unknown.status).toBe(422);
    expect(await unknown.json()).toMatchObject({ type: 'urn:ovation:problem:unknown-emoji' });
    await balanced('over', 0);
  });

  it('[E2E-4] regions cut apart count on, and agree once the link is back', async () => {
    world.cut('us', 'eu');
    world.cut('us', 'ap');
    for (const region of REGION_NAMES) {
      expect((await world.post(region, { stream_id: 'cut', viewer_id: region, emoji_id: 'clap', count_since_last: 5 })).status).toBe(202);
    }
    await expect.poll(() => world.totals('ap', 'cut'), SETTLED).toMatchObject({ clap: 10 });
    expect(await world.totals('us', 'cut')).toMatchObject({ clap: 5 });
    world.heal('us', 'eu');
    world.heal('us', 'ap');
    for (const region of REGION_NAMES) await expect.poll(() => world.totals(region, 'cut'), SETTLED).toMatchObject({ clap: 15 });
    await balanced('cut', 15);
  });

  it('[E2E-5] a crowd over flapping links, a killed nats-server and a dead database: the books balance', async () => {
    const load = world.load({
      stream: 'storm',
      source: { kind: 'random', viewers: 60, tapsPerSecond: 5, durationMs: 8_000 },
      settleMs: 60_000,
    });
    const trouble = (async (): Promise<void> => {
      world.cut('us', 'eu');
      await world.postgres.crash();
      await world.nats.ap.kill();
      await world.nats.ap.restart();
      world.heal('us', 'eu');
      world.cut('ap', 'eu');
      await world.postgres.restart();
      world.heal('ap', 'eu');
    })();
    const [result] = await Promise.all([load, trouble]);
    expect(result.verdict).toMatchObject({ balanced: true });
    expect(result.truth.acknowledged).toBeGreaterThan(1_000);
  }, 90_000);

  it('[E2E-6] a region that stops and starts again loses nothing and knows its sessions', async () => {
    const reaction = { stream_id: 'again', viewer_id: 'ada', emoji_id: 'wow', count_since_last: 4, session_id: 's1', seq: 1 };
    expect((await world.post('us', reaction)).status).toBe(202);
    await world.stopRegion('us');
    await world.startRegion('us');
    expect(await (await world.post('us', reaction)).json()).toMatchObject({ accepted: 4, duplicate: true });
    await balanced('again', 4);
  });

  it('[E2E-7] history tells what was counted, and the admin port what goes on', async () => {
    await balanced('one', 6);
    const history = await fetch(`${world.url('ap')}/streams/one/reactions/history?step=10s`);
    const { points } = (await history.json()) as { points: { count: number }[] };
    expect(points.reduce((sum, { count }) => sum + count, 0)).toBe(6);
    expect((await fetch(`${world.adminUrl('ap')}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${world.adminUrl('ap')}/metrics`)).text();
    expect(metrics).toMatch(/reactions_aggregator_taps_accepted_total\{shard="0",region="ap"\} \d+/);
    for (const gauge of ['aggregator_contributions', 'aggregator_contributors', 'aggregator_retractable_seconds', 'replicator_documents_waiting']) {
      expect(metrics).toContain(`# TYPE reactions_${gauge} gauge`);
    }
  });
});
