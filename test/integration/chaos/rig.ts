/**
 * The rig: three regions with their nats-servers and a Postgres that they share, as real processes on a network that can be
 * broken. Scenarios break it, crowds tap in it.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { migrate } from '../../../src/analytics/migrate.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { isAlive } from './leftovers.ts';
import { startNetwork, type ChaosNetwork } from './network.ts';
import { RegionMachine } from './region-machine.ts';

export const REGIONS = ['us', 'eu', 'ap'] as const;
export type RegionName = (typeof REGIONS)[number];

export interface Rig {
  readonly network: ChaosNetwork;
  readonly postgres: Postgres;
  readonly databaseUrl: string;
  readonly folder: string;
  /** Where the NATS of `us` has a small disk of its own; null where none can be made. */
  readonly smallDisk: string | null;
  machine(region: RegionName): RegionMachine;
  /** Everybody's, in the order of `REGIONS`, as they serve now. */
  readonly endpoints: readonly string[];
  /** More than once, and also of a rig that is broken. */
  stop(): Promise<void>;
}

export interface RigOptions {
  readonly network?: 'namespaces' | 'proxies';
  /** Give the NATS of `us` a disk of this many megabytes, where that can be done. */
  readonly smallDiskMegabytes?: number;
}

const PREFIX = 'ovation-chaos-';
const PORTS = { nats: 14_222, api: 8_081, admin: 9_081 };

export async function startRig({ network: kind, smallDiskMegabytes }: RigOptions = {}): Promise<Rig> {
  sweepFolders();
  const folder = mkdtempSync(path.join(os.tmpdir(), `${PREFIX}${process.pid}-`));
  const undo: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (let next = undo.pop(); next !== undefined; next = undo.pop()) await next();
  };
  try {
    const network = await startNetwork(REGIONS, kind);
    undo.push(() => network.stop());
    const disk = smallDiskMegabytes === undefined ? null : mountSmallDisk(path.join(folder, 'small-disk'), smallDiskMegabytes);
    if (disk !== null) undo.push(() => void spawnSync('umount', ['--lazy', disk]));
    const [postgres, machines] = await startServers(network, folder, disk, undo);
    const databaseUrl = machines.databaseUrl;
    await startRegions(network, machines.byRegion);
    const machine = (region: RegionName): RegionMachine => machines.byRegion.get(region)!;
    return {
      network,
      postgres,
      databaseUrl,
      folder,
      smallDisk: disk,
      machine,
      get endpoints() {
        return REGIONS.map((region) => machine(region).servingUrl);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Machines {
  readonly databaseUrl: string;
  readonly byRegion: ReadonlyMap<RegionName, RegionMachine>;
}

async function startServers(network: ChaosNetwork, folder: string, disk: string | null, undo: (() => Promise<void> | void)[]): Promise<[Postgres, Machines]> {
  const postgres = await startPostgres({ host: network.commonAddress });
  undo.push(() => postgres.stop());
  const databaseUrl = await postgres.createDatabase('windows');
  await migrate(databaseUrl);
  const byRegion = new Map<RegionName, RegionMachine>();
  undo.push(async () => {
    await Promise.all([...byRegion.values()].map((machine) => machine.stop()));
  });
  // Each for itself, so that those that started are stopped when another one does not.
  const started = await Promise.allSettled(
    REGIONS.map(async (region) => {
      const options = {
        region,
        address: network.addressOf(region),
        launcher: network.launcherOf(region),
        folder: path.join(folder, region),
        natsFolder: region === 'us' && disk !== null ? disk : path.join(folder, region, 'nats'),
        databaseUrl,
        ports: network.launcherOf(region).length === 0 ? null : PORTS,
      };
      byRegion.set(region, await RegionMachine.create(options));
    }),
  );
  for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
  return [postgres, { databaseUrl, byRegion }];
}

async function startRegions(network: ChaosNetwork, machines: ReadonlyMap<RegionName, RegionMachine>): Promise<void> {
  for (const [from, machine] of machines) {
    const topology = await Promise.all(
      [...machines].map(async ([to, { nats }]) => {
        const peer = from === to ? nats.peerAddress : { ...nats.peerAddress, url: await network.peerUrl(from, to, nats.port) };
        return [to, { nats: nats.address, peer }] as const;
      }),
    );
    machine.writeTopology(new Map(topology));
  }
  await Promise.all([...machines.values()].map((machine) => machine.start()));
}

/** Null where that is not allowed. */
function mountSmallDisk(folder: string, megabytes: number): string | null {
  mkdirSync(folder);
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'ovation-chaos', folder]).status === 0 ? folder : null;
}

/** Folders, and disks in them, of runs that were killed. */
function sweepFolders(): void {
  for (const name of readdirSync(os.tmpdir())) {
    const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    const folder = path.join(os.tmpdir(), name);
    spawnSync('umount', ['--lazy', path.join(folder, 'small-disk')], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  }
}
