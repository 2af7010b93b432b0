#!/usr/bin/env node
// Prints what the browser bundles weigh, and fails when one is heavier than promised.

import path from 'node:path';
import process from 'node:process';
import { gzipSync } from 'node:zlib';
import { BUNDLES, bundle } from './bundles.mjs';

process.chdir(path.resolve(import.meta.dirname, '../..'));

for (const { name, entry, gzipBytesMax } of BUNDLES) {
  const code = await bundle({ entry });
  const bytes = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${bytes} bytes gzipped (${code.length} plain), ${gzipBytesMax} at most`);
  if (bytes > gzipBytesMax) {
    console.error(`${name} is ${bytes - gzipBytesMax} bytes too heavy.`);
    process.exitCode = 1;
  }
}
