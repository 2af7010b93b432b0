/**
 * How a doctor looks: asks NATS, peers, the database, ports and the system, and changes nothing. Checks do not wait
 * for each other, and each ends within seconds.
 */

import { readFile, statfs } from 'node:fs/promises';
import { NatsUnavailable, connectNats, type NatsConnection } from '../../../regions/nats-connection.ts';
import { logStream } from '../../../regions/nats-log.ts';
import type { NatsAddress } from '../../../regions/topology.ts';
import { MigrationDrift, MigrationFailed, pendingMigrations } from '../../analytics/migrate.ts';
import { WindowStoreUnavailable } from '../../analytics/window-store.ts';
import type { Config } from '../../config.ts';
import { assertFree } from '../dev/ports.ts';
import { CommandFailure, describeError } from '../failure.ts';
import * as judge from './findings.ts';
import { fail, ok, warn, type ClockOffset, type Finding } from './findings.ts';

export interface Surroundings {
  readonly config: Config;
  /** Of the own nats-server: where it tells of itself. Null: it is not asked. */
  readonly natsMonitor: string | null;
  /** The folder of the own nats-server, where it is on this machine. */
  readonly natsData: string | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const ANSWER_MS_MAX = 3_000;

export async function examine(surroundings: Surroundings): Promise<Finding[]> {
  const { config, natsData } = surroundings;
  const peers = [...config.topology.regions].filter(([name]) => name !== config.region);
  const findings = await Promise.all([
    ports(config),
    openFiles(config.viewersMax),
    ownNats(surroundings),
    ...peers.map(([name, { peer }]) => peerNats(name, peer, surroundings)),
    database(config.databaseUrl),
    natsData === null ? [] : disk(natsData),
    [judge.judgeAccess(config.jwt !== null, config.origins)],
  ]);
  return findings.flat();
}

/** Free, or taken by the region itself. */
async function ports({ region, host, port, adminPort }: Config): Promise<Finding[]> {
  const running = adminPort === 0 ? null : await readiness(region, host, adminPort);
  if (running !== null) return [running];
  const check = 'ports';
  try {
    for (const [wanted, purpose] of [[port, 'OVATION_PORT'], [adminPort, 'OVATION_ADMIN_PORT']] as const) await assertFree(wanted, purpose, host);
    return [ok(check, `${port} and ${adminPort} are free at ${host}; the region does not run here`)];
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    return [fail(check, error.message.split(';')[0]!, 'stop what listens there, or choose another port')];
  }
}

async function readiness(region: string, host: string, adminPort: number): Promise<Finding | null> {
  const admin = `http://${reachable(host)}:${adminPort}`;
  try {
    const response = await fetch(`${admin}/readyz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const { reasons } = (await response.json()) as { readonly reasons?: Readonly<Record<string, string>> };
    if (reasons === undefined) return null;
    const found = await regionAt(admin);
    if (found !== region) {
      const who = found === null ? 'something that does not tell its region' : `the region ${found}`;
      return fail('ports', `${who} runs at the admin port ${adminPort}, not ${region}`, 'give each region of a machine ports of its own, or check OVATION_REGION');
    }
    if (response.ok) return ok('ports', `the region runs here, and is ready (admin port ${adminPort})`);
    return fail('ports', `the region runs here, and is not ready: ${Object.values(reasons).join(', ')}`, 'see its log');
  } catch {
    return null;
  }
}

/** Where one can be asked who listens at an address, also at all of them. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** Each of its metrics names the region. Null when there are none. */
async function regionAt(admin: string): Promise<string | null> {
  const response = await fetch(`${admin}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  return /^reactions_build_info\{[^}]*\bregion="([^"]*)"/m.exec(await response.text())?.[1] ?? null;
}

async function openFiles(viewersMax: number): Promise<Finding[]> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  return [judge.judgeOpenFiles(soft === undefined ? null : soft === 'unlimited' ? Infinity : Number(soft), viewersMax)];
}

async function ownNats({ config, natsMonitor, now }: Surroundings): Promise<Finding[]> {
  const { region, topology } = config;
  const { nats: address } = topology.regions.get(region)!;
  const advice = `check its address, user and password in the topology, that it runs, and that it was started with JetStream (-js, jetstream {})`;
  return withNats('nats', address, advice, async (nats) => {
    const storage = await nats.storage();
    const facts = { version: nats.serverVersion, maxPayload: nats.maxPayload, storage, syncMs: await syncMs(natsMonitor) };
    const log = await nats.streamState(logStream(region));
    const clock = log === null ? [] : [judge.judgeClock('the own NATS', await offsetOf(nats, region, now))];
    return [...judge.judgeNats(facts), ...clock];
  });
}

async function peerNats(peer: string, address: NatsAddress, { now }: Surroundings): Promise<Finding[]> {
  const advice = `check its address, user and password in the topology, firewalls between the regions, and that its user "peer" may read ${logStream(peer)}`;
  return withNats(`peer ${peer}`, address, advice, async (nats) => {
    const log = await nats.streamState(logStream(peer));
    if (log === null) return [judge.judgePeer(peer, null, false)];
    const clock = judge.judgeClock(peer, await offsetOf(nats, peer, now));
    // A server that does not allow it does not answer, or says so.
    const readsMore = await nats.storage().then(() => true, () => false);
    return [judge.judgePeer(peer, log.messages, readsMore), clock];
  });
}

async function offsetOf(nats: NatsConnection, region: string, now: () => number): Promise<ClockOffset> {
  const before = now();
  const there = await nats.serverNow(logStream(region));
  return judge.clockOffset(before, there, now());
}

async function withNats(check: string, address: NatsAddress, advice: string, use: (nats: NatsConnection) => Promise<Finding[]>): Promise<Finding[]> {
  let nats: NatsConnection | null = null;
  try {
    nats = await connectNats(address, 'ovation doctor');
    return await use(nats);
  } catch (error) {
    if (error instanceof NatsUnavailable) return [fail(check, error.message, advice)];
    throw error;
  } finally {
    await nats?.close();
  }
}

/** From `/varz`, in nanoseconds there. Null when it does not tell. */
async function syncMs(monitor: string | null): Promise<number | 'always' | null> {
  if (monitor === null) return null;
  try {
    const response = await fetch(`${monitor}/varz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const { jetstream } = (await response.json()) as { readonly jetstream?: { readonly config?: { readonly sync_interval?: number; readonly sync_always?: boolean } } };
    if (jetstream?.config?.sync_always === true) return 'always';
    return typeof jetstream?.config?.sync_interval === 'number' ? jetstream.config.sync_interval / 1e6 : null;
  } catch {
    return null;
  }
}

async function database(url: string | null): Promise<Finding[]> {
  const check = 'database';
  if (url === null) return [warn(check, 'none is configured: no windows are stored, and there is no history', 'set OVATION_DATABASE_URL_FILE')];
  try {
    return [judge.judgeMigrations(await pendingMigrations(url))];
  } catch (error) {
    if (error instanceof WindowStoreUnavailable) return [fail(check, `it does not answer: ${error.message}`, 'check OVATION_DATABASE_URL, and that the database runs; taps go on meanwhile, and windows wait')];
    if (error instanceof MigrationDrift || error instanceof MigrationFailed) return [fail(check, error.message, 'run the build that the database was migrated by, or a newer one')];
    throw error;
  }
}

async function disk(folder: string): Promise<Finding[]> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return [judge.judgeDisk(folder, bavail * bsize)];
  } catch (error) {
    return [fail('disk', `${folder}: ${describeError(error)}`, 'give the folder of nats-server to --nats-data')];
  }
}
