/** Runs tests with the mutant in the code that `OVATION_MUTANT` numbers. */

import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { MUTANTS } from './mutants.ts';
import { textWith } from './put-in.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const mutant = MUTANTS[Number(process.env['OVATION_MUTANT'])];
if (mutant === undefined) throw new Error(`OVATION_MUTANT is a number below ${MUTANTS.length}`);

export default defineConfig({
  root,
  plugins: [{ name: 'mutant', enforce: 'pre', load: (id) => (path.resolve(id) === path.join(root, mutant.file) ? textWith(mutant, root) : null) }],
  test: { include: ['test/**/*.test.ts'], testTimeout: 60_000 },
});
