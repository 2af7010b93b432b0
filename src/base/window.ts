/** The one-second windows that counts fall into, by commit time: shared by who counts and who stores. */

export const WINDOW_MS = 1000;

/** The window that a time falls into, by its start. */
export function windowStartOf(atMs: number): number {
  return Math.floor(atMs / WINDOW_MS) * WINDOW_MS;
}
