#!/usr/bin/env node
// Compiles TypeScript into dist/, bundles what browsers load, and copies the files that are read at run
// time, unless nothing changed since the last build.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const root = path.resolve(import.meta.dirname, '../..');
process.chdir(root);

const SOURCES = ['crdt', 'regions', 'src', 'test'];
const ASSET = /\.(sql|html|css|svg|json)$/;
const stamp = 'dist/.built';

const files = SOURCES.flatMap((folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name)),
).sort();

const hash = createHash('sha256');
for (const file of [...files, 'tsconfig.json', 'package-lock.json', 'deploy/local/bundles.mjs']) hash.update(file).update(readFileSync(file));
const wanted = hash.digest('hex');
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) process.exit(0);

// Built aside and then swapped in, so that what runs from dist/ never sees half a build.
const next = `dist.next-${process.pid}`;
rmSync(next, { recursive: true, force: true });
process.on('exit', () => rmSync(next, { recursive: true, force: true }));
const compiler = path.join('node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.json', '--outDir', next], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
for (const file of files.filter((name) => ASSET.test(name))) {
  mkdirSync(path.dirname(path.join(next, file)), { recursive: true });
  cpSync(file, path.join(next, file));
}
// Asked for here, because a fresh clone has esbuild only once its packages are installed.
const { BUNDLES, bundle } = await import('./bundles.mjs');
mkdirSync(path.join(next, 'client'));
for (const { name, entry } of BUNDLES) writeFileSync(path.join(next, 'client', name), await bundle({ entry }));
// npm makes the commands of dependencies executable, but not those of the checkout itself.
chmodSync(path.join(next, 'src/cli/main.js'), 0o755);
writeFileSync(path.join(next, '.built'), wanted);
rmSync('dist', { recursive: true, force: true });
renameSync(next, 'dist');
