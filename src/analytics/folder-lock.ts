/**
 * A lock on a folder, for one process at a time: a file that names its holder.
 *
 * The lock of a process that no longer runs is taken over; that of a running one never. A process is
 * known by its id and, where the system tells, by when it started, because ids are used again (in a
 * container all the time). It does not reach across machines or containers that share a folder.
 *
 * Lock files are numbered and the highest one counts. Taking over creates the next number, which only
 * one can do, instead of removing a file, which might by then be another's.
 */

import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';

const FILE_NAME = /^ovation\.lock\.(\d+)$/;
const ATTEMPTS_MAX = 50;
const RELEASED = 'released\n';

/** A running process holds the folder. The message names it. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse';
}

/** Creates the folder when missing. Answers how to release the lock. @throws FolderInUse */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const claim = path.join(folder, `ovation.claim.${randomUUID()}`);
  await writeFile(claim, `${process.pid} ${await startOf(process.pid)}\n`);
  try {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const highest = await highestLock(folder);
      const held = highest === 0 ? RELEASED : await read(lockFile(folder, highest));
      if (held === undefined) continue;
      if (await isAlive(held)) throw new FolderInUse(`${folder} is used by process ${held.split(' ')[0]}; stop it, or choose another folder`);
      if (await take(folder, highest + 1, claim)) return () => release(folder, highest + 1);
    }
    throw new FolderInUse(`${folder}: others keep taking the lock`);
  } finally {
    await rm(claim, { force: true });
  }
}

async function take(folder: string, number: number, claim: string): Promise<boolean> {
  const file = lockFile(folder, number);
  try {
    // A link appears whole or not at all, unlike a file that is created and then written.
    await link(claim, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  if ((await highestLock(folder)) > number) {
    // We were slow: others have taken and passed on this number meanwhile.
    await rm(file, { force: true });
    return false;
  }
  for (const older of await locks(folder)) if (older < number) await rm(lockFile(folder, older), { force: true });
  return true;
}

/** The number stays, so that it is not used twice. */
async function release(folder: string, number: number): Promise<void> {
  const released = path.join(folder, `ovation.claim.${randomUUID()}`);
  await writeFile(released, RELEASED);
  await rename(released, lockFile(folder, number));
}

function lockFile(folder: string, number: number): string {
  return path.join(folder, `ovation.lock.${number}`);
}

async function locks(folder: string): Promise<number[]> {
  return (await readdir(folder)).flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []).map(Number);
}

/** 0 when there is none. */
async function highestLock(folder: string): Promise<number> {
  return Math.max(0, ...(await locks(folder)));
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
