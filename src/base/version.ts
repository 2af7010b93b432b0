/** The version of this build, as its package says. */

import { createRequire } from 'node:module';

// By the package's own name, because the way to it from dist/ is another than from src/.
export const { version: VERSION } = createRequire(import.meta.url)('ovation/package.json') as { readonly version: string };
