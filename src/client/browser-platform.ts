/** What the SDK stands on where the app says nothing else: the browser's own, as far as it is there. */

import type { PageLike, Platform } from './client-types.ts';

export function browserPlatform(): Platform {
  const { WebSocket, fetch, document, reportError } = globalThis as Partial<typeof globalThis>;
  return {
    runtime: browserRuntime(),
    WebSocket,
    // Called as methods of something else they would refuse.
    fetch: fetch && ((url, init) => fetch(url, init)),
    page: document && (globalThis as unknown as PageLike),
    // oxlint-disable-next-line no-console -- what browsers without `reportError` have
    reportError: (error) => (reportError ?? console.error)(error),
  };
}

function browserRuntime(): Platform['runtime'] {
  let wall = Date.now();
  let monotonic = performance.now();
  let now = wall;
  return {
    clock: {
      // The monotonic clock may stand while the machine sleeps, the wall clock may be set. Whichever went
      // further: a batch must not seem younger than it is, or it would be sent again too late.
      now() {
        const [lastWall, lastMonotonic] = [wall, monotonic];
        wall = Date.now();
        monotonic = performance.now();
        return (now += Math.max(0, wall - lastWall, monotonic - lastMonotonic));
      },
    },
    timers: {
      after(delayMs, call) {
        const timer = setTimeout(call, delayMs);
        return () => clearTimeout(timer);
      },
    },
    random: { next: Math.random },
  };
}

/** 128 random bits as an id. `crypto.randomUUID` would need a secure origin. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
