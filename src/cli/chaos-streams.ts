/** `ovation chaos delete-stream`: of a running dev, or of a real region through its topology file. */

import { readFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { InvalidTopology, parseTopology } from '../../regions/topology.ts';
import { parseId } from './arguments.ts';
import { createDevClient } from './dev/dev-client.ts';
import { findRunningDev } from './dev/run-file.ts';
import { CommandFailure, describeError } from './failure.ts';
import { STREAM_KINDS, deleteStreams, type StreamKind } from './nats-streams.ts';

interface DeleteOptions {
  readonly url?: string;
  readonly topology?: string;
  readonly json?: boolean;
}

export function addDeleteStreamCommand(command: Command): void {
  command
    .argument('<region>', 'whose NATS', parseId)
    .addArgument(new Argument('<stream>', 'what it is for').choices(STREAM_KINDS))
    .option('--topology <file>', 'of a real region: its topology file, as OVATION_TOPOLOGY names it')
    .addHelpText(
      'after',
      `
log      what peers read: written again, nothing is lost
journal  what a region that starts reads: nothing is lost while its process lives
windows  what waits for the database: queued again while its process lives; when that has died too, \`ovation audit\` says
         which counts the database lacks`,
    )
    .action(async (region: string, stream: StreamKind, { url, topology, json }: DeleteOptions) => {
      if (topology === undefined) await createDevClient(url ?? findRunningDev()).deleteStream({ region, stream });
      else await deleteOfRegion(topology, region, stream);
      console.log(json ? JSON.stringify({ region, deleted: stream }) : `Deleted the ${stream} of ${region}.`);
    });
}

async function deleteOfRegion(file: string, region: string, stream: StreamKind): Promise<void> {
  const { regions } = readTopology(file);
  const addresses = regions.get(region);
  if (addresses === undefined) throw new CommandFailure('usage', `there is no region ${region} in ${file}; there are ${[...regions.keys()].join(', ')}`);
  await deleteStreams(region, addresses.nats, stream);
}

function readTopology(file: string): ReturnType<typeof parseTopology> {
  try {
    return parseTopology(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new CommandFailure('usage', `${file}: ${error instanceof InvalidTopology ? error.message : describeError(error)}`);
  }
}
