/**
 * What the overlay shows beside the stage: a button for each emoji, a calm counter for those who asked
 * for reduced motion, and a status line for screen readers. Only DOM; it knows no connection.
 */

import type { Frame, Palette, ReactionsState, Totals } from '../client-types.ts';
import { particlesPerSecond, SPAWNS_PER_SECOND_MAX } from './spawn-plan.ts';

export interface OverlayView {
  readonly canvas: HTMLCanvasElement;
  /** One button for each emoji of the palette, in its order; none without. Focus stays where it was. */
  showButtons(palette: Palette): void;
  showTotals(totals: Totals): void;
  showFrame(frame: Frame, palette: Palette): void;
  showState(state: ReactionsState): void;
  /** Says the total to screen readers, if it is another one. */
  announce(): void;
}

interface TapButton {
  readonly button: HTMLButtonElement;
  readonly glyph: HTMLElement;
  readonly count: HTMLElement;
}

const exact = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** `onTap` is also told from where across the stage, 0 left to 1 right. */
export function createView(root: ShadowRoot, onTap: (emoji: string, across: number) => void): OverlayView {
  const canvas = made('canvas', 'stage', { 'aria-hidden': 'true' });
  const calmGlyph = made('span', 'glyph', { 'aria-hidden': 'true' });
  const calmTotal = made('span', 'total');
  const calmPace = made('span', 'pace');
  const calm = made('div', 'calm', {}, calmGlyph, calmTotal, calmPace);
  const controls = made('div', 'controls', { role: 'group', 'aria-label': 'Reactions' });
  const status = made('div', 'status', { role: 'status' });
  root.append(canvas, made('div', 'foot', {}, calm, controls), status);
  calm.hidden = controls.hidden = true;
  const buttons = new Map<string, TapButton>();
  let total = 0;

  function buttonOf(emoji: string): TapButton {
    const known = buttons.get(emoji);
    if (known !== undefined) return known;
    const glyph = made('span', 'glyph', { 'aria-hidden': 'true' });
    const count = made('span', 'count', { 'aria-hidden': 'true' });
    // The name stays as it is while totals change, so that nobody hears it again and again.
    const button = made('button', 'button', { type: 'button', 'aria-label': `React with ${emoji.replaceAll(/[_-]+/g, ' ')}` }, glyph, count);
    button.addEventListener('click', () => {
      const place = button.getBoundingClientRect();
      const stage = canvas.getBoundingClientRect();
      onTap(emoji, stage.width > 0 ? (place.left + place.width / 2 - stage.left) / stage.width : 0.5);
    });
    return { button, glyph, count };
  }

  return {
    canvas,
    showButtons(palette) {
      const wanted = Object.entries(palette);
      const shown = wanted.map(([emoji, glyph]) => {
        const made = buttonOf(emoji);
        setText(made.glyph, glyph);
        return [emoji, made] as const;
      });
      const same = shown.length === buttons.size && [...buttons.keys()].every((emoji, index) => emoji === shown[index]![0]);
      controls.hidden = shown.length === 0;
      if (same) return;
      buttons.clear();
      for (const [emoji, made] of shown) buttons.set(emoji, made);
      const focused = root.activeElement;
      controls.replaceChildren(...shown.map(([, { button }]) => button));
      if (focused instanceof HTMLElement && focused.isConnected) focused.focus();
    },
    showTotals(totals) {
      total = 0;
      for (const count of Object.values(totals)) total += count;
      for (const [emoji, { count }] of buttons) setText(count, compact(own(totals, emoji) ?? 0));
      setText(calmTotal, exact.format(total));
    },
    showFrame({ rates, level }, palette) {
      let rate = 0;
      let busiest = '';
      for (const [emoji, perSecond] of Object.entries(rates)) {
        rate += perSecond;
        if (perSecond > (own(rates, busiest) ?? 0)) busiest = emoji;
      }
      const folded = level === 'hearts' || level === 'static' || busiest === '';
      setText(calmGlyph, (folded ? undefined : own(palette, busiest)) ?? palette['heart'] ?? '❤️');
      setText(calmPace, level === 'static' || rate < 0.5 ? '' : `${compact(Math.round(rate))} a second`);
      calm.style.setProperty('--_warmth', (particlesPerSecond(rate) / SPAWNS_PER_SECOND_MAX).toFixed(2));
      calm.hidden = false;
    },
    showState(state) {
      controls.dataset['state'] = state;
    },
    announce() {
      setText(status, `${exact.format(total)} reactions`);
    },
  };
}

/** An emoji may be called `constructor`, which every object inherits. */
function own<Value>(values: Readonly<Record<string, Value>>, emoji: string): Value | undefined {
  return Object.hasOwn(values, emoji) ? values[emoji] : undefined;
}

function compact(count: number): string {
  return count < 10_000 ? exact.format(count) : short.format(count);
}

/** Writes only what changed: most frames change little, and each write costs a layout. */
function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** An element whose class is also its part. */
function made<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  name: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Node[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.className = name;
  element.setAttribute('part', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
