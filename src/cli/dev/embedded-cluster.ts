/**
 * Regions without any server: all in this process, on logs in memory. What they counted is gone when
 * dev ends, except for what the database holds; nothing can be killed.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createMemoryNetwork } from '../../../regions/memory-log.ts';
import type { Runtime } from '../../../regions/runtime.ts';
import { createMemoryWindowQueue } from '../../analytics/memory-window-queue.ts';
import { createPostgresStore } from '../../analytics/postgres-store.ts';
import { childEnvironment, readConfig } from '../../config.ts';
import { MemoryJournal, createMemoryStore } from '../../hot-store/memory-store.ts';
import { createLog } from '../../observability/log.ts';
import { startRegion, type Region } from '../../region.ts';
import { CommandFailure } from '../failure.ts';
import { regionEnvironment, type Cluster, type ClusterPlan } from './cluster.ts';
import { Links } from './links.ts';

export async function startEmbeddedCluster(plan: ClusterPlan, runtime: Runtime, say: (line: string) => void): Promise<Cluster> {
  const ids = plan.regions.map(({ id }) => id);
  const network = createMemoryNetwork(runtime);
  const links = new Links(ids, network, runtime.timers);
  const topologyFile = path.join(plan.folder, 'topology.json');
  mkdirSync(plan.folder, { recursive: true });
  // No region connects anywhere; the topology says which regions there are.
  const nowhere = { url: 'nats://127.0.0.1:4222' };
  writeFileSync(topologyFile, JSON.stringify({ regions: Object.fromEntries(ids.map((id) => [id, { nats: nowhere, peer: nowhere }])) }));

  const started: Region[] = [];
  const stop = async (): Promise<void> => {
    links.stop();
    await Promise.all(started.splice(0).map((region) => region.stop()));
  };
  try {
    for (const region of plan.regions) {
      const config = readConfig(childEnvironment(regionEnvironment(plan, region, topologyFile)));
      const log = createLog({ region: region.id, level: plan.logLevel, destination: { write: say } });
      const database = createPostgresStore({ url: plan.databaseUrl, log });
      const parts = {
        logWriter: network.writer(region.id),
        logReaders: new Map(ids.filter((id) => id !== region.id).map((id) => [id, network.reader(id, region.id)])),
        hotStore: () => createMemoryStore(new MemoryJournal()),
        windowQueue: createMemoryWindowQueue(),
        windowStore: database,
        changeStore: database,
      };
      started.push(await startRegion(config, () => parts, { runtime, log }));
    }
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    links,
    regions: () =>
      plan.regions.map(({ id, port, adminPort }) => ({
        id,
        api: `http://127.0.0.1:${port}`,
        admin: `http://127.0.0.1:${adminPort}`,
        pid: process.pid,
        nats_pid: null,
        nats_data: null,
        state: 'running',
        parts: { log: 'in memory', journal: 'in memory', windows: `in memory → ${plan.databaseName}`, shards: String(plan.shards) },
        restarts: 0,
      })),
    processes: new Map(),
    twin: () => null,
    deleteStream: async () => {
      throw new CommandFailure('usage', 'the logs are in memory and have no streams; install nats-server and start dev without --embedded');
    },
    stop,
  };
}
