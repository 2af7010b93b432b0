/** `ovation dev-database` (hidden): the embedded database of `ovation dev`, in a process of its own. */

import type { Command } from 'commander';
import { FolderInUse } from '../analytics/folder-lock.ts';
import { migrate } from '../analytics/migrate.ts';
import { realRuntime } from '../base/runtime.ts';
import { parseInteger } from './arguments.ts';
import { reportReady, whenParentEnds } from './dev/child-channel.ts';
import { CommandFailure } from './failure.ts';
import { stopSignal } from './stop-signal.ts';

interface DevDatabaseOptions {
  readonly data: string;
  readonly port: number;
}

export function addDevDatabaseCommand(program: Command): void {
  program
    .command('dev-database', { hidden: true })
    .description('Run the embedded database of `ovation dev`. Not durable: for trying out only.')
    .requiredOption('--data <folder>', 'where it keeps its data')
    .option('--port <port>', 'port to listen on', parseInteger(0, 65_535), 0)
    .action(runDatabase);
}

async function runDatabase({ data, port }: DevDatabaseOptions): Promise<void> {
  const stop = stopSignal();
  const { startPgliteServer } = await import('../analytics/pglite-server.ts');
  const server = await startPgliteServer({ dataDir: data, port, runtime: realRuntime }).catch((error: unknown) => {
    if (error instanceof FolderInUse) throw new CommandFailure('usage', error.message);
    throw error;
  });
  await migrate(server.url);
  reportReady({ url: server.url });
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }));
  await Promise.race([stopped, whenParentEnds()]);
  await server.stop();
  // The channel to the parent would keep a stopped database alive.
  process.exit();
}
