/** The phone: what a viewer in one region holds. Draws what it is told; taps go to `onTap`. */

import { element, setAttribute, setState, setText } from './element.ts';
import { createStage } from './stage.ts';

export interface Phone {
  readonly root: HTMLElement;
  showState(state: string, word: string): void;
  showPalette(palette: Readonly<Record<string, string>>): void;
  showTotals(totals: Readonly<Record<string, number>>): void;
  showCrowd(ratePerSecond: number, viewers: number): void;
  /** Lets so many of an emoji fly. */
  showReactions(emoji: string, count: number): void;
  notify(text: string): void;
}

interface PaletteButton {
  readonly count: HTMLElement;
  readonly button: HTMLButtonElement;
  readonly glyph: string;
}

const exact = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function createPhone(region: string, onTap: (emoji: string) => void): Phone {
  const canvas = element('canvas', { class: 'flight', 'aria-hidden': 'true' });
  const connection = element('span', { class: 'connection' }, 'connecting');
  const viewers = element('span', { class: 'viewers' });
  const total = element('b', { class: 'total' }, '0');
  const rate = element('span', { class: 'rate' }, '0.0/s');
  const notice = element('p', { class: 'player-notice', role: 'status' });
  const palette = element('div', { class: 'palette', role: 'group', 'aria-label': `React in ${region}` });
  const root = element(
    'div',
    { class: 'phone' },
    element(
      'div',
      { class: 'stage' },
      element('div', { class: 'lights', 'aria-hidden': 'true' }),
      canvas,
      element('div', { class: 'phone-top' }, element('h2', { class: 'region' }, region), connection),
      element('div', { class: 'phone-bottom' }, total, element('div', { class: 'phone-crowd' }, rate, viewers)),
      notice,
    ),
    palette,
  );
  const stage = createStage(canvas);
  const buttons = new Map<string, PaletteButton>();

  return {
    root,
    showState(state, word) {
      setState(root, state);
      setText(connection, word);
    },
    showPalette(glyphs) {
      const ids = Object.keys(glyphs);
      if (ids.length === buttons.size && ids.every((id) => buttons.get(id)?.glyph === glyphs[id])) return;
      buttons.clear();
      for (const [emoji, glyph] of Object.entries(glyphs)) {
        const count = element('span', { class: 'count' }, '0');
        const button = element('button', { type: 'button', class: 'emoji' }, element('span', { class: 'glyph', 'aria-hidden': 'true' }, glyph), count);
        button.addEventListener('click', () => onTap(emoji));
        buttons.set(emoji, { button, count, glyph });
      }
      palette.replaceChildren(...[...buttons.values()].map(({ button }) => button));
    },
    showTotals(totals) {
      setText(total, exact.format(sumOf(totals)));
      for (const [emoji, { button, count }] of buttons) {
        const of = totals[emoji] ?? 0;
        setText(count, of < 10_000 ? exact.format(of) : short.format(of));
        setAttribute(button, 'aria-label', `${emoji}, ${exact.format(of)} so far. Tap in ${region}`);
      }
    },
    showCrowd(ratePerSecond, watching) {
      setText(rate, `${ratePerSecond < 100 ? ratePerSecond.toFixed(1) : exact.format(Math.round(ratePerSecond))}/s`);
      setText(viewers, `${exact.format(watching)} watching`);
    },
    showReactions: (emoji, count) => stage.show(buttons.get(emoji)?.glyph ?? '•', count),
    notify: (text) => setText(notice, text),
  };
}

export function sumOf(numbers: Readonly<Record<string, number>>): number {
  return Object.values(numbers).reduce((sum, value) => sum + value, 0);
}
