import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { MUTANTS } from './mutants.ts';
import { textWith } from './put-in.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');

it('[SIM-7] every mutant still has its place in the code, and its row in the table of what catches it', () => {
  for (const mutant of MUTANTS) expect(textWith(mutant, ROOT)).not.toBe(readFileSync(path.join(ROOT, mutant.file), 'utf8'));
  const rows = [...readFileSync(path.join(ROOT, 'docs/simulation.md'), 'utf8').matchAll(/^\| ([^|]+) \| (?:none of )?\d[^|]* \|$/gm)].map((row) => row[1]);
  expect(rows).toEqual(MUTANTS.map(({ what }) => what));
});
