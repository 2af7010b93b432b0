/** `ovation chaos`: breaks and mends the running `ovation dev`. */

import type { Command } from 'commander';
import { sleep } from '../../regions/runtime.ts';
import { realRuntime } from '../base/runtime.ts';
import { parseDuration, parseHttpUrl, parseId, parsePercentage } from './arguments.ts';
import { addDeleteStreamCommand } from './chaos-streams.ts';
import type { DevStatus, LinkCommand, LinkStatus, ProcessCommand, RegionStatus } from '../web/live/dev-api.ts';
import { createDevClient, type DevClient } from './dev/dev-client.ts';
import { findRunningDev } from './dev/run-file.ts';
import { stopSignal } from './stop-signal.ts';

interface ChaosOptions {
  readonly url?: string;
  readonly json?: boolean;
}

interface TimedOptions extends ChaosOptions {
  readonly for?: number;
}

const PROCESSES: readonly (readonly [action: ProcessCommand['action'], description: string, undo: string | null])[] = [
  ['kill', 'kill -9; dev starts it again.', null],
  ['pause', 'SIGSTOP: it holds its connections and does nothing.', 'let it go on'],
  ['stop', 'End it in order, and keep it ended.', 'start it again'],
  ['duplicate', 'Start a second process of a region, with the same identity.', 'end it'],
  ['resume', 'Undo a pause, a stop or a duplicate.', null],
];

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
  $ ovation chaos half-open us eu --for 10s    what us sends to eu is lost, what eu sends arrives
  $ ovation chaos lose us eu 5%                lose packets; TCP sends them again, late
  $ ovation chaos kill us                      kill -9 the region's process; dev restarts it
  $ ovation chaos kill us-nats                 kill -9 its nats-server; dev restarts it
  $ ovation chaos pause us --for 30s           SIGSTOP, and SIGCONT after 30 s
  $ ovation chaos stop database --for 60s      no database for a minute
  $ ovation chaos duplicate us --for 20s       two processes with one identity
  $ ovation chaos delete-stream us log         delete a stream of its NATS
  $ ovation chaos status

deploy/chaos/ has a script a scenario, which checks before and after and breaks real deployments as well.`,
    );

  subcommand(chaos, 'partition', 'Cut the link between two regions, both ways.')
    .argument('<a>', 'a region', parseId)
    .argument('<b>', 'another region', parseId)
    .option('--for <duration>', 'heal it after this long, also when interrupted', parseDuration)
    .action(async (a: string, b: string, options: TimedOptions) => {
      const dev = connect(options);
      report(await changeFor(dev, { from: a, to: b, action: 'cut' }, options.for), options);
    });

  subcommand(chaos, 'delay', 'Delay what passes between two regions, each way.')
    .argument('<a>', 'a region', parseId)
    .argument('<b>', 'another region', parseId)
    .argument('<duration>', 'such as 75ms', parseDuration)
    .option('--for <duration>', 'take the delay away after this long, also when interrupted', parseDuration)
    .action(async (a: string, b: string, delayMs: number, options: TimedOptions) => {
      const dev = connect(options);
      const delay: LinkCommand = { from: a, to: b, action: 'delay', delay_ms: delayMs };
      report(await changeFor(dev, delay, options.for), options);
    });

  subcommand(chaos, 'half-open', 'Lose what one region sends to another; what the other sends arrives.')
    .argument('<from>', 'the region whose words are lost', parseId)
    .argument('<to>', 'the other one', parseId)
    .option('--for <duration>', 'heal it after this long, also when interrupted', parseDuration)
    .action(async (from: string, to: string, options: TimedOptions) => {
      report(await changeFor(connect(options), { from, to, action: 'half-open' }, options.for), options);
    });

  subcommand(chaos, 'lose', 'Lose packets between two regions, each way.')
    .argument('<a>', 'a region', parseId)
    .argument('<b>', 'another region', parseId)
    .argument('<share>', 'such as 5%', parsePercentage)
    .option('--for <duration>', 'lose no more after this long, also when interrupted', parseDuration)
    .action(async (from: string, to: string, loss: number, options: TimedOptions) => {
      report(await changeFor(connect(options), { from, to, action: 'lose', loss }, options.for), options);
    });

  subcommand(chaos, 'heal', 'Heal the link between two regions, or all links.')
    .argument('[a]', 'a region', parseId)
    .argument('[b]', 'another region', parseId)
    .action(async (a: string | undefined, b: string | undefined, options: ChaosOptions) => {
      if (a !== undefined && b === undefined) chaos.error('error: give both regions of the link, or none for all links');
      report(await connect(options).link({ from: a ?? '*', to: b ?? '*', action: 'heal' }), options);
    });

  for (const [action, description, undo] of PROCESSES) {
    const command = subcommand(chaos, action, description).argument('<target>', 'a region, its nats-server (us-nats), or database', parseId);
    if (action === 'resume') command.alias('start');
    if (undo !== null) command.option('--for <duration>', `${undo} after this long, also when interrupted`, parseDuration);
    command.action(async (target: string, options: TimedOptions) => {
      report(await processFor(connect(options), { target, action }, options.for), options);
    });
  }
  addDeleteStreamCommand(subcommand(chaos, 'delete-stream', "Delete a stream of a region's NATS, as a mistaken hand would."));

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

type WaitOrStop = (forMs: number) => Promise<'over' | 'interrupted'>;

/**
 * With a duration dev heals by itself, unless a later command has taken the place of this one; so there is nothing to do but to
 * wait. Interrupted, it is healed at once.
 */
export async function changeFor(dev: DevClient, command: LinkCommand, forMs: number | undefined, wait: WaitOrStop = waitOrStop): Promise<DevStatus> {
  if (forMs === undefined) return dev.link(command);
  await dev.link({ ...command, for_ms: forMs });
  if ((await wait(forMs)) === 'over') return dev.status();
  return dev.link({ from: command.from, to: command.to, action: 'heal' });
}

/** The same for processes. */
export async function processFor(dev: DevClient, command: ProcessCommand, forMs: number | undefined, wait: WaitOrStop = waitOrStop): Promise<DevStatus> {
  if (forMs === undefined) return dev.process(command);
  await dev.process({ ...command, for_ms: forMs });
  if ((await wait(forMs)) === 'over') return dev.status();
  return dev.process({ target: command.target, action: 'resume' });
}

async function waitOrStop(forMs: number): Promise<'over' | 'interrupted'> {
  const stop = stopSignal();
  await sleep(realRuntime.timers, forMs, stop.signal);
  stop.release();
  return stop.signal.aborted ? 'interrupted' : 'over';
}

function report(status: DevStatus, { json }: ChaosOptions): void {
  if (json) {
    console.log(JSON.stringify(status));
    return;
  }
  for (const link of status.links) console.log(`${link.from} – ${link.to}  ${describeLink(link)}`);
  for (const region of status.regions) console.log(describeRegion(region));
  console.log(`database  ${status.database}`);
}

function describeLink({ state, delay_ms, loss = 0, lost_from }: LinkStatus): string {
  if (state === 'delayed') return `delayed by ${delay_ms} ms each way`;
  if (state === 'lossy') return `loses ${(loss * 100).toFixed(1)} %`;
  return state === 'half-open' ? `half open: what ${lost_from} sends is lost` : state;
}

function describeRegion({ id, state, api, pid, nats_pid, restarts }: RegionStatus): string {
  const nats = nats_pid === null ? '' : `, nats-server pid ${nats_pid}`;
  return `${id}  ${state}  ${api}  pid ${pid ?? '–'}${nats}, restarts ${restarts}`;
}
