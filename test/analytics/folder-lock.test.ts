import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderInUse, lockFolder } from '../../src/analytics/folder-lock.ts';

describe('the lock of a folder', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'ovation-lock-'));
    file = path.join(folder, 'ovation.lock.7');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('[WIN-14] is held by one, also of many at once, until it is released', async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(FolderInUse);
    await won[0]!.value();
    await (await lockFolder(folder))();
    expect(readdirSync(folder)).toEqual(['ovation.lock.2']);
  });

  it('[WIN-14] of a live process is never taken, and the refusal names it', async () => {
    writeFileSync(file, `${process.ppid} unknown\n`);
    await expect(lockFolder(folder)).rejects.toThrow(`used by process ${process.ppid}`);
    expect(readFileSync(file, 'utf8')).toContain(String(process.ppid));
  });

  it('[WIN-14] never has two holders, however many take it over and pass it on', async () => {
    let holders = 0;
    let turns = 0;
    const contend = async (): Promise<void> => {
      while (turns < 40) {
        const release = await lockFolder(folder).catch(() => null);
        if (release === null) continue;
        expect((holders += 1)).toBe(1);
        turns += 1;
        // Held for a while, so that the others can try.
        await new Promise((resolve) => setImmediate(resolve));
        holders -= 1;
        await release();
      }
    };
    await Promise.all(Array.from({ length: 6 }, contend));
    expect(readdirSync(folder)).toEqual([`ovation.lock.${turns}`]);
  });

  it.each([
    ['a dead process', '4194999 unknown\n'],
    ['an earlier process with an id that is used again', `${process.pid} some-boot:1\n`],
    ['nobody that can be read', ''],
  ])('[WIN-14] of %s is taken over, by one', async (_, content) => {
    writeFileSync(file, content);
    const results = await Promise.allSettled(Array.from({ length: 4 }, () => lockFolder(folder)));
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect(readdirSync(folder)).toEqual(['ovation.lock.8']);
  });
});
