/** The entry of the player SDK: `createReactions`. */

import type { Reactions, ReactionsOptions } from './client-types.ts';

export function createReactions(_options: ReactionsOptions): Reactions {
  throw new Error('Not built yet');
}
