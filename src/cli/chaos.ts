/** `ovation chaos`: breaks and mends the running `ovation dev`. */

import type { Command } from 'commander';
import { sleep } from '../../regions/runtime.ts';
import { realRuntime } from '../base/runtime.ts';
import { parseDuration, parseHttpUrl, parseId } from './arguments.ts';
import type { DevStatus, LinkCommand } from '../web/live/dev-api.ts';
import { createDevClient, type DevClient } from './dev/dev-client.ts';
import { findRunningDev } from './dev/run-file.ts';
import { stopSignal } from './stop-signal.ts';

interface ChaosOptions {
  readonly url?: string;
  readonly json?: boolean;
}

export function addChaosCommand(program: Command): void {
  const chaos = program
    .command('chaos')
    .description('Break and mend the running `ovation dev`: links between regions, processes.')
    .addHelpText(
      'after',
      `
Examples:
  $ ovation chaos partition us eu --for 10s    cut the link, wait, heal it
  $ ovation chaos partition us eu              cut it until healed
  $ ovation chaos heal                         heal all links
  $ ovation chaos delay us eu 75ms             75 ms each way: a round trip of 150 ms
  $ ovation chaos kill us                      kill -9 the region's process; dev restarts it
  $ ovation chaos kill us-nats                 kill -9 its nats-server; dev restarts it
  $ ovation chaos kill database                kill -9 the embedded database; dev restarts it
  $ ovation chaos status`,
    );

  subcommand(chaos, 'partition', 'Cut the link between two regions, both ways.')
    .argument('<a>', 'a region', parseId)
    .argument('<b>', 'another region', parseId)
    .option('--for <duration>', 'heal it after this long, also when interrupted', parseDuration)
    .action(async (a: string, b: string, options: ChaosOptions & { for?: number }) => {
      const dev = connect(options);
      report(await changeFor(dev, { from: a, to: b, action: 'cut' }, options.for), options);
    });

  subcommand(chaos, 'delay', 'Delay what passes between two regions, each way.')
    .argument('<a>', 'a region', parseId)
    .argument('<b>', 'another region', parseId)
    .argument('<duration>', 'such as 75ms', parseDuration)
    .option('--for <duration>', 'take the delay away after this long, also when interrupted', parseDuration)
    .action(async (a: string, b: string, delayMs: number, options: ChaosOptions & { for?: number }) => {
      const dev = connect(options);
      const delay: LinkCommand = { from: a, to: b, action: 'delay', delay_ms: delayMs };
      report(await changeFor(dev, delay, options.for), options);
    });

  subcommand(chaos, 'heal', 'Heal the link between two regions, or all links.')
    .argument('[a]', 'a region', parseId)
    .argument('[b]', 'another region', parseId)
    .action(async (a: string | undefined, b: string | undefined, options: ChaosOptions) => {
      if (a !== undefined && b === undefined) chaos.error('error: give both regions of the link, or none for all links');
      report(await connect(options).link({ from: a ?? '*', to: b ?? '*', action: 'heal' }), options);
    });

  subcommand(chaos, 'kill', 'kill -9 a region (us), its nats-server (us-nats) or the database; dev restarts it.')
    .argument('<target>', 'a region, a region with -nats, or database', parseId)
    .action(async (target: string, options: ChaosOptions) => report(await connect(options).kill({ target }), options));

  subcommand(chaos, 'status', 'Show regions, links and database.').action(async (options: ChaosOptions) =>
    report(await connect(options).status(), options),
  );
}

function subcommand(chaos: Command, name: string, description: string): Command {
  return chaos
    .command(name)
    .description(description)
    .option('--url <url>', 'the live page of the dev to break (default: the one that runs)', parseHttpUrl)
    .option('--json', 'print the status as JSON');
}

function connect(options: ChaosOptions): DevClient {
  return createDevClient(options.url ?? findRunningDev());
}

/** With a duration: waits, heals, and heals also on Ctrl-C. Dev heals too, should this process be killed. */
async function changeFor(dev: DevClient, command: LinkCommand, forMs: number | undefined): Promise<DevStatus> {
  if (forMs === undefined) return dev.link(command);
  await dev.link({ ...command, for_ms: forMs });
  const stop = stopSignal();
  await sleep(realRuntime.timers, forMs, stop.signal);
  stop.release();
  return dev.link({ from: command.from, to: command.to, action: 'heal' });
}

function report(status: DevStatus, { json }: ChaosOptions): void {
  if (json) {
    console.log(JSON.stringify(status));
    return;
  }
  for (const { from, to, state, delay_ms } of status.links) {
    console.log(`${from} – ${to}  ${state}${state === 'delayed' ? ` by ${delay_ms} ms each way` : ''}`);
  }
  for (const region of status.regions) {
    const nats = region.nats_pid === null ? '' : `, nats-server pid ${region.nats_pid}`;
    console.log(`${region.id}  ${region.state}  ${region.api}  pid ${region.pid ?? '–'}${nats}, restarts ${region.restarts}`);
  }
  console.log(`database  ${status.database}`);
}
