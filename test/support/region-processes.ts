/**
 * Regions as processes of their own, each on a real nats-server of its own, that can be killed and started again with
 * the same ports and data. Unless they are given a database, their windows are not kept.
 */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import type { NatsAddress } from '../../regions/topology.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { childEnvironment } from '../../src/config.ts';
import { startNats } from './nats.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

export interface RegionProcesses {
  readonly names: readonly string[];
  readonly nats: ReadonlyMap<string, NatsServer>;
  url(name: string): string;
  /** SIGKILL, and its end. */
  kill(name: string): Promise<void>;
  /** Once more, after a kill; perhaps configured otherwise. */
  start(name: string, environment?: Readonly<Record<string, string>>): Promise<void>;
  /** What the region answers to who asks for the totals of a stream, without zeros; null while it does not answer. */
  totals(name: string, stream: string): Promise<Record<string, number> | null>;
  stop(): Promise<void>;
}

export interface RegionProcessesOptions {
  /** For all regions. */
  readonly environment?: Readonly<Record<string, string>>;
  /** By which way a region reaches its own NATS. */
  readonly ownAddress?: (name: string, address: NatsAddress) => Promise<NatsAddress>;
}

/** `policy` is a policy document, the same for all regions. */
export async function startRegionProcesses(names: readonly string[], policy: object = {}, options: RegionProcessesOptions = {}): Promise<RegionProcesses> {
  const { environment = {}, ownAddress = (_, address) => Promise.resolve(address) } = options;
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-regions-'));
  const servers = await Promise.all(names.map((region) => startNats({ region })));
  const nats = new Map(names.map((name, index) => [name, servers[index]!]));
  const topology: Record<string, object> = {};
  for (const [name, { address, peerAddress }] of nats) topology[name] = { nats: await ownAddress(name, address), peer: peerAddress };
  const files = { topology: path.join(folder, 'topology.json'), policy: path.join(folder, 'policy.json') };
  writeFileSync(files.topology, JSON.stringify({ regions: topology }));
  writeFileSync(files.policy, JSON.stringify(policy));

  // In one file it starts within a second; packages, also its own, are looked for from where it lies.
  const program = path.join(folder, 'region.mjs');
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  copyFileSync(path.join(ROOT, 'package.json'), path.join(folder, 'package.json'));
  await build({
    entryPoints: [path.join(import.meta.dirname, 'region-process.ts')],
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  });

  const ports = new Map<string, number>();
  const children = new Map<string, ChildProcess>();
  async function start(name: string, changes: Readonly<Record<string, string>> = {}): Promise<void> {
    const child = fork(program, [], {
      env: childEnvironment({
        OVATION_REGION: name,
        OVATION_TOPOLOGY: files.topology,
        OVATION_POLICY_FILE: files.policy,
        OVATION_PORT: String(ports.get(name) ?? 0),
        OVATION_ADMIN_PORT: '0',
        OVATION_LOG_LEVEL: 'error',
        ...environment,
        ...changes,
      }) as NodeJS.ProcessEnv,
    });
    children.set(name, child);
    const early = once(child, 'exit').then(([code]: unknown[]) => {
      throw new Error(`region ${name} ended with ${String(code)} before it was ready`);
    });
    early.catch(() => {});
    const [ready] = (await Promise.race([once(child, 'message'), early])) as [{ readonly port: number }];
    ports.set(name, ready.port);
  }
  async function kill(name: string): Promise<void> {
    const child = children.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  const url = (name: string): string => `http://127.0.0.1:${ports.get(name)}`;
  await Promise.all(names.map((name) => start(name)));
  return {
    names,
    nats,
    url,
    kill,
    start,
    async totals(name, stream) {
      try {
        const response = await fetch(`${url(name)}/streams/${stream}/reactions`, { signal: AbortSignal.timeout(2_000) });
        const { totals } = (await response.json()) as { readonly totals: Record<string, number> };
        return Object.fromEntries(Object.entries(totals).filter(([, total]) => total !== 0));
      } catch {
        return null;
      }
    },
    async stop() {
      await Promise.all(names.map(kill));
      await Promise.all(servers.map((server) => server.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
