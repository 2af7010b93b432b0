/** A stream that moderators spread over the shards of its regions, on real NATS and real Postgres. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setSpread } from '../../src/moderation/policy-doc.ts';
import { connectModerator, type Moderator } from '../edge/moderators.ts';
import { natsAvailable } from '../support/nats.ts';
import { postgresAvailable } from '../support/postgres.ts';
import { startThreeRegions, type RegionName, type ThreeRegions } from '../support/three-regions.ts';

const SETTLED = { timeout: 60_000, interval: 50 };
const SESSIONS = 24;

describe.skipIf(!natsAvailable || !postgresAvailable)('a stream that is spread in three regions', () => {
  let world: ThreeRegions;
  let ada: Moderator | null = null;

  beforeAll(async () => {
    world = await startThreeRegions({ shardCount: 4 });
  });
  afterAll(async () => {
    ada?.stop();
    await world?.stop();
  });

  const tapAll = async (region: RegionName, seq: number): Promise<void> => {
    const answers = Array.from({ length: SESSIONS }, (_, index) =>
      world.post(region, { stream_id: 'final', viewer_id: `v${index}`, session_id: `${region}-session-${index}`, seq, emoji_id: 'heart', count_since_last: 2 }),
    );
    for (const { status } of await Promise.all(answers)) expect([200, 202]).toContain(status);
  };
  const actorsOf = async (region: RegionName): Promise<string[] | undefined> =>
    ((await (await fetch(`${world.url(region)}/streams/final/audit`)).json()) as { actors?: string[] }).actors;
  const balanced = (total: number) =>
    expect.poll(() => world.audit('final'), SETTLED).toMatchObject({ differences: [], total });
  const restart = async (region: RegionName): Promise<void> => {
    await world.stopRegion(region);
    await world.startRegion(region);
  };

  it('[AGG-50] [AGG-51] [AGG-52] is spread from the next start of a region on, and less again from the one after; resends are known and the books balance', async () => {
    await tapAll('us', 1);
    ada = connectModerator(world.url('eu').replace('http', 'ws'), 'stream.final', null);
    await ada.synced();
    setSpread(ada.doc, 3, { by: 'ada', at: Date.now() });
    for (const region of ['us', 'eu'] as const) {
      const spread = async (): Promise<unknown> => ((await (await fetch(`${world.url(region)}/control/stream.final/policy`)).json()) as { spread: number }).spread;
      await expect.poll(spread, SETTLED).toBe(3);
    }
    await tapAll('us', 2);
    expect(await actorsOf('us')).toBeUndefined();
    await restart('us');
    expect(new Set(await actorsOf('us')).size).toBe(3);
    for (const seq of [1, 2, 3]) await tapAll('us', seq);
    await tapAll('eu', 1);
    await balanced(2 * SESSIONS * 4);
    setSpread(ada.doc, 2, { by: 'ada', at: Date.now() });
    const spread = async (): Promise<unknown> => ((await (await fetch(`${world.url('us')}/control/stream.final/policy`)).json()) as { spread: number }).spread;
    await expect.poll(spread, SETTLED).toBe(2);
    expect(await actorsOf('us')).toHaveLength(3);
    await restart('us');
    expect(await actorsOf('us')).toHaveLength(2);
    for (const seq of [1, 2, 3, 4]) await tapAll('us', seq);
    await balanced(2 * SESSIONS * 5);
  });
});
