/** Puts a mutant into the code: never into the files, only into what is bundled or loaded from them. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Mutant } from './mutants.ts';

/**
 * The text of the mutant's file with the fault in it. `root` is that of the project.
 * @throws Error when the code has moved on, so that the fault has no place in it any more, or more than one
 */
export function textWith({ what, file, find, replace }: Mutant, root: string): string {
  const parts = readFileSync(path.join(root, file), 'utf8').split(find);
  if (parts.length !== 2) throw new Error(`“${what}”: ${file} has the text to replace ${parts.length - 1} times: ${find}`);
  return parts.join(replace);
}
