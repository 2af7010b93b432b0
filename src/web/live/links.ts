/** The links between regions: what state each is in, and the button whose menu cuts, delays or heals it. */

import type { DevStatus, LinkStatus } from './dev-api.ts';
import { changeLink, DELAY_MS, type LinkAction } from './development.ts';
import { element, setAttribute, setState, setText } from './element.ts';
import { createMenu } from './menu.ts';

export interface LinkView {
  readonly state: LinkStatus['state'];
  readonly word: string;
  /** The choice that made it so. */
  readonly action: LinkAction;
}

export interface LinkButton {
  readonly root: HTMLElement;
  /** Shows the state of both directions. */
  update(links: readonly LinkStatus[]): void;
  open(): void;
}

export interface LinkEvents {
  /** Also before the service has obeyed, so that the map answers at once. */
  shown(view: LinkView): void;
  obeyed(status: DevStatus): void;
  failed(message: string): void;
}

const CHOICES = [
  { value: 'heal', label: 'Heal', hint: 'as it should be' },
  { value: 'delay', label: `Delay ${DELAY_MS} ms`, hint: 'each way' },
  { value: 'cut', label: 'Cut', hint: 'nothing passes' },
] as const;

/** The worse of both directions. Pure. */
export function viewLink(one: string, other: string, links: readonly LinkStatus[]): LinkView {
  const both = links.filter(({ from, to }) => (from === one && to === other) || (from === other && to === one));
  if (both.some(({ state }) => state === 'cut')) return { state: 'cut', word: 'cut', action: 'cut' };
  // Not made from here, and shown as what it is nearest to.
  if (both.some(({ state }) => state === 'half-open')) return { state: 'cut', word: 'half open', action: 'cut' };
  const loss = Math.max(0, ...both.map((link) => link.loss ?? 0));
  if (loss > 0) return { state: 'delayed', word: `loses ${Math.round(loss * 100)} %`, action: 'delay' };
  const delayMs = Math.max(0, ...both.map(({ state, delay_ms }) => (state === 'delayed' ? delay_ms : 0)));
  if (delayMs > 0) return { state: 'delayed', word: `+${delayMs} ms`, action: 'delay' };
  return { state: 'up', word: 'up', action: 'heal' };
}

export function createLinkButton(one: string, other: string, on: LinkEvents): LinkButton {
  const word = element('span', { class: 'link-word' }, 'up');
  const button = element(
    'button',
    { type: 'button', class: 'link-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false' },
    element('span', { class: 'link-names' }, `${one} – ${other}`),
    word,
  );
  const menu = createMenu(button, `The link between ${one} and ${other}`, CHOICES, choose);
  const root = element('div', { class: 'link' }, button, menu.root);
  let changing = false;

  function show(view: LinkView): void {
    setState(root, view.state);
    setText(word, view.word);
    setAttribute(button, 'aria-label', `The link between ${one} and ${other}: ${view.word}`);
    menu.select(view.action);
    on.shown(view);
  }

  async function choose(action: LinkAction): Promise<void> {
    changing = true;
    setAttribute(root, 'aria-busy', 'true');
    try {
      const status = await changeLink(one, other, action);
      show(viewLink(one, other, status.links));
      on.obeyed(status);
    } catch (error) {
      on.failed(`The link ${one} – ${other} did not change: ${String(error)}`);
    } finally {
      changing = false;
      root.removeAttribute('aria-busy');
    }
  }

  show(viewLink(one, other, []));
  return {
    root,
    update(links) {
      // What was asked for before the change says nothing about after it.
      if (!changing) show(viewLink(one, other, links));
    },
    open: () => menu.open(),
  };
}
