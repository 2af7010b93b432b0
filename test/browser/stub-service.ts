/**
 * The service behind the live page: three stub regions with links that can be cut, a crowd that only obeys,
 * and before them the dev server itself, with the page bundled from its source.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { startDevServer } from '../../src/cli/dev/dev-server.ts';
import type { CrowdCommand, CrowdStatus, DevStatus, LinkCommand } from '../../src/web/live/dev-api.ts';
import { replicate, startStubRegion, type StubRegion } from './stub-region.ts';

const GOSSIP_MS = 50;

/** The page's bundle, in a folder that `remove` deletes. */
export interface PageBundle {
  readonly folder: string;
  remove(): void;
}

export async function bundlePage(): Promise<PageBundle> {
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-page-'));
  await build({ entryPoints: ['src/web/live/live.ts'], bundle: true, format: 'esm', outfile: path.join(folder, 'live-page.js'), logLevel: 'silent' });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface StubService {
  readonly url: string;
  readonly regions: readonly StubRegion[];
  /** Pairs of regions whose link is cut, as `one other`. */
  readonly cuts: Set<string>;
  /** Pairs of regions → how much slower their link is. */
  readonly delays: Map<string, number>;
  /** Every command to the crowd. */
  readonly crowd: CrowdCommand[];
  stop(): Promise<void>;
}

export async function startStubService({ folder }: PageBundle): Promise<StubService> {
  const regions = await Promise.all(['us', 'eu', 'ap'].map(startStubRegion));
  const cuts = new Set<string>();
  const delays = new Map<string, number>();
  const crowd: CrowdCommand[] = [];
  const isCut = (from: string, to: string): boolean => cuts.has(`${from} ${to}`) || cuts.has(`${to} ${from}`);
  const pairs = regions.flatMap((from) => regions.filter((to) => to !== from).map((to) => [from, to] as const));

  const gossip = setInterval(() => {
    for (const [from, to] of pairs) if (!isCut(from.id, to.id)) replicate(from, to);
  }, GOSSIP_MS);

  function status(): DevStatus {
    return {
      regions: regions.map(({ id, api }) => ({ id, api, admin: null, pid: null, nats_pid: null, nats_data: null, state: 'running', parts: {}, restarts: 0 })),
      links: pairs.map(([{ id: from }, { id: to }]) => {
        const delay_ms = delays.get(`${from} ${to}`) ?? 0;
        return { from, to, state: isCut(from, to) ? 'cut' : delay_ms > 0 ? 'delayed' : 'up', delay_ms };
      }),
      database: 'none',
      crowd: crowdStatus(),
    };
  }

  function crowdStatus(): CrowdStatus {
    const command = crowd.at(-1) ?? { taps_per_second: 0 };
    const taps = 'replay' in command ? 0 : command.taps_per_second;
    const replay = 'replay' in command ? command.replay : null;
    return {
      mode: replay !== null ? 'replay' : taps > 0 ? 'random' : 'off',
      stream: command.stream ?? null,
      taps_per_second: taps,
      viewers: Math.ceil(taps / 8),
      tapped: 0,
      acknowledged: 0,
      clamped: 0,
      refused: 0,
      replay: replay === null ? null : { name: replay.name ?? 'a final', speed: replay.speed ?? 1, at_ms: 30_000, length_ms: 90_000 },
      problem: null,
    };
  }

  /** As the real one: a cut outlasts a delay, and healing undoes both. */
  function changeLink({ from, to, action, delay_ms }: LinkCommand): void {
    for (const key of [`${from} ${to}`, `${to} ${from}`]) {
      if (action === 'heal') {
        cuts.delete(key);
        delays.delete(key);
      }
      if (action === 'delay') delays.set(key, Number(delay_ms));
    }
    if (action === 'cut') cuts.add(`${from} ${to}`);
  }

  const server = await startDevServer(
    0,
    regions.map(({ api }) => api),
    { status, link: changeLink, process: async () => {}, deleteStream: async () => {}, crowd: async (command) => void crowd.push(command), watched: () => {} },
    folder,
  );
  return {
    url: `http://127.0.0.1:${server.port}/`,
    regions,
    cuts,
    delays,
    crowd,
    async stop() {
      clearInterval(gossip);
      await server.close();
      await Promise.all(regions.map((region) => region.stop()));
    },
  };
}
