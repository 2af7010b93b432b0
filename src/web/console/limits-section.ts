/** How many taps count: of a viewer, a device and an address. */

import { element, setText } from '../live/element.ts';
import { contentOf, setLimit } from '../../moderation/policy-doc.ts';
import { LIMIT_SCOPES, type LimitScope } from '../../moderation/policy-content.ts';
import type { RateLimit } from '../../moderation/policy.ts';
import { attempt } from './dialog.ts';
import { card, type PanelParts, type Section, type View } from './section.ts';

const FIELDS = ['tapsPerSecondMax', 'tapBurstMax'] as const satisfies readonly (keyof RateLimit)[];
const FIELD_WORDS = { tapsPerSecondMax: 'Taps a second', tapBurstMax: 'In a burst' } as const;

export function createLimitsSection({ desk, say }: PanelParts): Section {
  const wrong = element('p', { class: 'wrong', role: 'alert' });
  const rows = LIMIT_SCOPES.map((scope) => makeRow(scope));
  const head = element('tr', {}, element('th', { scope: 'col' }, 'Per'), ...FIELDS.map((field) => element('th', { scope: 'col' }, FIELD_WORDS[field])), element('td', {}));
  const table = element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows.map(({ root }) => root)));
  const root = card('limits-title', 'Limits', element('p', { class: 'quiet' }, 'Taps beyond them are answered and not counted.'), table, wrong);

  function makeRow(scope: LimitScope): { readonly root: HTMLElement; refresh(view: View): void } {
    const inputs = FIELDS.map((field) => {
      const input = element('input', { type: 'number', min: '0', step: 'any', inputmode: 'decimal', 'aria-label': `${FIELD_WORDS[field]}, per ${scope}` });
      input.addEventListener('change', () => {
        if (!(input.valueAsNumber > 0)) return setText(wrong, `${FIELD_WORDS[field]}, per ${scope}: a number above 0.`);
        edit(() => setLimit(desk.doc, scope, { [field]: input.valueAsNumber }), `Changed the limit per ${scope}`);
      });
      return input;
    });
    const reset = element('button', { type: 'button', class: 'plain small', 'aria-label': `Put back the limit per ${scope}` }, 'Put back');
    reset.addEventListener('click', () => {
      edit(() => setLimit(desk.doc, scope, null), `Put back the limit per ${scope}`);
      inputs[0]!.focus();
    });
    return {
      root: element('tr', {}, element('th', { scope: 'row' }, scope), ...inputs.map((input) => element('td', {}, input)), element('td', {}, reset)),
      refresh({ inForce }) {
        const said = contentOf(desk.doc).content.limits[scope];
        for (const [index, field] of FIELDS.entries()) {
          const input = inputs[index]!;
          const value = said?.[field] ?? inForce?.limits[scope][field];
          if (document.activeElement !== input) input.value = value === undefined ? '' : String(value);
        }
        reset.hidden = said === undefined && document.activeElement !== reset;
      },
    };
  }

  function edit(change: () => void, done: string): void {
    const problem = attempt(change);
    setText(wrong, problem ?? '');
    if (problem === null) say(done);
  }

  return {
    root,
    refresh(view) {
      for (const row of rows) row.refresh(view);
    },
  };
}
