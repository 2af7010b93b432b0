/**
 * What a moderator takes back, through crashes at the worst moment: a region in a process of its own, on real NATS and real Postgres, is
 * killed when what was taken back is stored and it has not heard so, or before, and starts again with another number of shards.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { connectNats, type NatsConnection } from '../../regions/nats-connection.ts';
import { shardOf } from '../../src/aggregator/shards.ts';
import { migrate } from '../../src/analytics/migrate.ts';
import { fetchBooks, type Books } from '../../src/cli/audit/books.ts';
import { compareBooks } from '../../src/cli/audit/compare-books.ts';
import { mute } from '../../src/moderation/policy-doc.ts';
import { connectModerator, type Moderator } from '../edge/moderators.ts';
import { natsAvailable } from '../support/nats.ts';
import { startOneWayLink, type OneWayLink } from '../support/one-way-link.ts';
import { postgresAvailable, run, startPostgres, type Postgres } from '../support/postgres.ts';
import { startRegionProcesses, type RegionProcesses } from '../support/region-processes.ts';

const REGIONS = ['us', 'eu'];
const STREAMS = Array.from({ length: 5 }, (_, index) => `stream-${index}` as StreamId);
const BOTS = ['bot1', 'bot2', 'bot3'];
const HONEST = 5;
const BOT = 7;
const SHARDS_MAX = 4;
const SETTLED = { timeout: 60_000, interval: 50 };

describe.skipIf(!natsAvailable || !postgresAvailable)('retraction in real processes', () => {
  let postgres: Postgres;
  let databaseUrl: string;
  let link: OneWayLink;
  let regions: RegionProcesses;
  let nats: NatsConnection;
  let moderator: Moderator;

  beforeAll(async () => {
    postgres = await startPostgres();
    databaseUrl = await postgres.createDatabase('windows');
    await migrate(databaseUrl);
    regions = await startRegionProcesses(REGIONS, {}, {
      environment: { OVATION_DATABASE_URL: databaseUrl, OVATION_SHARDS: String(SHARDS_MAX) },
      async ownAddress(name, address) {
        if (name !== 'us') return address;
        link = await startOneWayLink(Number(new URL(address.url).port));
        return { ...address, url: `nats://127.0.0.1:${link.port}` };
      },
    });
    nats = await connectNats(regions.nats.get('us')!.address, 'test');
    moderator = connectModerator(regions.url('us').replace('http', 'ws'), 'global');
  }, 60_000);
  afterAll(async () => {
    moderator?.stop();
    await nats?.close();
    await regions?.stop();
    await link?.close();
    await postgres?.stop();
  });

  const books = (stream: string): Promise<Books[]> => Promise.all(REGIONS.map((name) => fetchBooks(regions.url(name), stream)));

  /** Regions, database and acknowledgements say the same of each stream, and so many taps of each are taken back. */
  async function balanced(takenBack: number): Promise<void> {
    const total = HONEST + BOTS.length * BOT - takenBack;
    for (const stream of STREAMS) {
      await expect
        .poll(async () => {
          const all = await books(stream).catch(() => []);
          const decrements = all.map(({ entries }) => entries.reduce((sum, entry) => sum + entry.decrements, 0));
          const { differences, total: counted } = compareBooks(all);
          return { differences: differences.map(({ text }) => text), counted, decrements };
        }, SETTLED)
        .toEqual({ differences: [], counted: total, decrements: REGIONS.map(() => takenBack) });
      const rows = await run<{ net: string; lowest: string }>(
        databaseUrl,
        'SELECT sum(count) AS net, min(count) AS lowest FROM reactions_1s WHERE stream_id = $1',
        [stream],
      );
      expect(Number(rows[0]!.net)).toBe(total);
      // Each second by itself: what was taken back left the windows in which it had been counted.
      expect(Number(rows[0]!.lowest)).toBeGreaterThanOrEqual(0);
      for (const name of REGIONS) {
        const answer = await (await fetch(`${regions.url(name)}/streams/${stream}/reactions`)).json();
        expect(answer).toMatchObject({ totals: { heart: total }, ...(takenBack === 0 ? {} : { corrected: takenBack }) });
      }
    }
  }

  const journalEnds = async (): Promise<number[]> => {
    const shards = Array.from({ length: SHARDS_MAX }, (_, shard) => nats.streamState(`JOURNAL_us_${shard}`).catch(() => null));
    return (await Promise.all(shards)).map((state) => state?.lastSequence ?? 0);
  };

  /** Orders what a bot contributed to be taken back, and answers when the journal of every one of so many shards that has a stream has more than before. */
  async function takeBackUnheard(bot: string, shards: number): Promise<void> {
    const journals = new Set(STREAMS.map((stream) => shardOf(stream, shards))).size;
    const before = await journalEnds();
    link.state = 'deaf';
    mute(moderator.doc, { kind: 'viewer', id: bot }, { by: 'ada', at: Date.now(), retractFrom: 0 });
    await expect.poll(async () => (await journalEnds()).filter((end, shard) => end > before[shard]!).length, SETTLED).toBe(journals);
  }

  async function restart(shards: number): Promise<void> {
    await regions.kill('us');
    link.state = 'open';
    await regions.start('us', { OVATION_SHARDS: String(shards) });
  }

  it('counts and stores what honest viewers and bots tap', async () => {
    for (const stream of STREAMS) {
      for (const [viewer, taps] of [['ann', HONEST], ...BOTS.map((bot) => [bot, BOT] as const)] as const) {
        const reaction = { stream_id: stream, viewer_id: viewer, emoji_id: 'heart', count_since_last: taps, timestamp: Date.now() };
        const answer = await fetch(`${regions.url('us')}/reactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(reaction) });
        expect(answer.status).toBe(202);
      }
    }
    await balanced(0);
    await moderator.synced();
  }, 60_000);

  it('[AGG-33] [AGG-34] kill -9 with every retraction stored and none acknowledged, and fewer shards then: taken back once', async () => {
    await takeBackUnheard('bot1', SHARDS_MAX);
    // As long as it does not know, it shows nobody.
    expect(await regions.totals('us', STREAMS[0]!)).toEqual({ heart: HONEST + BOTS.length * BOT });
    await restart(2);
    await balanced(BOT);
  }, 90_000);

  it('[AGG-33] kill -9 before anything of it is stored, and more shards then: taken back once the order is heard', async () => {
    const before = await journalEnds();
    link.state = 'cut';
    mute(moderator.doc, { kind: 'viewer', id: 'bot2' }, { by: 'ada', at: Date.now(), retractFrom: 0 });
    await expect.poll(() => policyOf('us', 'bot2'), SETTLED).toBe(true);
    await regions.kill('us');
    expect(await journalEnds()).toEqual(before);
    await restart(3);
    await balanced(2 * BOT);
  }, 90_000);

  it('[AGG-33] [AGG-6] kill -9 of nats-server with every retraction stored and none acknowledged, under a living process: taken back once', async () => {
    await takeBackUnheard('bot3', 3);
    await nats.close();
    await regions.nats.get('us')!.kill();
    link.state = 'open';
    await regions.nats.get('us')!.restart();
    await balanced(3 * BOT);
    // And once more from what the journals say.
    await restart(1);
    await balanced(3 * BOT);
  }, 90_000);

  async function policyOf(region: string, viewer: string): Promise<boolean> {
    const answer = (await (await fetch(`${regions.url(region)}/control/global/policy`)).json()) as { mutes: { id: string }[] };
    return answer.mutes.some(({ id }) => id === viewer);
  }
});
