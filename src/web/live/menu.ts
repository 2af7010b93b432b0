/** A menu of a few choices under a button, by pointer or keyboard, one of which is the present state. */

import { element, setAttribute } from './element.ts';

export interface Choice<Value extends string> {
  readonly value: Value;
  readonly label: string;
  readonly hint: string;
}

export interface Menu<Value extends string> {
  readonly root: HTMLElement;
  open(): void;
  /** Marks the present state. */
  select(value: Value): void;
}

export function createMenu<Value extends string>(
  button: HTMLButtonElement,
  label: string,
  choices: readonly Choice<Value>[],
  choose: (value: Value) => void,
): Menu<Value> {
  const items = choices.map(({ value, label: text, hint }) => {
    const item = element(
      'button',
      { type: 'button', class: 'choice', role: 'menuitemradio', 'aria-checked': 'false', tabindex: '-1', 'data-choice': value },
      element('span', { class: 'choice-label' }, text),
      element('span', { class: 'choice-hint' }, hint),
    );
    item.addEventListener('click', () => {
      close(true);
      choose(value);
    });
    return item;
  });
  const title = element('p', { class: 'menu-title', role: 'presentation' }, label);
  const root = element('div', { class: 'menu', role: 'menu', 'aria-label': label, hidden: '' }, title, ...items);

  function open(): void {
    root.hidden = false;
    setAttribute(button, 'aria-expanded', 'true');
    (items.find((item) => item.getAttribute('aria-checked') === 'true') ?? items[0])?.focus();
    document.addEventListener('pointerdown', closeOutside, true);
  }

  function close(returnFocus: boolean): void {
    if (root.hidden) return;
    document.removeEventListener('pointerdown', closeOutside, true);
    root.hidden = true;
    setAttribute(button, 'aria-expanded', 'false');
    if (returnFocus) button.focus();
  }

  function closeOutside(event: Event): void {
    const target = event.target as Node;
    if (!root.contains(target) && !button.contains(target)) close(false);
  }

  function move(event: KeyboardEvent): void {
    const at = items.indexOf(document.activeElement as HTMLButtonElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next !== undefined) items.at(next % items.length)!.focus();
    else if (event.key === 'Escape') close(true);
    else if (event.key === 'Tab') return close(false);
    else return;
    event.preventDefault();
  }

  button.addEventListener('click', () => (root.hidden ? open() : close(true)));
  button.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown') return;
    event.preventDefault();
    open();
  });
  root.addEventListener('keydown', move);
  return {
    root,
    open,
    select(value) {
      for (const [index, item] of items.entries()) setAttribute(item, 'aria-checked', String(choices[index]!.value === value));
    },
  };
}
