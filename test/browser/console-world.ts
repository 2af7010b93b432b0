/**
 * What the console is tested against: two whole regions in this process, on logs in memory, with a link that can
 * be cut, and the page bundled from its source. What a browser cannot make happen is made here.
 */

import { createServer, connect, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { SignJWT } from 'jose';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import { createMemoryWindowQueue } from '../../src/analytics/memory-window-queue.ts';
import type { ChangeStore, PolicyChange } from '../../src/analytics/policy-changes.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Config } from '../../src/config.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { startRegion, type Region } from '../../src/region.ts';

const SECRET = 'a secret of at least thirty-two characters';
const REGIONS = ['us', 'eu'] as const;
export type RegionName = (typeof REGIONS)[number];

export interface ConsoleWorld {
  /** Of the console's own address, which goes over a proxy that can be cut. */
  url(region: RegionName): string;
  /** Where moderators connect past that proxy. */
  ws(region: RegionName): string;
  /** Between the two regions, both ways. */
  cut(): void;
  heal(): void;
  /** Between the browser and a region. */
  unplug(region: RegionName): void;
  plug(region: RegionName): void;
  token(claims: object): Promise<string>;
  /** Posts taps, and answers what became of them. */
  tap(region: RegionName, stream: string, viewer: string, count?: number): Promise<{ readonly status: number; readonly body: { readonly accepted?: number; readonly clamped?: number } }>;
  total(region: RegionName, stream: string): Promise<number>;
  stop(): Promise<void>;
}

export async function startConsoleWorld(): Promise<ConsoleWorld> {
  const network = createMemoryNetwork(realRuntime);
  const regions = new Map<RegionName, Region>();
  const wires = new Map<RegionName, Wire>();
  const nowhere = { url: 'nats://127.0.0.1:1' };
  const addresses = { nats: nowhere, peer: nowhere };
  for (const region of REGIONS) {
    const config: Config = {
      region,
      host: '127.0.0.1',
      port: 0,
      adminPort: 0,
      shardCount: 1,
      topology: { regions: new Map(REGIONS.map((name) => [name, addresses])) },
      databaseUrl: null,
      jwt: { secret: SECRET },
      origins: ['*'],
      policy: DEFAULT_BASE,
      logLevel: 'silent',
      viewersMax: 1_000,
      proxies: 0,
    };
    const started = await startRegion(config, () => ({
      logWriter: network.writer(region),
      logReaders: new Map(REGIONS.filter((name) => name !== region).map((name) => [name, network.reader(name, region)])),
      hotStore: () => createMemoryStore(new MemoryJournal()),
      windowQueue: createMemoryWindowQueue(),
      windowStore: null,
      changeStore: memoryChanges(),
    }));
    regions.set(region, started);
    wires.set(region, await startWire(started.port));
  }
  const direct = (region: RegionName): string => `http://127.0.0.1:${regions.get(region)!.port}`;
  const token = (claims: object): Promise<string> =>
    new SignJWT({ sub: 'mo', role: 'moderator', streams: '*', iat: Math.floor(Date.now() / 1000), ...claims }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('10m').sign(new TextEncoder().encode(SECRET));

  return {
    ws: (region) => direct(region).replace('http', 'ws'),
    url: (region) => `http://127.0.0.1:${wires.get(region)!.port}/console/`,
    cut() {
      network.cut('us', 'eu');
      network.cut('eu', 'us');
    },
    heal() {
      network.heal('us', 'eu');
      network.heal('eu', 'us');
    },
    unplug: (region) => wires.get(region)!.cut(),
    plug: (region) => wires.get(region)!.heal(),
    token,
    async tap(region, stream, viewer, count = 1) {
      const response = await fetch(`${direct(region)}/reactions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${await token({ sub: viewer, role: 'viewer' })}` },
        body: JSON.stringify({ stream_id: stream, viewer_id: viewer, emoji_id: 'heart', count_since_last: count, timestamp: Date.now() }),
      });
      return { status: response.status, body: (await response.json()) as { accepted?: number } };
    },
    async total(region, stream) {
      const { totals } = (await (await fetch(`${direct(region)}/streams/${stream}/reactions`)).json()) as { totals: Record<string, number> };
      return Object.values(totals).reduce((sum, each) => sum + each, 0);
    },
    async stop() {
      await Promise.all([...wires.values()].map((wire) => wire.close()));
      await Promise.all([...regions.values()].map((region) => region.stop()));
    },
  };
}

/** A moderator's page, signed in. Script and styles are those of the source, whatever was built last. */
export async function openConsole(browser: Browser, world: ConsoleWorld, region: RegionName, token: string | null, stream: string, script: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  const context: BrowserContext = await browser.newContext({ reducedMotion: 'reduce', ...options });
  await context.route('**/console-page.js', (route) => route.fulfill({ body: script, contentType: 'text/javascript' }));
  const page = await context.newPage();
  await page.goto(`${world.url(region)}#stream=${stream}`);
  if (token === null) return page;
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  return page;
}

function memoryChanges(): ChangeStore {
  const stored: PolicyChange[] = [];
  return {
    storeChanges: async (changes) => void stored.push(...changes),
    changes: async (document, limit) => stored.filter((change) => change.document === document).toReversed().slice(0, limit),
  };
}

interface Wire {
  readonly port: number;
  cut(): void;
  heal(): void;
  close(): Promise<void>;
}

/** Cut, it refuses connections and breaks those there are. */
async function startWire(target: number): Promise<Wire> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server: Server = createServer((near) => {
    if (isCut) return void near.destroy();
    const far = connect(target, '127.0.0.1');
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cutAll = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      cutAll();
    },
    heal: () => void (isCut = false),
    close: () => {
      cutAll();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
