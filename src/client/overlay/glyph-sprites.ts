/**
 * The glyphs of a palette, each drawn once: text is far slower to draw than an image.
 *
 * So many and no more; an emoji beyond them is drawn as a heart.
 */

import type { Palette } from '../client-types.ts';
import { HEARTS, LANES_MAX } from './spawn-plan.ts';

const HEART_GLYPH = '❤️';
/** An emoji that the palette does not know (any more). */
const UNKNOWN_GLYPH = '✨';
/** Fonts with glyphs in colour come first, because others have some of them in black. */
export const GLYPH_FONTS = "'Apple Color Emoji', 'Segoe UI Emoji', 'Noto Color Emoji', 'Twemoji Mozilla', system-ui, sans-serif";
/** A glyph is a little larger than its font size says. */
const FONT_SHARE = 0.78;
const BASELINE_SHARE = 0.54;

interface Sprite {
  readonly emoji: string;
  readonly image: HTMLCanvasElement;
  glyph: string;
}

export class GlyphSprites {
  readonly #sprites: Sprite[] = [];
  #palette: Palette = {};
  #sizePx = 0;

  constructor() {
    this.indexOf(HEARTS);
  }

  /** Draws all that differs anew. */
  adopt(palette: Palette): void {
    this.#palette = palette;
    for (const sprite of this.#sprites) {
      const glyph = this.#glyphOf(sprite.emoji);
      if (glyph === sprite.glyph) continue;
      sprite.glyph = glyph;
      this.#draw(sprite);
    }
  }

  /** How large images are to be, in device pixels. */
  resize(sizePx: number): void {
    if (sizePx === this.#sizePx) return;
    this.#sizePx = sizePx;
    for (const sprite of this.#sprites) this.#draw(sprite);
  }

  indexOf(emoji: string): number {
    const index = this.#sprites.findIndex((sprite) => sprite.emoji === emoji);
    if (index >= 0) return index;
    if (this.#sprites.length > LANES_MAX) return 0;
    const sprite = { emoji, glyph: this.#glyphOf(emoji), image: document.createElement('canvas') };
    this.#draw(sprite);
    return this.#sprites.push(sprite) - 1;
  }

  image(index: number): HTMLCanvasElement {
    return this.#sprites[index]!.image;
  }

  #glyphOf(emoji: string): string {
    if (emoji === HEARTS) return this.#palette['heart'] ?? HEART_GLYPH;
    return Object.hasOwn(this.#palette, emoji) ? this.#palette[emoji]! : UNKNOWN_GLYPH;
  }

  #draw({ image, glyph }: Sprite): void {
    image.width = image.height = Math.max(1, this.#sizePx);
    const context = image.getContext('2d');
    if (context === null || this.#sizePx === 0) return;
    context.font = `${this.#sizePx * FONT_SHARE}px ${GLYPH_FONTS}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillStyle = '#fff';
    context.fillText(glyph, this.#sizePx / 2, this.#sizePx * BASELINE_SHARE);
  }
}
