/**
 * Dialogs of a few fields: the browser's own, so that Escape closes them, focus stays inside while they are open
 * and goes back to where it came from.
 */

import { element } from '../live/element.ts';
import { InvalidEdit } from '../../moderation/policy-doc.ts';

export interface DialogText {
  readonly title: string;
  readonly explanation?: string;
  readonly submit: string;
  /** Marks what cannot be undone. */
  readonly isGrave?: boolean;
}

/** Opens it. `submit` may throw InvalidEdit, or return a text that says what is wrong; then it stays open. */
export function openDialog(text: DialogText, fields: readonly HTMLElement[], submit: () => string | void): void {
  const title = element('h2', { id: 'dialog-title' }, text.title);
  const wrong = element('p', { class: 'wrong', role: 'alert' });
  const cancel = element('button', { type: 'button', class: 'plain' }, 'Cancel');
  const confirm = element('button', { type: 'submit', class: text.isGrave ? 'grave' : 'main' }, text.submit);
  const form = element('form', { method: 'dialog' }, title);
  if (text.explanation !== undefined) form.append(element('p', { class: 'quiet' }, text.explanation));
  form.append(...fields, wrong, element('div', { class: 'actions' }, cancel, confirm));
  const dialog = element('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  cancel.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const problem = attempt(submit);
    if (problem === null) dialog.close();
    else wrong.textContent = problem;
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Null when it worked, otherwise what is wrong. */
export function attempt(edit: () => string | void): string | null {
  try {
    return edit() ?? null;
  } catch (error) {
    if (error instanceof InvalidEdit) return `${error.message[0]!.toUpperCase()}${error.message.slice(1)}.`;
    throw error;
  }
}

export interface Field<Input extends HTMLElement> {
  readonly root: HTMLElement;
  readonly input: Input;
}

let fields = 0;

export function textField(label: string, attributes: Readonly<Record<string, string>> = {}): Field<HTMLInputElement> {
  return labelled(label, element('input', { autocomplete: 'off', spellcheck: 'false', ...attributes }));
}

export function choiceField(label: string, choices: readonly (readonly [value: string, label: string])[]): Field<HTMLSelectElement> {
  const options = choices.map(([value, text]) => element('option', { value }, text));
  return labelled(label, element('select', {}, ...options));
}

function labelled<Input extends HTMLElement>(label: string, input: Input): Field<Input> {
  fields += 1;
  input.id = `field-${fields}`;
  return { input, root: element('p', { class: 'field' }, element('label', { for: input.id }, label), input) };
}
