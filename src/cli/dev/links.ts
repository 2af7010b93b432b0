/**
 * The links between the regions of a dev: what state each is in, and how it changes. Both directions
 * of a link behave alike, but for one that is half open. What a link is made of is behind `LinkControl`.
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
  /** What `from` sends is lost, what `to` sends arrives. Undone by `heal`. Absent where nothing is sent in packets. */
  silence?(from: string, to: string): void;
  /** Loses a share of what passes; 0 takes the loss away. */
  lose?(from: string, to: string, share: number): void;
}

interface Link {
  readonly from: string;
  readonly to: string;
  cut: boolean;
  delayMs: number;
  loss: number;
  /** Whose words are lost while it is half open. */
  lostFrom: string | null;
  cancelHealing: Cancel | null;
}

export class Links {
  readonly #links: readonly Link[];
  readonly #control: LinkControl;
  readonly #timers: Timers;

  constructor(regions: readonly string[], control: LinkControl, timers: Timers) {
    this.#links = regions.flatMap((from, index) =>
      regions.slice(index + 1).map((to) => ({ from, to, cut: false, delayMs: 0, loss: 0, lostFrom: null, cancelHealing: null })),
    );
    this.#control = control;
    this.#timers = timers;
  }

  status(): LinkStatus[] {
    return this.#links.map((link) => ({
      from: link.from,
      to: link.to,
      state: stateOf(link),
      delay_ms: link.delayMs,
      ...(link.loss > 0 ? { loss: link.loss } : {}),
      ...(link.lostFrom === null ? {} : { lost_from: link.lostFrom }),
    }));
  }

  /** @throws CommandFailure when there is no such link, or it cannot be broken in this way */
  change({ from, to, action, delay_ms, loss, for_ms }: LinkCommand): void {
    const links = this.#find(from, to);
    if ((action === 'half-open' || action === 'lose') && (this.#control.silence === undefined || this.#control.lose === undefined)) {
      throw new CommandFailure('usage', `${action}: regions inside dev exchange no packets; install nats-server and start dev without --embedded`);
    }
    if (action === 'half-open' && from === '*') throw new CommandFailure('usage', 'half-open: name both regions; what the first one sends is lost');
    for (const link of links) {
      link.cancelHealing?.();
      link.cancelHealing = null;
      if (action === 'cut') link.cut = true;
      else if (action === 'delay') link.delayMs = delay_ms ?? 0;
      else if (action === 'lose') link.loss = loss ?? 0;
      else if (action === 'half-open') link.lostFrom = from;
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
    link.loss = 0;
    link.lostFrom = null;
    link.cancelHealing = null;
  }

  #apply({ from, to, cut, delayMs, loss, lostFrom }: Link): void {
    for (const [a, b] of [[from, to], [to, from]] as const) {
      this.#control.delay(a, b, delayMs);
      this.#control.lose?.(a, b, loss);
      if (cut) this.#control.cut(a, b);
      else this.#control.heal(a, b);
    }
    if (!cut && lostFrom !== null) this.#control.silence?.(lostFrom, lostFrom === from ? to : from);
  }

  #find(from: string, to: string): readonly Link[] {
    if (from === '*') return this.#links;
    const found = this.#links.filter((link) => (link.from === from && link.to === to) || (link.from === to && link.to === from));
    if (found.length > 0) return found;
    const known = this.#links.map((link) => `${link.from} ${link.to}`).join(', ');
    throw new CommandFailure('usage', `there is no link between ${from} and ${to}; there are: ${known}`);
  }
}

/** The worst that is wrong with it. */
function stateOf({ cut, lostFrom, loss, delayMs }: Link): LinkStatus['state'] {
  if (cut) return 'cut';
  if (lostFrom !== null) return 'half-open';
  if (loss > 0) return 'lossy';
  return delayMs > 0 ? 'delayed' : 'up';
}
