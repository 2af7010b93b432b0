import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { CommandFailure } from '../../src/cli/failure.ts';
import { tokenOf } from '../../src/cli/token.ts';

it('[CLI-40] without an option the token is that of the environment', () => {
  expect(tokenOf({}, () => 'a.b.c')).toBe('a.b.c');
  expect(tokenOf({ token: 'd.e.f' }, () => 'a.b.c')).toBe('d.e.f');
});

it('[CLI-14] a token is given as such or in a file, never both, and a file that cannot be read or is empty is wrong use', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-token-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const tokenFile = path.join(folder, 'moderator.jwt');
  writeFileSync(tokenFile, ' a.b.c\n');
  expect(tokenOf({})).toBeNull();
  expect(tokenOf({ token: 'd.e.f' })).toBe('d.e.f');
  expect(tokenOf({ tokenFile })).toBe('a.b.c');
  const failureOf = (options: Parameters<typeof tokenOf>[0]): unknown => {
    try {
      return tokenOf(options);
    } catch (error) {
      return error instanceof CommandFailure ? [error.reason, error.message] : error;
    }
  };
  expect(failureOf({ token: 'd.e.f', tokenFile })).toEqual(['usage', expect.stringContaining('not both')]);
  writeFileSync(tokenFile, '\n');
  expect(failureOf({ tokenFile })).toEqual(['usage', expect.stringContaining('is empty')]);
  expect(failureOf({ tokenFile: path.join(folder, 'none') })).toEqual(['usage', expect.stringContaining('cannot be read')]);
});
