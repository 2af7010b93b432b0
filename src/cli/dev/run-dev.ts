/**
 * One run of `ovation dev`: starts everything in order, shows it, and stops it in the reverse order,
 * whatever ended it. Nothing that it started outlives it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Runtime } from '../../../regions/runtime.ts';
import { FolderInUse, lockFolder } from '../../analytics/folder-lock.ts';
import { CommandFailure } from '../failure.ts';
import type { Cluster, ClusterPlan } from './cluster.ts';
import { startDatabase, useDatabase, type DevDatabase } from './database.ts';
import type { DevStatus } from '../../web/live/dev-api.ts';
import { DevCrowd } from './dev-crowd.ts';
import { startDevServer } from './dev-server.ts';
import { findNatsServer, type NatsBinary } from './nats-server.ts';
import { assertFree, portsOf } from './ports.ts';
import { Processes } from './processes.ts';
import { writeRunFile } from './run-file.ts';

export interface DevPlan {
  readonly port: number;
  /** Null: a temporary one that is removed at the end. */
  readonly dataFolder: string | null;
  readonly regions: readonly string[];
  readonly shards: number;
  /** Null: an embedded one. */
  readonly databaseUrl: string | null;
  /** No nats-server, even where there is one. */
  readonly embedded: boolean;
  readonly logLevel: string;
}

export interface RunningDev {
  readonly url: string;
  status(): DevStatus;
  stop(): Promise<void>;
}

type Stop = () => void | Promise<void>;

/** @throws CommandFailure; nothing runs then */
export async function startDev(
  plan: DevPlan,
  runtime: Runtime,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<RunningDev> {
  const stops: Stop[] = [];
  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopping ??= stopAll(stops, say));
  try {
    return { ...(await startAll(plan, runtime, signal, say, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startAll(
  plan: DevPlan,
  runtime: Runtime,
  signal: AbortSignal,
  say: (line: string) => void,
  stops: Stop[],
): Promise<Omit<RunningDev, 'stop'>> {
  const goOn = (): void => {
    if (signal.aborted) throw new CommandFailure('no', 'interrupted while starting');
  };
  await assertPortsFree(plan);
  const folder = await openFolder(plan.dataFolder, stops);
  const binary = plan.embedded ? null : findNatsServer();
  const database = plan.databaseUrl === null ? await startDatabase(folder, runtime, say) : useDatabase(plan.databaseUrl);
  stops.push(() => database.stop());
  goOn();
  const starting = startCluster(plan, folder, binary, database, runtime, say);
  // Also when the database fails while the regions are half way up.
  stops.push(async () => (await starting.catch(() => null))?.stop());
  const [cluster] = await Promise.all([starting, database.ready]);
  goOn();
  const processes = new Processes(
    {
      twin: (region) => cluster.twin(region),
      deleteStream: (command) => cluster.deleteStream(command),
      processes: new Map([...cluster.processes, ...(database.process === null ? [] : [['database', database.process] as const])]),
    },
    runtime.timers,
  );
  stops.push(() => processes.stop());
  const crowd = new DevCrowd(() => cluster.regions().map(({ api }) => api), runtime);
  stops.push(() => crowd.stop());
  const status = (): DevStatus => ({
    regions: cluster.regions(),
    links: cluster.links.status(),
    database: database.name,
    crowd: crowd.status(),
  });
  const server = await startDevServer(plan.port, status().regions.map(({ api }) => api), {
    status,
    link: (command) => cluster.links.change(command),
    process: (command) => processes.change(command),
    deleteStream: (command) => cluster.deleteStream(command),
    crowd: (command) => crowd.change(command),
    watched: () => crowd.watched(),
  });
  stops.push(() => server.close());
  const url = `http://127.0.0.1:${server.port}`;
  stops.push(writeRunFile(server.port, url));
  return { url, status };
}

async function startCluster(
  plan: DevPlan,
  folder: string,
  binary: NatsBinary | null,
  database: DevDatabase,
  runtime: Runtime,
  say: (line: string) => void,
): Promise<Cluster> {
  const clusterPlan: ClusterPlan = {
    regions: plan.regions.map((id, index) => ({ id, ...portsOf(plan.port, index) })),
    shards: plan.shards,
    folder: path.join(folder, 'regions'),
    databaseUrl: database.url,
    databaseName: database.name,
    logLevel: plan.logLevel,
  };
  if (binary !== null) {
    const { startNatsCluster } = await import('./nats-cluster.ts');
    return startNatsCluster(clusterPlan, binary, runtime, say);
  }
  // Regions in this process have nobody who waits for their database.
  await database.ready;
  const { startEmbeddedCluster } = await import('./embedded-cluster.ts');
  return startEmbeddedCluster(clusterPlan, runtime, say);
}

async function assertPortsFree({ port, regions }: DevPlan): Promise<void> {
  await assertFree(port, 'the live page');
  for (const [index, id] of regions.entries()) {
    const ports = portsOf(port, index);
    await assertFree(ports.port, `the API of region ${id}`);
    await assertFree(ports.adminPort, `the admin port of region ${id}`);
  }
}

async function openFolder(given: string | null, stops: Stop[]): Promise<string> {
  if (given === null) {
    const folder = mkdtempSync(path.join(tmpdir(), 'ovation-'));
    const remove = (): void => rmSync(folder, { recursive: true, force: true });
    // Also when this process ends in a hurry.
    process.once('exit', remove);
    stops.push(remove);
    return folder;
  }
  const folder = path.resolve(given);
  const unlock = await lockFolder(folder).catch((error: Error) => {
    if (error instanceof FolderInUse) throw new CommandFailure('usage', error.message);
    throw new CommandFailure('usage', `--data ${folder} cannot be used: ${error.message}`);
  });
  stops.push(unlock);
  return folder;
}

/** Last started, first stopped. One that cannot be stopped does not keep the others running. */
async function stopAll(stops: readonly Stop[], say: (line: string) => void): Promise<void> {
  for (const stop of stops.toReversed()) {
    try {
      await stop();
    } catch (error) {
      say(`while stopping: ${(error as Error).message}`);
    }
  }
}
