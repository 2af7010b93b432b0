/**
 * Real nats-servers for tests: free ports, temporary folders, stopped by process id.
 *
 * Without a binary the tests that need one are skipped, loudly and counted; where `CI=true` they fail.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findNatsServer, startNatsServer, type NatsServer } from '../../src/cli/dev/nats-server.ts';

const binary = findNatsServer();

/** For `describe.skipIf(!natsAvailable)`. */
export const natsAvailable = binary !== null;

if (!natsAvailable) {
  const install = 'no nats-server binary; on Debian: apt-get install nats-server';
  if (process.env['CI'] === 'true') throw new Error(install);
  console.warn(`SKIPPED: ${install}`);
}

/** A server of a region (default `us`). `stop` also removes its folder. */
export async function startNats({ region = 'us' }: { readonly region?: string } = {}): Promise<NatsServer> {
  const storeDir = mkdtempSync(path.join(os.tmpdir(), `ovation-nats-${region}-`));
  const server = await startNatsServer({ region, storeDir }, binary);
  const stop = server.stop.bind(server);
  server.stop = async () => {
    await stop();
    rmSync(storeDir, { recursive: true, force: true });
  };
  return server;
}
