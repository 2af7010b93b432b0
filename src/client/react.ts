/**
 * `useReactions`: the player SDK as a React hook. React is the app's own (18 or newer).
 *
 * One connection per mounted component and stream. It is made when the component is mounted, closed when it
 * is unmounted, and survives the unmounting that React's StrictMode plays at [SDK-15]. On a server nothing
 * is connected, and the palette is the one in the options.
 */

import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { Frame, Palette, Reactions, ReactionsError, ReactionsOptions, ReactionsState, Totals } from './client-types.ts';
import { createReactions } from './create-reactions.ts';

export type * from './client-types.ts';

export interface ReactionsSnapshot {
  readonly totals: Totals;
  readonly palette: Palette;
  readonly state: ReactionsState;
  readonly frame: Frame | null;
  /** The last error; null once connected again. */
  readonly error: ReactionsError | null;
}

export interface UsedReactions extends ReactionsSnapshot {
  readonly tap: Reactions['tap'];
}

/** Other endpoints, stream, viewer or transport mean another connection; a new `getToken` is used from the next one on. */
export function useReactions(options: ReactionsOptions): UsedReactions {
  const { endpoints, streamId, viewerId, transport, watchOnly } = options;
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const key = JSON.stringify([endpoints, streamId, viewerId, transport, watchOnly]);
  // The key stands for the options that count; the others are read when they are needed.
  const store = useMemo(() => createStore(() => latest.current, options), [key]);
  const snapshot = useSyncExternalStore(store.subscribe, store.read, store.readInitial);
  return useMemo(() => ({ ...snapshot, tap: store.tap }), [snapshot, store]);
}

function createStore(latest: () => ReactionsOptions, options: ReactionsOptions) {
  const initial: ReactionsSnapshot = {
    totals: {},
    palette: options.palette ?? {},
    state: 'disconnected',
    frame: null,
    error: null,
  };
  let snapshot = initial;
  let reactions: Reactions | null = null;
  let closing: ReturnType<typeof setTimeout> | undefined;
  const subscribers = new Set<() => void>();

  function changed(error: ReactionsError | null): void {
    if (reactions === null) return;
    const { totals, palette, state, frame } = reactions;
    snapshot = { totals, palette, state, frame, error };
    for (const call of subscribers) call();
  }

  function connect(): void {
    const { getToken } = options;
    reactions = createReactions({
      ...options,
      ...(getToken === undefined ? {} : { getToken: () => (latest().getToken ?? getToken)() }),
    });
    reactions.on('totals', () => changed(snapshot.error));
    reactions.on('frame', () => changed(snapshot.error));
    reactions.on('state', (state) => changed(state === 'connected' ? null : snapshot.error));
    reactions.on('error', changed);
  }

  return {
    subscribe(call: () => void): () => void {
      clearTimeout(closing);
      subscribers.add(call);
      if (reactions === null) connect();
      return () => {
        subscribers.delete(call);
        if (subscribers.size > 0) return;
        // StrictMode subscribes again at once.
        closing = setTimeout(() => {
          reactions?.close();
          reactions = null;
          snapshot = initial;
        });
      };
    },
    read: () => snapshot,
    readInitial: () => initial,
    tap: (emoji: string, count?: number): number => reactions?.tap(emoji, count) ?? 0,
  };
}
