/** The emoji that viewers may tap: their glyphs, their order, and which are shown. */

import { element, setText } from '../live/element.ts';
import { contentOf, setEmoji } from '../../moderation/policy-doc.ts';
import { attempt, textField } from './dialog.ts';
import { createRows, type Row } from './keyed.ts';
import { card, type PanelParts, type Section, type View } from './section.ts';

interface EmojiLine {
  readonly id: string;
  readonly glyph: string;
  readonly isShown: boolean;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

export function createPaletteSection({ desk, say }: PanelParts): Section {
  let lines: readonly EmojiLine[] = [];
  const items = element('ul', { class: 'palette' });
  const wrong = element('p', { class: 'wrong', role: 'alert' });
  const id = textField('New emoji: id', { name: 'emoji', maxlength: '64', required: '', placeholder: 'star' });
  const glyph = textField('Glyph', { name: 'glyph', maxlength: '32', required: '', placeholder: '⭐' });
  const add = element('form', { class: 'inline' }, id.root, glyph.root, element('button', { type: 'submit', class: 'plain' }, 'Add'));
  const root = card('palette-title', 'Emoji', items, wrong, add);
  const show = createRows<EmojiLine>(items, (line) => line.id, makeRow);

  add.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = id.input.value.trim();
    if (!edit(() => setEmoji(desk.doc, name, { glyph: glyph.input.value, enabled: true }))) return;
    say(`Added ${name}`);
    id.input.value = glyph.input.value = '';
    id.input.focus();
  });

  function makeRow({ id: emoji }: EmojiLine): Row<EmojiLine> {
    const field = element('input', { class: 'glyph', 'aria-label': `Glyph of ${emoji}`, maxlength: '32', autocomplete: 'off' });
    const shown = element('input', { type: 'checkbox', id: `shown-${emoji}` });
    const up = mover('↑', `Move ${emoji} up`, -1);
    const down = mover('↓', `Move ${emoji} down`, 1);
    field.addEventListener('change', () => edit(() => setEmoji(desk.doc, emoji, { glyph: field.value })));
    shown.addEventListener('change', () => {
      edit(() => setEmoji(desk.doc, emoji, { enabled: shown.checked }));
      say(`${emoji} is ${shown.checked ? 'shown' : 'hidden'}`);
    });

    function mover(text: string, label: string, by: number): HTMLButtonElement {
      const button = element('button', { type: 'button', class: 'plain small', 'aria-label': label }, text);
      button.addEventListener('click', () => move(emoji, by, button));
      return button;
    }

    return {
      root: element('li', {}, field, element('label', { for: shown.id, class: 'name' }, emoji), element('span', { class: 'check' }, shown), up, down),
      update(line) {
        if (document.activeElement !== field) field.value = line.glyph;
        shown.checked = line.isShown;
        // Not disabled, because that would take the focus away from who moves it to the end.
        up.setAttribute('aria-disabled', String(line.isFirst));
        down.setAttribute('aria-disabled', String(line.isLast));
      },
    };
  }

  function move(emoji: string, by: number, button: HTMLButtonElement): void {
    const order = lines.map((line) => line.id);
    const from = order.indexOf(emoji);
    const to = from + by;
    if (to < 0 || to >= order.length) return;
    order.splice(to, 0, ...order.splice(from, 1));
    // All of them, so that the order is the same whatever the file says.
    desk.doc.transact(() => order.forEach((each, place) => setEmoji(desk.doc, each, { order: place })));
    button.focus();
    say(`${emoji} is number ${to + 1}`);
  }

  function edit(change: () => void): boolean {
    const problem = attempt(change);
    setText(wrong, problem ?? '');
    return problem === null;
  }

  return {
    root,
    refresh({ inForce }: View) {
      lines = linesOf(contentOf(desk.doc).content.palette, inForce?.palette ?? {});
      show(lines);
    },
  };
}

/** What is in force, with what the document says on top: also what was changed here and is not heard yet. */
function linesOf(said: ReadonlyMap<string, { readonly glyph?: string; readonly enabled?: boolean; readonly order?: number }>, inForce: Readonly<Record<string, string>>): EmojiLine[] {
  const places = Object.keys(inForce);
  const all = Array.from(new Set([...places, ...said.keys()]), (id) => {
    const { glyph = inForce[id] ?? '', enabled, order } = said.get(id) ?? {};
    const place = places.indexOf(id);
    return { id, glyph, isShown: enabled ?? place >= 0, order: order ?? (place < 0 ? Infinity : place) };
  });
  all.sort((one, other) => (one.order === other.order ? (one.id < other.id ? -1 : 1) : one.order - other.order));
  return all.map(({ id, glyph, isShown }, index) => ({ id, glyph, isShown, isFirst: index === 0, isLast: index === all.length - 1 }));
}
