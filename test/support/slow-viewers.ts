/**
 * Viewers whose links are slow or dead, for tests and benchmarks: `slow-viewers.c`, compiled and started, and stopped by its own id.
 *
 * Without a compiler the tests that need it are skipped, loudly and counted; where `CI=true` they fail.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface SlowViewers {
  /** From now on so many read nothing any more, and so many 1,000 bytes a second; the rest reads on. */
  slow(stuck: number, crawling: number): void;
  /** When each connection ended that the region has ended, in milliseconds since the process began. */
  readonly cutAt: readonly number[];
  /** All at once. */
  leave(): Promise<void>;
}

/** Resolves when all are connected. @throws when there is no compiler, or not all are let in */
export async function startSlowViewers(url: string, stream: string, viewers: number): Promise<SlowViewers> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-slow-viewers-'));
  const program = path.join(folder, 'slow-viewers');
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    execFileSync('cc', ['-O2', '-o', program, sourceFile()], { stdio: 'ignore' });
  } catch (error) {
    removeFolder();
    throw error;
  }
  const child = spawn(program, [new URL(url).port, `/streams/${stream}/reactions`, String(viewers)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close').then(removeFolder);
  const cutAt: number[] = [];
  const ready = new Promise<void>((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      if (line === 'ready') resolve();
      else cutAt.push(performance.now());
    });
  });
  const early = ended.then(() => {
    throw new Error(`not all of ${viewers} viewers were let in`);
  });
  early.catch(() => {});
  await Promise.race([ready, early]);
  return {
    slow: (stuck, crawling) => child.stdin.write(`${stuck} ${crawling}\n`),
    cutAt,
    async leave() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** For `describe.skipIf(!compilerAvailable)`. */
export const compilerAvailable = hasCompiler();

if (!compilerAvailable) {
  const install = 'no C compiler; on Debian: apt-get install gcc libc6-dev';
  if (process.env['CI'] === 'true') throw new Error(install);
  console.warn(`SKIPPED: ${install}`);
}

function hasCompiler(): boolean {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Beside this file; from the build it is found in the source tree. */
function sourceFile(): string {
  const places = ['.', '../../../test/support'].map((place) => path.resolve(import.meta.dirname, place, 'slow-viewers.c'));
  return places.find(existsSync) ?? places[0]!;
}
