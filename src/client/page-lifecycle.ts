/**
 * When the page is there: connections rest while it is offline, hidden for a while, or left, and come back
 * with it. What waits is sent the moment it is hidden, because on phones that may be the last one [SDK-11].
 */

import type { Cancel } from '../../regions/runtime.ts';
import type { Delays, PageLike } from './client-types.ts';

export interface PageTurns {
  /** The page may not come back: send what waits. `isLeaving` when sockets end with it. */
  flush(isLeaving: boolean): void;
  pause(): void;
  resume(): void;
}

/** A glance at another tab is no reason to connect anew. */
const HIDDEN_MS = 10_000;

/** Ends with a call of what it answers. */
export function watchPage(page: PageLike, timers: Delays, turns: PageTurns): Cancel {
  const { document } = page;
  let isOffline = false;
  let isLeft = false;
  let isAway = false;
  let isPaused = false;
  let cancelTimer: Cancel | undefined;

  const decide = (): void => {
    const shouldPause = isOffline || isLeft || isAway;
    if (shouldPause === isPaused) return;
    isPaused = shouldPause;
    if (isPaused) turns.pause();
    else turns.resume();
  };
  const changed = (isHidden: boolean, flushes: boolean): void => {
    cancelTimer?.();
    if (!isHidden) isAway = false;
    else {
      if (flushes) turns.flush(false);
      cancelTimer = timers.after(HIDDEN_MS, () => {
        isAway = true;
        decide();
      });
    }
    decide();
  };
  const listen = (target: Pick<PageLike, 'addEventListener' | 'removeEventListener'>, name: string, call: () => void): Cancel => {
    target.addEventListener(name, call);
    return () => target.removeEventListener(name, call);
  };
  const setOffline = (to: boolean) => (): void => {
    isOffline = to;
    decide();
  };
  const setLeft = (to: boolean) => (): void => {
    if (to) turns.flush(true);
    isLeft = to;
    decide();
  };

  const cancels = [
    listen(page, 'offline', setOffline(true)),
    listen(page, 'online', setOffline(false)),
    listen(page, 'pagehide', setLeft(true)),
    listen(page, 'pageshow', setLeft(false)),
    listen(document, 'visibilitychange', () => changed(document.visibilityState === 'hidden', true)),
  ];
  // A tab may be opened in the background and not be looked at for hours.
  changed(document.visibilityState === 'hidden', false);
  return () => {
    cancelTimer?.();
    for (const cancel of cancels) cancel();
  };
}
