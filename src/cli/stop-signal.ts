/**
 * SIGINT, SIGTERM and SIGHUP (a terminal that was closed) as an AbortSignal: the first one asks for an orderly stop, a later one
 * forces it.
 */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Under npm and in a terminal one Ctrl-C can arrive twice, from the terminal and passed on by npm. */
const SAME_PRESS_MS = 1000;
const EXIT_FORCED = 130;

export interface StopSignal {
  readonly signal: AbortSignal;
  /** Stops listening: the signals do what they did before. */
  release(): void;
}

/** `force` is called for a second Ctrl-C; without it the process exits at once. */
export function stopSignal(force: () => void = () => process.exit(EXIT_FORCED)): StopSignal {
  const controller = new AbortController();
  let firstAt = 0;
  const stop = (): void => {
    if (!controller.signal.aborted) {
      firstAt = performance.now();
      controller.abort();
    } else if (performance.now() - firstAt > SAME_PRESS_MS) {
      force();
    }
  };
  for (const name of SIGNALS) process.on(name, stop);
  return {
    signal: controller.signal,
    release() {
      for (const name of SIGNALS) process.off(name, stop);
    },
  };
}
