/** The database of a dev: one that is given, or PGlite in a process of its own. */

import path from 'node:path';
import { MigrationDrift, MigrationFailed, migrate } from '../../analytics/migrate.ts';
import { WindowStoreUnavailable } from '../../analytics/window-store.ts';
import type { Runtime } from '../../../regions/runtime.ts';
import { childEnvironment } from '../../config.ts';
import { CommandFailure } from '../failure.ts';
import { NodeChild } from './node-child.ts';
import { findFreePort } from './ports.ts';
import { Supervised } from './supervised.ts';

export interface DevDatabase {
  readonly name: string;
  readonly url: string;
  /** Null when it is not ours to break. */
  readonly process: Supervised | null;
  /** Resolves when it can be used; rejects when it cannot. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** A database that runs elsewhere: brought to this build's schema, otherwise left alone. */
export function useDatabase(url: string): DevDatabase {
  const { hostname, port, pathname } = new URL(url);
  const ready = migrate(url).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof WindowStoreUnavailable) throw new CommandFailure('unreachable', `the database does not answer: ${error.message}`);
      if (error instanceof MigrationDrift || error instanceof MigrationFailed) throw new CommandFailure('usage', error.message);
      throw error;
    },
  );
  return {
    name: `${hostname}:${port || 5432}${pathname}`,
    url,
    process: null,
    ready,
    stop: async () => undefined,
  };
}

export async function startDatabase(folder: string, runtime: Runtime, say: (line: string) => void): Promise<DevDatabase> {
  // Known beforehand, so that regions can be configured while it boots, and find it again when it restarts.
  const port = await findFreePort();
  const child = new NodeChild({
    name: 'database',
    args: ['dev-database', '--data', path.join(folder, 'database'), '--port', String(port)],
    environment: childEnvironment({}),
    onLine: say,
  });
  const supervised = new Supervised(child, runtime, say);
  const ready = supervised.start().catch((error: Error) => {
    throw new CommandFailure('usage', `the embedded database could not be started: ${error.message}`);
  });
  return {
    name: 'PGlite (embedded, for trying out)',
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    process: supervised,
    ready,
    stop: () => supervised.stop(),
  };
}
