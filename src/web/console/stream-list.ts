/** The streams of the region, the liveliest first, and the way to one that is not among them. */

import { element, setAttribute, setState, setText } from '../live/element.ts';
import type { ListedStream } from './api.ts';
import { textField } from './dialog.ts';
import { createRows, type Row } from './keyed.ts';

const whole = new Intl.NumberFormat('en');

export interface StreamList {
  readonly root: HTMLElement;
  /** `selected` is null for what concerns all streams. */
  update(streams: readonly ListedStream[], selected: string | null): void;
}

export function createStreamList(select: (stream: string | null) => void): StreamList {
  let chosen: string | null = null;
  const items = element('ul', { class: 'streams' });
  const none = element('p', { class: 'quiet' }, 'No reactions yet.');
  const everywhere = row(null);
  const wanted = textField('Another stream', { name: 'stream', maxlength: '64', pattern: '[A-Za-z0-9_\\-]{1,64}', placeholder: 'its id' });
  const search = element('form', { class: 'open-stream' }, wanted.root, element('button', { type: 'submit', class: 'plain' }, 'Open'));
  search.addEventListener('submit', (event) => {
    event.preventDefault();
    if (wanted.input.value === '') return;
    select(wanted.input.value);
    wanted.input.value = '';
  });
  const root = element('nav', { class: 'card list', 'aria-labelledby': 'streams-title' }, element('h2', { id: 'streams-title' }, 'Streams'), everywhere.root, items, none, search);
  const show = createRows<ListedStream>(items, ({ stream_id: id }) => id, ({ stream_id: id }) => row(id));

  function row(stream: string | null): Row<ListedStream | null> {
    const name = element('span', { class: 'name' }, stream ?? 'All streams');
    const rate = element('span', { class: 'rate' });
    const about = element('span', { class: 'quiet' }, stream === null ? 'what holds everywhere' : '');
    const button = element('button', { type: 'button', class: 'stream-row' }, name, rate, about);
    button.addEventListener('click', () => select(stream));
    return {
      root: stream === null ? button : element('li', {}, button),
      update(listed) {
        setAttribute(button, 'aria-current', String(chosen === stream));
        if (listed === null) return;
        setState(button, listed.state);
        setText(rate, `${listed.rate.toFixed(1)}/s`);
        setText(about, [`${whole.format(listed.viewers)} watching`, ...(listed.state === 'live' ? [] : [listed.state])].join(' · '));
      },
    };
  }

  return {
    root,
    update(streams, selected) {
      chosen = selected;
      everywhere.update(null);
      show(streams);
      none.hidden = streams.length > 0;
    },
  };
}
