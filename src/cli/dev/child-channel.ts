/**
 * The channel between `ovation dev` and the processes that it starts: Node's IPC.
 *
 * A child says once that it is ready. When the channel closes, dev is gone, however it ended, and the
 * child stops: nothing outlives its dev.
 */

/** Tells the parent, if there is one that listens. */
export function reportReady(details: object): void {
  process.send?.({ ready: details });
}

/** Resolves when the parent is gone; never when there is none. */
export function whenParentEnds(): Promise<undefined> {
  return new Promise((resolve) => {
    if (process.send === undefined) return;
    if (!process.connected) return resolve(undefined);
    process.once('disconnect', () => resolve(undefined));
  });
}
