/** The form that asks for a moderator's token. It is kept for this tab and shown to its region alone, never in an address. */

import { element } from '../live/element.ts';
import { textField } from './dialog.ts';

/** `refusal` is what the region said of the token before, or null at first. */
export function askForToken(parent: HTMLElement, refusal: string | null, given: (token: string) => void): void {
  const field = textField('Token', { type: 'password', name: 'token', required: '' });
  const wrong = element('p', { class: 'wrong', role: 'alert' }, refusal ?? '');
  const form = element(
    'form',
    { class: 'card sign-in' },
    element('h2', {}, 'Sign in'),
    element('p', { class: 'quiet' }, 'This region asks for a token of the role moderator or admin. It stays in this tab and is forgotten with it.'),
    field.root,
    wrong,
    element('div', { class: 'actions' }, element('button', { type: 'submit', class: 'main' }, 'Sign in')),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const token = field.input.value.trim();
    // Nothing else can stand in a header, or among the subprotocols of a WebSocket.
    if (/^[A-Za-z0-9._-]+$/.test(token)) given(token);
    else wrong.textContent = 'That is no token: it consists of letters, digits, dots, hyphens and underscores.';
  });
  parent.replaceChildren(form);
  field.input.focus();
}
