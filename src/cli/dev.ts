/** `ovation dev`: several regions on this machine, with links that can be cut and processes that can be killed. */

import { Option, type Command } from 'commander';
import { realRuntime } from '../base/runtime.ts';
import { parseIds, parseInteger } from './arguments.ts';
import type { DevStatus } from '../web/live/dev-api.ts';
import { formatLogLine } from './dev/log-lines.ts';
import { PORT_MAX, REGIONS_MAX } from './dev/ports.ts';
import { CommandFailure } from './failure.ts';
import { stopSignal } from './stop-signal.ts';

interface DevOptions {
  readonly port: number;
  readonly data?: string;
  readonly regions: readonly string[];
  readonly shards: number;
  readonly databaseUrl?: string;
  readonly embedded?: boolean;
  readonly logLevel: string;
}

export function addDevCommand(program: Command): void {
  program
    .command('dev')
    .description('Run several regions on this machine, on real nats-servers when the binary is found.')
    .option('--port <port>', 'the live page; the APIs of the regions follow on the next ports', parseInteger(1, PORT_MAX), 8080)
    .option('--data <folder>', 'keep data here (default: a temporary folder that is removed at the end)')
    .option('--regions <ids>', 'the regions', parseIds, ['us', 'eu', 'ap'])
    .option('--shards <n>', 'shards of each region', parseInteger(1, 256), 1)
    .option('--database-url <url>', 'a postgres:// URL (default: an embedded database)')
    .option('--embedded', 'no nats-server: the regions in one process, their logs in memory')
    .addOption(new Option('--log-level <level>', 'what of the logs to show').choices(['debug', 'info', 'warn', 'error', 'silent']).default('warn'))
    .addHelpText(
      'after',
      `
While it runs, in another terminal:
  $ ovation load --viewers 200                  a crowd with a known ground truth
  $ ovation chaos partition us eu --for 10s     cut a link
  $ ovation chaos kill us                       kill -9 a region; it comes back
  $ ovation audit --stream demo                 do all books agree?

Examples:
  $ ovation dev
  $ ovation dev --port 9000 --data ./data --shards 4
  $ ovation dev --regions us,eu --database-url postgres://localhost/ovation`,
    )
    .action(runDev);
}

async function runDev(options: DevOptions): Promise<void> {
  if (options.regions.length > REGIONS_MAX) throw new CommandFailure('usage', `--regions: ${REGIONS_MAX} at most`);
  if (options.databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(options.databaseUrl)) {
    throw new CommandFailure('usage', '--database-url: expected a postgres:// URL');
  }
  const startedAt = performance.now();
  const { startDev } = await import('./dev/run-dev.ts');
  const stop = stopSignal();
  const say = (line: string): void => void process.stderr.write(`${formatLogLine(line)}\n`);
  const dev = await startDev(
    {
      port: options.port,
      dataFolder: options.data ?? null,
      regions: options.regions,
      shards: options.shards,
      databaseUrl: options.databaseUrl ?? null,
      embedded: options.embedded ?? false,
      logLevel: options.logLevel,
    },
    realRuntime,
    stop.signal,
    say,
  );
  console.log(describeDev(dev.url, dev.status(), options.data));
  console.log(`\nReady in ${((performance.now() - startedAt) / 1000).toFixed(1)} s. Ctrl-C stops everything.`);
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  console.log('\nStopping …');
  await dev.stop();
  stop.release();
  console.log('Stopped.');
}

/** What is said once it runs. */
export function describeDev(url: string, { regions, database }: DevStatus, data: string | undefined): string {
  const rows = regions.map(({ id, api, admin, pid, nats_pid, parts }) => {
    const nats = nats_pid === null ? '' : `, nats-server pid ${nats_pid}`;
    return `  ${id.padEnd(10)} ${api}   admin ${admin}   pid ${pid}${nats}   log: ${parts['log']}`;
  });
  const isEmbedded = regions.every(({ nats_pid }) => nats_pid === null);
  const keeps = isEmbedded ? ': the windows only; counts are in memory and end with this process, so old streams no longer balance' : '';
  return [
    '',
    `  live page  ${url}`,
    ...rows,
    `  database   ${database}`,
    `  data       ${data === undefined ? 'temporary, removed at the end' : `${data}${keeps}`}`,
  ].join('\n');
}
