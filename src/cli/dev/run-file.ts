/**
 * The run file: where a running `ovation dev` can be found, so that `chaos`, `audit` and `load` need
 * no flags. One file a port, in a folder of the user's own; a file whose process is gone is removed.
 */

import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { CommandFailure } from '../failure.ts';

interface RunFile {
  readonly url: string;
  readonly pid: number;
}

/** Answers how to remove it again. */
export function writeRunFile(port: number, url: string): () => void {
  const folder = runFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const path = join(folder, `${port}.json`);
  writeFileSync(path, JSON.stringify({ url, pid: process.pid } satisfies RunFile), { mode: 0o600 });
  return () => rmSync(path, { force: true });
}

/** The URL of the one `ovation dev` that runs. @throws CommandFailure when none or several run */
export function findRunningDev(): string {
  const urls = listRunFiles().map(({ url }) => url);
  if (urls.length === 0) {
    throw new CommandFailure('unreachable', 'no `ovation dev` is running here; start one, or say where with --url, or real regions with --endpoint or OVATION_ENDPOINTS');
  }
  if (urls.length > 1) {
    throw new CommandFailure('usage', `several \`ovation dev\` are running; choose one with --url: ${urls.join(', ')}`);
  }
  return urls[0]!;
}

function listRunFiles(): RunFile[] {
  const folder = runFolder();
  const running: RunFile[] = [];
  for (const name of listFolder(folder)) {
    const path = join(folder, name);
    const file = parseRunFile(path);
    if (file !== null && isAlive(file.pid)) running.push(file);
    else rmSync(path, { force: true });
  }
  return running;
}

function runFolder(): string {
  return join(tmpdir(), `ovation-dev-${userInfo().uid}`);
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function parseRunFile(path: string): RunFile | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RunFile;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Alive, but of another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
