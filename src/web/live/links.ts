/** The links between regions: one button per pair, which shows the state and cuts or heals. */

import { changeLink, type LinkState, type LinkStatus } from './development.ts';
import { element, setState, setText } from './element.ts';

export interface LinkButton {
  readonly root: HTMLElement;
  /** Shows the state of both directions. */
  update(links: readonly LinkStatus[]): void;
}

export function createLinkButton(one: string, other: string, onFailure: (message: string) => void): LinkButton {
  const word = element('span', { class: 'link-word' }, 'up');
  const button = element(
    'button',
    { type: 'button', class: 'link', 'aria-pressed': 'false' },
    element('span', { class: 'link-names' }, `${one} – ${other}`),
    element('span', { class: 'link-knot', 'aria-hidden': 'true' }),
    word,
  );
  let state: LinkState = 'up';

  function show(next: LinkState, delayMs: number): void {
    state = next;
    setState(button, next);
    setText(word, next === 'delayed' ? `+${delayMs} ms` : next);
    button.setAttribute('aria-pressed', String(next === 'cut'));
    button.setAttribute('aria-label', `The link between ${one} and ${other} is ${next}. ${next === 'cut' ? 'Heal' : 'Cut'} it`);
  }

  button.addEventListener('click', () => {
    const action = state === 'cut' ? 'heal' : 'cut';
    button.disabled = true;
    changeLink(one, other, action)
      .then(() => show(action === 'cut' ? 'cut' : 'up', 0))
      .catch((error: unknown) => onFailure(`The link ${one} – ${other} did not change: ${String(error)}`))
      .finally(() => (button.disabled = false));
  });

  show('up', 0);
  return {
    root: button,
    update(links) {
      if (button.disabled) return;
      const both = links.filter(({ from, to }) => (from === one && to === other) || (from === other && to === one));
      const worst = both.find((link) => link.state === 'cut') ?? both.find((link) => link.state === 'delayed');
      show(worst?.state ?? 'up', worst?.delay_ms ?? 0);
    },
  };
}
