import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InvalidConfig, readJwtSecret } from '../src/config.ts';

const SECRET = 'a secret of thirty-two characters';

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'ovation-config-'))));
afterEach(() => rmSync(folder, { recursive: true }));

test('the secret of tokens comes from a variable or a file, and a short one is refused', () => {
  const file = path.join(folder, 'secret');
  writeFileSync(file, `${SECRET}\n`);
  expect(readJwtSecret({})).toBe(null);
  expect(readJwtSecret({ OVATION_JWT_SECRET: SECRET })).toBe(SECRET);
  expect(readJwtSecret({ OVATION_JWT_SECRET_FILE: file })).toBe(SECRET);
  expect(() => readJwtSecret({ OVATION_JWT_SECRET: 'short' })).toThrow(InvalidConfig);
});
