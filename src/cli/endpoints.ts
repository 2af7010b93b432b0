/** Which regions a command talks to: those named by URL, by option or environment, or those of the running `ovation dev`. */

import type { Command } from 'commander';
import { collectHttpUrls, parseHttpUrl, parseIds } from './arguments.ts';
import { createDevClient } from './dev/dev-client.ts';
import { findRunningDev } from './dev/run-file.ts';
import { CommandFailure } from './failure.ts';

export interface EndpointOptions {
  readonly endpoint?: readonly string[];
  readonly url?: string;
  readonly regions?: readonly string[];
}

export function addEndpointOptions(command: Command): Command {
  return command
    .option('--endpoint <url>', 'a region to use; repeat it or separate by commas', collectHttpUrls)
    .option('--url <url>', 'the live page of an `ovation dev`, to use its regions (default: the one that runs)', parseHttpUrl)
    .option('--regions <ids>', 'only these regions of the dev, such as us,eu', parseIds);
}

/**
 * The URLs of the regions' APIs. Those of the environment only for a command that hands them in: what taps must not find real
 * regions by itself. @throws CommandFailure
 */
export async function findEndpoints(options: EndpointOptions, ofEnvironment: readonly string[] | null = null): Promise<readonly string[]> {
  if (options.endpoint !== undefined) {
    if (options.regions !== undefined) throw new CommandFailure('usage', '--regions chooses among the regions of a dev; leave it out with --endpoint');
    return options.endpoint;
  }
  if (ofEnvironment !== null && options.url === undefined && options.regions === undefined) return ofEnvironment;
  const { regions } = await createDevClient(options.url ?? findRunningDev()).status();
  const wanted = options.regions ?? regions.map(({ id }) => id);
  return wanted.map((id) => {
    const region = regions.find((each) => each.id === id);
    if (region === undefined) {
      throw new CommandFailure('usage', `there is no region ${id}; there are ${regions.map((each) => each.id).join(', ')}`);
    }
    return region.api;
  });
}
