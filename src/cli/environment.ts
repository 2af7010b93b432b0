/**
 * What commands take from the environment when no option says it, so that a runbook's commands work as they stand: which
 * regions to ask, and the token to show them. What is wrong there is wrong use.
 */

import { InvalidArgumentError } from 'commander';
import { InvalidConfig, readEndpoints, readJwtSecret, readToken } from '../config.ts';
import { collectHttpUrls } from './arguments.ts';
import { CommandFailure } from './failure.ts';
import type { MintToken } from './load/tokens.ts';

/** For the help of commands that use both. */
export const ENVIRONMENT_HELP = `
Environment, where no option says it:
  OVATION_ENDPOINTS      the regions' APIs, separated by commas
  OVATION_TOKEN_FILE     a file that holds a moderator's token (or OVATION_TOKEN, the token itself)`;

/** Null when it names none. @throws CommandFailure */
export function endpointsOfEnvironment(): readonly string[] | null {
  const text = readEndpoints();
  try {
    return text === null ? null : collectHttpUrls(text);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new CommandFailure('usage', `OVATION_ENDPOINTS: ${error.message}`);
    throw error;
  }
}

/** Null when it has none. @throws CommandFailure */
export function tokenOfEnvironment(): string | null {
  return orWrongUse(readToken);
}

/** Signs with the regions' own secret, as long as the environment has it; null when not. @throws CommandFailure */
export async function mintOfEnvironment(): Promise<MintToken | null> {
  const secret = orWrongUse(readJwtSecret);
  if (secret === null) return null;
  const { createTokenMint } = await import('./load/tokens.ts');
  return createTokenMint(secret);
}

function orWrongUse<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidConfig) throw new CommandFailure('usage', error.message);
    throw error;
  }
}
