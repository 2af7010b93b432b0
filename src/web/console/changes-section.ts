/** Who changed what, as the database of the region has it. */

import { element, setText } from '../live/element.ts';
import type { PolicyChange } from './api.ts';
import { createRows, type Row } from './keyed.ts';
import { card, type PanelParts, type Section } from './section.ts';
import { changeText, time } from './words.ts';

export function createChangesSection({ api, now }: PanelParts): Section {
  const items = element('ol', { class: 'changes' });
  const note = element('p', { class: 'quiet' }, 'Nothing was changed yet.');
  const root = card('changes-title', 'Who changed what', items, note);
  const show = createRows<PolicyChange>(items, ({ id }) => id, makeRow);

  function makeRow({ at, by, region, path, before, after }: PolicyChange): Row<PolicyChange> {
    const when = element('time', { datetime: at }, time(Date.parse(at), now()));
    const what = element('span', { class: 'what' }, element('b', { class: 'name' }, by), ` ${changeText(path, before, after, now())}`);
    return { root: element('li', {}, when, what, element('span', { class: 'quiet' }, region)), update() {} };
  }

  return {
    root,
    refresh() {},
    async look({ stream }) {
      try {
        const { changes } = await api.changes(stream === null ? 'global' : `stream.${stream}`);
        show(changes);
        setText(note, 'Nothing was changed yet.');
        note.hidden = changes.length > 0;
      } catch (error) {
        note.hidden = false;
        setText(note, error instanceof Error && error.name === 'Refused' ? error.message : 'The region cannot be asked now.');
      }
    },
  };
}
