/** `ovation load`: viewers with a known ground truth, checked against the service's books. */

import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import { realRuntime } from '../base/runtime.ts';
import { parseDuration, parseId, parseInteger, parsePositive } from './arguments.ts';
import { addEndpointOptions, findEndpoints, type EndpointOptions } from './endpoints.ts';
import { mintOfEnvironment } from './environment.ts';
import { EXIT_CODES } from './failure.ts';
import type { LoadPlan } from './load/run-load.ts';
import { ENCODINGS, type Encoding } from './load/wire.ts';
import { stopSignal } from './stop-signal.ts';

interface LoadOptions extends EndpointOptions {
  readonly viewers: number;
  readonly rate: number;
  readonly duration: number;
  readonly stream?: string;
  readonly trace?: string;
  readonly speed: number;
  readonly connections: number;
  readonly settle: number;
  readonly encoding: Encoding;
  readonly database: boolean;
  readonly json?: boolean;
}

export function addLoadCommand(program: Command): void {
  const command = program
    .command('load')
    .description('Play a crowd against one or several regions and check every count against its ground truth.')
    .option('--viewers <n>', 'viewers, spread over the regions', parseInteger(1, 100_000), 100)
    .option('--rate <taps>', 'taps per second of each viewer', parsePositive(1000), 2)
    .addOption(new Option('--duration <time>', 'how long they tap').argParser(parseDuration).default(20_000, '20s'))
    .option('--trace <file>', 'replay a recorded crowd instead: CSV or .csv.gz with t_ms,viewer,emoji,count')
    .option('--speed <factor>', 'replay the recording this many times faster', parsePositive(10_000), 1)
    .option('--stream <id>', 'the stream to tap (default: a new one)', parseId);
  addEndpointOptions(command)
    .option('--connections <n>', 'connections at most; idle viewers make room for others', parseInteger(16, 50_000), 2000)
    .addOption(
      new Option('--settle <time>', 'how long the last answers, and then the books, may take')
        .argParser(parseDuration)
        .default(60_000, '60s'),
    )
    .addOption(new Option('--encoding <name>', 'the subprotocol to speak').choices(ENCODINGS).default('msgpack'))
    .option('--no-database', 'do not compare with the database')
    .option('--json', 'print one JSON object and no progress')
    .addHelpText(
      'after',
      `
Viewers behave as the player does: numbered batches about every 250 ms, resent unchanged after a
reconnect until acknowledged. At the end the books of all regions and of the database must show
exactly what was acknowledged; exits with 1 when they do not.

Regions that ask for tokens: give their OVATION_JWT_SECRET or OVATION_JWT_SECRET_FILE to this command
too, and it signs a token for each viewer and a moderator's for the books. Regions with a JWKS cannot
be loaded, for only their issuer can sign.

Examples:
  $ ovation load --viewers 200 --rate 4 --duration 30s
  $ ovation load --trace crowd.csv.gz --speed 60
  $ ovation load --regions us --viewers 2000 --rate 2
  $ OVATION_JWT_SECRET_FILE=/run/secrets/jwt ovation load --endpoint https://us.example.org
  $ ovation load --endpoint https://us.example.org,https://eu.example.org --json`,
    )
    .action(load);
}

async function load(options: LoadOptions): Promise<void> {
  const { runLoad } = await import('./load/run-load.ts');
  const { formatProgress, formatResult, resultAsJson } = await import('./load/report.ts');
  const stop = stopSignal();
  const shown = !options.json && process.stderr.isTTY;
  const plan = await planOf(options);
  try {
    const result = await runLoad(plan, realRuntime, stop.signal, (progress) => {
      if (shown) process.stderr.write(`\r\u001b[K${formatProgress(progress)}`);
    });
    if (shown) process.stderr.write('\r\u001b[K');
    console.log(options.json ? JSON.stringify(resultAsJson(result)) : formatResult(result));
    if (!result.verdict.balanced) process.exitCode = EXIT_CODES.no;
  } finally {
    stop.release();
  }
}

async function planOf(options: LoadOptions): Promise<LoadPlan> {
  const endpoints = await findEndpoints(options);
  return {
    endpoints,
    stream: options.stream ?? `load-${randomBytes(5).toString('hex')}`,
    source:
      options.trace === undefined
        ? { kind: 'random', viewers: options.viewers, tapsPerSecond: options.rate, durationMs: options.duration }
        : { kind: 'trace', path: options.trace, speed: options.speed },
    connectionsMax: options.connections,
    settleMs: options.settle,
    encoding: options.encoding,
    mintToken: await mintOfEnvironment(),
    compareStored: options.database,
  };
}
