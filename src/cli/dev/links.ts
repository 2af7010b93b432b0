/**
 * The links between the regions of a dev: what state each is in, and how it changes. Both directions
 * of a link behave alike. What a link is made of is behind `LinkControl`.
 */

import type { Cancel, Timers } from '../../../regions/runtime.ts';
import { CommandFailure } from '../failure.ts';
import type { LinkCommand, LinkStatus } from '../../web/live/dev-api.ts';

/** What carries one direction. */
export interface LinkControl {
  cut(from: string, to: string): void;
  /** Undoes a cut. */
  heal(from: string, to: string): void;
  /** 0 takes a delay away. */
  delay(from: string, to: string, delayMs: number): void;
}

interface Link {
  readonly from: string;
  readonly to: string;
  cut: boolean;
  delayMs: number;
  cancelHealing: Cancel | null;
}

export class Links {
  readonly #links: readonly Link[];
  readonly #control: LinkControl;
  readonly #timers: Timers;

  constructor(regions: readonly string[], control: LinkControl, timers: Timers) {
    this.#links = regions.flatMap((from, index) =>
      regions.slice(index + 1).map((to) => ({ from, to, cut: false, delayMs: 0, cancelHealing: null })),
    );
    this.#control = control;
    this.#timers = timers;
  }

  status(): LinkStatus[] {
    return this.#links.map(({ from, to, cut, delayMs }) => ({
      from,
      to,
      state: cut ? 'cut' : delayMs > 0 ? 'delayed' : 'up',
      delay_ms: delayMs,
    }));
  }

  /** @throws CommandFailure when there is no such link */
  change({ from, to, action, delay_ms, for_ms }: LinkCommand): void {
    const links = this.#find(from, to);
    for (const link of links) {
      link.cancelHealing?.();
      link.cancelHealing = null;
      if (action === 'cut') link.cut = true;
      else if (action === 'delay') link.delayMs = delay_ms ?? 0;
      else this.#reset(link);
      this.#apply(link);
      if (for_ms !== undefined && action !== 'heal') {
        link.cancelHealing = this.#timers.after(for_ms, () => {
          this.#reset(link);
          this.#apply(link);
        });
      }
    }
  }

  stop(): void {
    for (const link of this.#links) link.cancelHealing?.();
  }

  #reset(link: Link): void {
    link.cut = false;
    link.delayMs = 0;
    link.cancelHealing = null;
  }

  #apply({ from, to, cut, delayMs }: Link): void {
    for (const [a, b] of [[from, to], [to, from]] as const) {
      this.#control.delay(a, b, delayMs);
      if (cut) this.#control.cut(a, b);
      else this.#control.heal(a, b);
    }
  }

  #find(from: string, to: string): readonly Link[] {
    if (from === '*') return this.#links;
    const found = this.#links.filter((link) => (link.from === from && link.to === to) || (link.from === to && link.to === from));
    if (found.length > 0) return found;
    const known = this.#links.map((link) => `${link.from} ${link.to}`).join(', ');
    throw new CommandFailure('usage', `there is no link between ${from} and ${to}; there are: ${known}`);
  }
}
