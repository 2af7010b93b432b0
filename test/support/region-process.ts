/** The program of a region in a process of its own, for tests that kill it: configured by its environment, as a deployed one. */

import { readConfig } from '../../src/config.ts';
import { startRegion } from '../../src/region.ts';

const { port, adminPort } = await startRegion(readConfig());
process.send?.({ port, adminPort });
// Whoever started it is gone, however that ended.
process.once('disconnect', () => process.exit());
