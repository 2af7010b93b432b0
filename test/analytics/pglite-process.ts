/** A process that serves PGlite from a folder, as `ovation dev` has one; for tests that kill it. */

import process from 'node:process';
import { startPgliteServer } from '../../src/analytics/pglite-server.ts';
import { realRuntime } from '../../src/base/runtime.ts';

const [dataDir, holdMsMax] = process.argv.slice(2);
const server = await startPgliteServer({ dataDir: dataDir!, port: 0, runtime: realRuntime, holdMsMax: Number(holdMsMax) });
process.send!(server.url);
