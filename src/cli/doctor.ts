/** `ovation doctor`: is everything that a region needs there, before it is started or while it runs? */

import type { Command } from 'commander';
import { realRuntime } from '../base/runtime.ts';
import type { Config } from '../config.ts';
import { parseHttpUrl } from './arguments.ts';
import { examine } from './doctor/examine.ts';
import { fail, judgeNode, ok, type Finding } from './doctor/findings.ts';
import { CommandFailure, EXIT_CODES } from './failure.ts';
import { configFromEnvironment } from './region.ts';

export interface DoctorOptions {
  readonly natsMonitor?: string;
  readonly natsData?: string;
  readonly json?: boolean;
}

const LEVEL_WIDTH = 6;

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description("Check a region's configuration and surroundings, before it is deployed or while it runs. Changes nothing.")
    .option('--nats-monitor <url>', 'the monitoring URL of its nats-server, to learn when it flushes to the disk', parseHttpUrl)
    .option('--nats-data <folder>', 'the folder of its nats-server, to learn how much room is left')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
It reads the environment that \`ovation region\` reads. Each line is ok, warn or fail, with what to do about it; exits with
1 when anything fails.

Examples:
  $ OVATION_REGION=us OVATION_TOPOLOGY=topology.json ovation doctor
  $ ovation doctor --nats-monitor http://127.0.0.1:8222 --nats-data /var/lib/nats --json`,
    )
    .action(async (options: DoctorOptions) => {
      process.exitCode = await doctor(options, configFromEnvironment, (line) => console.log(line));
    });
}

/** Answers the exit code. `readConfig` throws CommandFailure. */
export async function doctor(options: DoctorOptions, readConfig: () => Config, write: (line: string) => void): Promise<number> {
  const findings = [judgeNode(process.versions.node), ...(await examineConfigured(options, readConfig))];
  const failed = findings.filter(({ level }) => level === 'fail').length;
  const warned = findings.filter(({ level }) => level === 'warn').length;
  if (options.json) {
    write(JSON.stringify({ healthy: failed === 0, failed, warned, findings }));
  } else {
    const width = 2 + Math.max(...findings.map(({ check }) => check.length));
    for (const finding of findings) for (const line of linesOf(finding, width)) write(line);
    write(failed === 0 ? `Nothing fails${warned === 0 ? '' : `; ${warned} to look at`}.` : `${failed} failed${warned === 0 ? '' : `, ${warned} to look at`}.`);
  }
  return failed === 0 ? EXIT_CODES.ok : EXIT_CODES.no;
}

async function examineConfigured({ natsMonitor, natsData }: DoctorOptions, readConfig: () => Config): Promise<Finding[]> {
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    return [fail('configuration', error.message, 'set it as ovation region --help says; nothing else was checked')];
  }
  const { region, topology, shardCount } = config;
  const configured = ok('configuration', `region ${region} of ${[...topology.regions.keys()].join(', ')}, ${shardCount} ${shardCount === 1 ? 'shard' : 'shards'}`);
  const found = await examine({ config, natsMonitor: natsMonitor ?? null, natsData: natsData ?? null, now: () => realRuntime.clock.now() });
  return [configured, ...found];
}

function linesOf({ check, level, detail, advice }: Finding, width: number): string[] {
  const first = `${level.padEnd(LEVEL_WIDTH)}${check.padEnd(width)}${detail}`;
  return advice === undefined ? [first] : [first, `${' '.repeat(LEVEL_WIDTH + width)}→ ${advice}`];
}
