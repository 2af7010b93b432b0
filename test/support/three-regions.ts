/**
 * Three whole regions in this process, on real nats-servers and a real Postgres, with links that can be
 * cut, edges and aggregators apart (`encoded-ports.ts`), and as many shards as asked for.
 */

import { migrate } from '../../src/analytics/migrate.ts';
import { compareBooks, type Comparison } from '../../src/cli/audit/compare-books.ts';
import { fetchBooks } from '../../src/cli/audit/books.ts';
import { startLinkProxy, type LinkProxy } from '../../src/cli/dev/link-proxy.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { type LoadPlan, type LoadResult, runLoad } from '../../src/cli/load/run-load.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Config } from '../../src/config.ts';
import { DEFAULT_BASE, type BasePolicy } from '../../src/moderation/policy.ts';
import { startRegion, type Region } from '../../src/region.ts';
import type { RegionAddresses } from '../../regions/topology.ts';
import { encodedFrameFeed, encodedIngest } from './encoded-ports.ts';
import { startNats } from './nats.ts';
import { startPostgres, type Postgres } from './postgres.ts';

export const REGION_NAMES = ['us', 'eu', 'ap'] as const;
export type RegionName = (typeof REGION_NAMES)[number];

export interface ThreeRegions {
  readonly nats: Readonly<Record<RegionName, NatsServer>>;
  readonly postgres: Postgres;
  url(region: RegionName): string;
  adminUrl(region: RegionName): string;
  /** Both directions. */
  cut(a: RegionName, b: RegionName): void;
  heal(a: RegionName, b: RegionName): void;
  stopRegion(region: RegionName): Promise<void>;
  startRegion(region: RegionName): Promise<void>;
  post(region: RegionName, reaction: object): Promise<Response>;
  totals(region: RegionName, stream: string): Promise<Record<string, number>>;
  audit(stream: string): Promise<Comparison>;
  load(plan: Partial<LoadPlan> & Pick<LoadPlan, 'stream' | 'source'>): Promise<LoadResult>;
  stop(): Promise<void>;
}

export async function startThreeRegions(options: { shardCount: number; policy?: BasePolicy; endedGraceMs?: number }): Promise<ThreeRegions> {
  const [postgres, ...servers] = await Promise.all([
    startPostgres(),
    ...REGION_NAMES.map((region) => startNats({ region })),
  ]);
  const nats = Object.fromEntries(REGION_NAMES.map((region, index) => [region, servers[index]!])) as Record<RegionName, NatsServer>;
  const databaseUrl = await postgres.createDatabase('windows');
  await migrate(databaseUrl);

  const links = new Map<string, LinkProxy>();
  for (const from of REGION_NAMES) {
    for (const to of REGION_NAMES.filter((name) => name !== from)) {
      links.set(`${from}-${to}`, await startLinkProxy({ targetHost: '127.0.0.1', targetPort: nats[to].port }));
    }
  }
  const between = (a: RegionName, b: RegionName): LinkProxy[] => [links.get(`${a}-${b}`)!, links.get(`${b}-${a}`)!];

  const configOf = (region: RegionName): Config => {
    const addressesOf = (name: RegionName): RegionAddresses => {
      const proxy = links.get(`${region}-${name}`);
      const { address, peerAddress } = nats[name];
      return { nats: address, peer: proxy === undefined ? peerAddress : { ...peerAddress, url: `nats://127.0.0.1:${proxy.port}` } };
    };
    return {
      region,
      host: '127.0.0.1',
      port: ports.get(region)?.port ?? 0,
      adminPort: ports.get(region)?.adminPort ?? 0,
      shardCount: options.shardCount,
      topology: { regions: new Map(REGION_NAMES.map((name) => [name, addressesOf(name)])) },
      databaseUrl,
      jwt: null,
      origins: ['*'],
      policy: options.policy ?? DEFAULT_BASE,
      logLevel: 'silent',
      viewersMax: 10_000,
      proxies: 0,
      ...(options.endedGraceMs === undefined ? {} : { endedGraceMs: options.endedGraceMs }),
    };
  };

  const ports = new Map<RegionName, { readonly port: number; readonly adminPort: number }>();
  const regions = new Map<RegionName, Region>();
  const start = async (name: RegionName): Promise<void> => {
    const region = await startRegion(configOf(name), undefined, {
      between: ({ ingest, feed }) => ({ ingest: encodedIngest(ingest), feed: encodedFrameFeed(feed) }),
    });
    // The same ports in the next life, as a deployment would.
    ports.set(name, { port: region.port, adminPort: region.adminPort });
    regions.set(name, region);
  };
  await Promise.all(REGION_NAMES.map(start));

  const url = (region: RegionName): string => `http://127.0.0.1:${ports.get(region)!.port}`;
  return {
    nats,
    postgres,
    url,
    adminUrl: (region) => `http://127.0.0.1:${ports.get(region)!.adminPort}`,
    cut: (a, b) => between(a, b).forEach((link) => link.cut()),
    heal: (a, b) => between(a, b).forEach((link) => link.heal()),
    async stopRegion(name) {
      const region = regions.get(name);
      regions.delete(name);
      await region?.stop();
    },
    startRegion: start,
    post: (region, reaction) =>
      fetch(`${url(region)}/reactions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ timestamp: Date.now(), ...reaction }),
      }),
    async totals(region, stream) {
      const response = await fetch(`${url(region)}/streams/${stream}/reactions`);
      return ((await response.json()) as { totals: Record<string, number> }).totals;
    },
    audit: async (stream) => compareBooks(await Promise.all(REGION_NAMES.map((region) => fetchBooks(url(region), stream)))),
    load: (plan) =>
      runLoad(
        {
          endpoints: REGION_NAMES.map(url),
          connectionsMax: 500,
          settleMs: 30_000,
          encoding: 'msgpack',
          mintToken: null,
          compareStored: true,
          ...plan,
        },
        realRuntime,
        new AbortController().signal,
        () => {},
      ),
    async stop() {
      await Promise.all([...regions.values()].map((region) => region.stop()));
      await Promise.all([...links.values()].map((link) => link.close()));
      await Promise.all([postgres.stop(), ...servers.map((server) => server.stop())]);
    },
  };
}
