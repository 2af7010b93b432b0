/** `ovation region`: one real region, configured by its environment, until it is told to stop. */

import type { Command } from 'commander';
import { InvalidTopology } from '../../regions/topology.ts';
import { collectGarbageSeldom } from '../base/process-load.ts';
import { InvalidConfig, VARIABLES, readConfig, type Config } from '../config.ts';
import { InvalidPolicy } from '../moderation/policy.ts';
import { reportReady, whenParentEnds } from './dev/child-channel.ts';
import { CommandFailure, EXIT_CODES, type ExitReason } from './failure.ts';
import { stopSignal } from './stop-signal.ts';

/** What a region tells the process that started it, once it is ready. */
export interface RegionReady {
  readonly port: number;
  readonly adminPort: number;
}

/** Below the 30 s after which Kubernetes kills. */
const STOP_MS_MAX = 28_000;
const NAME_WIDTH = 2 + Math.max(...VARIABLES.map(([name]) => name.length));

export function addRegionCommand(program: Command): void {
  program
    .command('region')
    .description('Run one region, configured by environment variables, until SIGTERM or SIGINT.')
    .option('--print-config', 'print the configuration as it was understood, without secrets, and exit')
    .addHelpText(
      'after',
      `
Environment (each NAME may be given as NAME_FILE, the path of a file that holds the value):
${VARIABLES.map(([name, meaning]) => `  ${name.padEnd(NAME_WIDTH)}${meaning}`).join('\n')}

Told to stop, it is not ready any more, sends viewers away one after another, makes durable what it has taken in, and exits
with 0; with 1 when that took longer than ${STOP_MS_MAX / 1000} s. Nothing acknowledged is lost either way. A second signal ends it at once.

Exits with 1 when another process has taken the region's place, so that a supervisor starts it anew.

Examples:
  $ OVATION_REGION=us OVATION_TOPOLOGY=topology.json ovation region
  $ OVATION_REGION=us OVATION_TOPOLOGY=topology.json ovation region --print-config`,
    )
    .action(async (options: { readonly printConfig?: boolean }) => {
      const config = configFromEnvironment();
      if (options.printConfig) console.log(JSON.stringify(redact(config), null, 2));
      else await runRegion(config);
    });
}

async function runRegion(config: Config): Promise<never> {
  collectGarbageSeldom();
  const stop = stopSignal();
  const told = Promise.race([whenAborted(stop.signal), whenParentEnds()]);
  const { startRegion } = await import('../region.ts');
  const starting = startRegion(config).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' || error.code === 'EACCES') throw new CommandFailure('usage', portProblem(config, error));
    throw error;
  });
  const region = await Promise.race([starting, told]);
  // Told to stop before it has acknowledged anything: there is nothing to hand over.
  if (region === undefined) process.exit(EXIT_CODES.ok);
  reportReady({ port: region.port, adminPort: region.adminPort } satisfies RegionReady);

  const fencedBecause = await Promise.race([region.fenced, told]);
  setTimeout(() => exitWith('no', `the region did not stop within ${STOP_MS_MAX / 1000} s`), STOP_MS_MAX);
  await region.stop();
  if (fencedBecause !== undefined) exitWith('no', `region ${config.region} is fenced: ${fencedBecause}`);
  // Not left to an empty event loop: whatever else is open must not keep a stopped region alive.
  process.exit(EXIT_CODES.ok);
}

function exitWith(reason: ExitReason, message: string): never {
  process.stderr.write(`ovation: ${message}\n`);
  process.exit(EXIT_CODES[reason]);
}

function whenAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** @throws CommandFailure */
export function configFromEnvironment(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (error instanceof InvalidConfig) throw new CommandFailure('usage', error.message);
    if (error instanceof InvalidTopology) throw new CommandFailure('usage', `OVATION_TOPOLOGY: ${error.message}`);
    if (error instanceof InvalidPolicy) throw new CommandFailure('usage', `OVATION_POLICY_FILE: ${error.message}`);
    throw error;
  }
}

function portProblem({ host, port, adminPort }: Config, error: Error): string {
  return `cannot listen on ${host}, port ${port} or admin port ${adminPort}: ${error.message}`;
}

/** The configuration for eyes and logs: no passwords, keys or secrets. */
function redact({ topology, policy, jwt, databaseUrl, ...rest }: Config): object {
  const regions = [...topology.regions].map(([name, { nats, peer }]) => [
    name,
    { nats: withoutPassword(nats), peer: withoutPassword(peer) },
  ]);
  return {
    ...rest,
    topology: { regions: Object.fromEntries(regions) },
    databaseUrl: databaseUrl === null ? null : hidePassword(databaseUrl),
    jwt: jwt === null ? null : 'secret' in jwt ? { secret: '[redacted]' } : jwt,
    policy: { ...policy, palette: Object.fromEntries(policy.palette), endedStreams: [...policy.endedStreams] },
  };
}

function withoutPassword<Address extends { readonly password?: string }>(address: Address): object {
  return address.password === undefined ? address : { ...address, password: '[redacted]' };
}

function hidePassword(url: string): string {
  const parsed = new URL(url);
  if (parsed.password !== '') parsed.password = 'redacted';
  if (parsed.searchParams.has('password')) parsed.searchParams.set('password', 'redacted');
  return parsed.href;
}
