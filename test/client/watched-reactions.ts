/** Reactions of a simulated world, with what they told of errors and states. */

import { createReactions } from '../../src/client/create-reactions.ts';
import type { Platform, Reactions, ReactionsError, ReactionsOptions, ReactionsState } from '../../src/client/client-types.ts';
import type { SimulatedWorld } from './simulated-regions.ts';

export interface WatchedReactions {
  readonly reactions: Reactions;
  readonly errors: readonly ReactionsError[];
  readonly states: readonly ReactionsState[];
}

export function watchReactions(world: SimulatedWorld, options: Partial<ReactionsOptions> = {}, platform: Partial<Platform> = {}): WatchedReactions {
  const errors: ReactionsError[] = [];
  const states: ReactionsState[] = [];
  const reactions = createReactions({
    endpoints: 'https://us.test',
    streamId: 'derby',
    platform: { ...world.platform(), ...platform },
    ...options,
  });
  reactions.on('error', (error) => errors.push(error));
  reactions.on('state', (state) => states.push(state));
  return { reactions, errors, states };
}
