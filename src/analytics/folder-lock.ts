/**
 * A lock on a folder, for one process at a time: a file that names its holder.
 *
 * The lock of a process that no longer runs is taken over; that of a running one never. A process is
 * known by its id and, where the system tells, by when it started, because ids are used again (in a
 * container all the time). It does not reach across machines or containers that share a folder.
 */

import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';

const FILE_NAME = 'ovation.lock';
const ATTEMPTS_MAX = 10;

/** A running process holds the folder. The message names it. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse';
}

/** Creates the folder when missing. Answers how to release the lock. @throws FolderInUse */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, FILE_NAME);
  const own = path.join(folder, `${FILE_NAME}.${randomUUID()}`);
  // The id makes two locks of one process differ.
  const claim = `${process.pid} ${await startOf(process.pid)} ${randomUUID()}\n`;
  await writeFile(own, claim);
  try {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      // A link appears whole or not at all, unlike a file that is created and then written.
      if (await succeeds(link(own, file), 'EEXIST')) {
        return async () => {
          if ((await read(file)) === claim) await rm(file, { force: true });
        };
      }
      const held = await read(file);
      if (held === undefined) continue;
      if (await isAlive(held)) throw inUse(folder, held);
      await removeStale(file, held);
    }
    throw new FolderInUse(`${folder}: others keep taking the lock ${file}`);
  } finally {
    await rm(own, { force: true });
  }
}

/** Moves a dead process' lock away, unless another process has replaced it meanwhile. */
async function removeStale(file: string, held: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  if (!(await succeeds(rename(file, aside), 'ENOENT'))) return;
  if ((await read(aside)) !== held) await succeeds(link(aside, file), 'EEXIST');
  await rm(aside, { force: true });
}

function inUse(folder: string, held: string): FolderInUse {
  return new FolderInUse(`${folder} is used by process ${held.split(' ')[0]}; stop it, or choose another folder`);
}

async function isAlive(held: string): Promise<boolean> {
  const [pidText = '', started = ''] = held.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // No permission to signal it means that it exists.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const startedNow = await startOf(pid);
  return startedNow === 'unknown' || started === 'unknown' || startedNow === started;
}

/** When a process started, in the system's own words; `unknown` where it does not tell. */
async function startOf(pid: number): Promise<string> {
  try {
    const [stat, boot] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile('/proc/sys/kernel/random/boot_id', 'utf8')]);
    // The command, in parentheses, may contain anything; the start time is field 22, the 20th after it.
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return started === undefined ? 'unknown' : `${boot.trim()}:${started}`;
  } catch {
    return 'unknown';
  }
}

async function read(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** False when it failed with the code expected. */
async function succeeds(action: Promise<unknown>, code: string): Promise<boolean> {
  try {
    await action;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return false;
    throw error;
  }
}
