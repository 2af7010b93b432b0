/** The app's listeners: what one throws is reported, once, and neither stops the others nor the SDK. */

import type { ReactionsEvents } from './client-types.ts';

type Listener = (event: never) => void;

export class Listeners {
  readonly #report: (error: unknown) => void;
  readonly #byName = new Map<string, Set<{ readonly call: Listener; hasFailed: boolean }>>();

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  on<Name extends keyof ReactionsEvents>(name: Name, call: (event: ReactionsEvents[Name]) => void): () => void {
    const listener = { call: call as Listener, hasFailed: false };
    let listeners = this.#byName.get(name);
    if (listeners === undefined) this.#byName.set(name, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<Name extends keyof ReactionsEvents>(name: Name, event: ReactionsEvents[Name]): void {
    // A copy, because a listener may add and remove others.
    for (const listener of Array.from(this.#byName.get(name) ?? [])) {
      try {
        listener.call(event as never);
      } catch (error) {
        if (!listener.hasFailed) this.#report(error);
        listener.hasFailed = true;
      }
    }
  }

  clear(): void {
    this.#byName.clear();
  }
}
