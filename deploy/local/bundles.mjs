// What a page loads with one script tag, how it is bundled, and what it may weigh. All of it is in
// dist/client/, which `ovation dev` serves.

import { existsSync } from 'node:fs';
import { build } from 'esbuild';

/** `gzipBytesMax` is a promise to those who embed it. */
export const BUNDLES = [
  { name: 'ovation-client.js', entry: 'src/client/create-reactions.ts', gzipBytesMax: 10_000 },
  { name: 'ovation-overlay.js', entry: 'src/client/overlay/define.ts', gzipBytesMax: 16_000 },
  { name: 'live-page.js', entry: 'src/web/live/live.ts', gzipBytesMax: 32_000 },
  { name: 'console-page.js', entry: 'src/web/console/console.ts', gzipBytesMax: 45_000 },
].filter(({ entry }) => existsSync(entry));

/** The bundle's text. Run from the root of the project. @throws with what esbuild found wrong */
export async function bundle({ entry }) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: 'esm',
    minify: true,
    target: ['es2022'],
    legalComments: 'none',
    logLevel: 'silent',
    write: false,
  });
  return outputFiles[0].contents;
}
