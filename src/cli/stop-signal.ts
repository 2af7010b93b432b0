/**
 * SIGINT and SIGTERM as an AbortSignal: the first one asks for an orderly stop, a later one forces it.
 */

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
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    },
  };
}
