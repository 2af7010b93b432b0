/** The token that a command shows to regions, given as such, in a file, or by the environment. */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { tokenOfEnvironment } from './environment.ts';
import { CommandFailure, describeError } from './failure.ts';

export interface TokenOptions {
  readonly token?: string;
  readonly tokenFile?: string;
}

export function addTokenOptions(command: Command): Command {
  return command
    .option('--token <jwt>', 'a moderator’s token, for regions that ask for one; other users of this machine may see it')
    .option('--token-file <path>', 'a file that holds it');
}

/** Null when none is given. @throws CommandFailure */
export function tokenOf({ token, tokenFile }: TokenOptions, ofEnvironment: () => string | null = tokenOfEnvironment): string | null {
  if (token !== undefined && tokenFile !== undefined) throw new CommandFailure('usage', 'give --token or --token-file, not both');
  if (tokenFile === undefined) return token ?? ofEnvironment();
  let text: string;
  try {
    text = readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    throw new CommandFailure('usage', `${tokenFile} cannot be read: ${describeError(error)}`, { cause: error });
  }
  if (text === '') throw new CommandFailure('usage', `${tokenFile} is empty`);
  return text;
}
