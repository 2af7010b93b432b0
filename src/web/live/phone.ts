/**
 * The phone: what a viewer in one region holds. Draws what it is told; taps go to `onTap`.
 *
 * On its stage flies what the overlay element lets fly, by the overlay's own parts.
 */

import type { Frame, Palette, Totals } from '../../client/client-types.ts';
import { createCanvasStage } from '../../client/overlay/canvas-stage.ts';
import { element, setState, setText } from './element.ts';

export interface Phone {
  readonly root: HTMLElement;
  showState(state: string, word: string): void;
  showPalette(palette: Palette): void;
  showTotals(totals: Totals): void;
  /** The crowd as numbers, and as emoji that fly. */
  showCrowd(frame: Frame): void;
  /** Nothing is known of the crowd now. */
  showNoCrowd(): void;
  /** Nobody is behind what flies any more. */
  clear(): void;
  notify(text: string): void;
}

interface PaletteButton {
  readonly count: HTMLElement;
  readonly button: HTMLButtonElement;
}

const exact = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** `onTap` answers how many taps were taken: only those fly. */
export function createPhone(region: string, onTap: (emoji: string) => number): Phone {
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
  const stage = createCanvasStage(canvas);
  const buttons = new Map<string, PaletteButton>();
  let shown: Palette | null = null;

  function createButton(emoji: string, glyph: string): PaletteButton {
    const count = element('span', { class: 'count' }, '0');
    // The name stays as it is while totals change, so that nobody hears it again and again.
    const attributes = { type: 'button', class: 'emoji', 'aria-label': `${emoji}, tap in ${region}` };
    const button = element('button', attributes, element('span', { class: 'glyph', 'aria-hidden': 'true' }, glyph), count);
    button.addEventListener('click', () => {
      const place = button.getBoundingClientRect();
      const { left, width } = canvas.getBoundingClientRect();
      if (onTap(emoji) > 0) stage.echo(emoji, (place.left + place.width / 2 - left) / Math.max(1, width));
    });
    return { button, count };
  }

  return {
    root,
    showState(state, word) {
      setState(root, state);
      setText(connection, word);
    },
    showPalette(glyphs) {
      if (glyphs === shown) return;
      shown = glyphs;
      stage.adopt(glyphs);
      buttons.clear();
      for (const [emoji, glyph] of Object.entries(glyphs)) buttons.set(emoji, createButton(emoji, glyph));
      palette.replaceChildren(...[...buttons.values()].map(({ button }) => button));
    },
    showTotals(totals) {
      setText(total, exact.format(sumOf(totals)));
      for (const [emoji, { count }] of buttons) {
        const of = totals[emoji] ?? 0;
        setText(count, of < 10_000 ? exact.format(of) : short.format(of));
      }
    },
    showCrowd(frame) {
      const perSecond = sumOf(frame.rates);
      setText(rate, `${perSecond < 100 ? perSecond.toFixed(1) : exact.format(Math.round(perSecond))}/s`);
      setText(viewers, `${exact.format(frame.viewers)} watching`);
      stage.heed(frame);
    },
    showNoCrowd() {
      setText(rate, '–');
      setText(viewers, '');
    },
    clear: () => stage.clear(),
    notify: (text) => setText(notice, text),
  };
}

export function sumOf(numbers: Readonly<Record<string, number>>): number {
  return Object.values(numbers).reduce((sum, value) => sum + value, 0);
}
