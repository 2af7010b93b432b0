/**
 * The entry of the player SDK: `createReactions`, and the types of what it answers.
 *
 * It begins to connect in the next turn, so that listeners can be added first, and never throws.
 */

import { browserPlatform } from './browser-platform.ts';
import type { Reactions, ReactionsOptions } from './client-types.ts';
import { Engine } from './engine.ts';
import { Listeners } from './listeners.ts';
import { checkOptions } from './options.ts';
import { watchPage } from './page-lifecycle.ts';

export type * from './client-types.ts';

export function createReactions(options: ReactionsOptions): Reactions {
  const platform = { ...browserPlatform(), ...options?.platform };
  const listeners = new Listeners(platform.reportError);
  const checked = checkOptions(options, globalThis.location?.href);
  const engine = new Engine(checked, platform, listeners);
  const { timers } = platform.runtime;
  let unwatch = (): void => {};
  if (!checked.isUsable) engine.end();
  const cancelStart = timers.after(0, () => {
    // Before it connects: a page that is hidden already has ten seconds to be looked at.
    if (checked.isUsable && platform.page !== undefined) {
      unwatch = watchPage(platform.page, timers, {
        flush: (isLeaving) => engine.flush(isLeaving),
        pause: () => engine.pause(),
        resume: () => engine.resume(),
      });
    }
    // Who hears of it may close, and nothing may be begun after that.
    if (checked.problems.length > 0) engine.report('invalid-options', checked.problems.join('. '), false);
    engine.resume();
  });
  return {
    tap: (emoji, count = 1) => engine.tap(emoji, count),
    on: (name, listener) => listeners.on(name, listener),
    get totals() {
      return engine.totals;
    },
    get palette() {
      return engine.palette;
    },
    get state() {
      return engine.state;
    },
    get frame() {
      return engine.frame;
    },
    get endpoint() {
      return engine.endpoint;
    },
    close() {
      cancelStart();
      unwatch();
      listeners.clear();
      engine.end();
    },
  };
}
