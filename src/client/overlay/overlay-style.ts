/**
 * How the overlay looks: one constructed style sheet for all elements on a page, which a strict content
 * security policy allows. Pages change it with `::part(…)` and the variables named on `:host`.
 */

import { GLYPH_FONTS } from './glyph-sprites.ts';

const CSS = `
:host {
  --_size: var(--ovation-button-size, 48px);
  --_gap: var(--ovation-gap, 8px);
  --_ink: var(--ovation-ink, #fff);
  --_surface: var(--ovation-surface, rgb(17 19 30 / 0.66));
  --_edge: var(--ovation-edge, rgb(255 255 255 / 0.16));
  --_accent: var(--ovation-accent, #ff5c8a);
  display: block;
  position: relative;
  min-block-size: 160px;
  overflow: hidden;
  color: var(--_ink);
  font: 600 13px/1 system-ui, sans-serif;
  font-variant-numeric: tabular-nums;
  pointer-events: none;
}
:host([hidden]), [hidden] { display: none !important; }
.stage { position: absolute; inset: 0; inline-size: 100%; block-size: 100%; }
.foot {
  container-type: inline-size;
  position: absolute;
  inset: auto 0 0;
  display: flex;
  flex-direction: column;
  align-items: center;
  gap: var(--_gap);
  padding: calc(var(--_gap) * 1.5);
}
.controls {
  display: flex;
  flex-wrap: wrap;
  justify-content: center;
  gap: var(--_gap);
  max-inline-size: 100%;
  transition: opacity 0.3s;
}
.controls[data-state='disconnected'] { opacity: 0.6; }
button {
  all: unset;
  box-sizing: border-box;
  display: inline-flex;
  align-items: center;
  justify-content: center;
  gap: 6px;
  min-inline-size: max(44px, var(--_size));
  min-block-size: max(44px, var(--_size));
  padding-inline: calc(var(--_size) * 0.25);
  border: 1px solid var(--_edge);
  border-radius: 999px;
  background: var(--_surface);
  backdrop-filter: blur(12px) saturate(1.4);
  cursor: pointer;
  pointer-events: auto;
  touch-action: manipulation;
  user-select: none;
  -webkit-user-select: none;
  -webkit-tap-highlight-color: transparent;
  transition: border-color 0.15s, transform 0.12s cubic-bezier(0.3, 1.6, 0.6, 1);
}
button:hover { border-color: var(--_accent); }
button:active { transform: scale(0.9); border-color: var(--_accent); }
button:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
.glyph { font: calc(var(--_size) * 0.46) / 1 ${GLYPH_FONTS}; }
.count { min-inline-size: 1.5ch; }
.count:empty { display: none; }
.calm {
  position: relative;
  display: none;
  align-items: center;
  gap: 10px;
  padding: 10px 16px;
  border: 1px solid var(--_edge);
  border-radius: 999px;
  background: var(--_surface);
  font-size: 16px;
}
.calm::before {
  content: '';
  position: absolute;
  inset: -1px;
  border-radius: inherit;
  box-shadow: 0 0 0 2px var(--_accent), 0 0 28px 4px var(--_accent);
  opacity: var(--_warmth, 0);
  transition: opacity 0.9s ease-out;
}
.calm .glyph { font-size: 22px; }
.pace { opacity: 0.75; font-weight: 500; font-size: 13px; }
.pace:empty { display: none; }
.status {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
@container (max-width: 480px) {
  button { flex-direction: column; gap: 3px; padding-inline: 6px; border-radius: 16px; font-size: 11px; }
  .count { text-align: center; }
}
@media (prefers-reduced-motion: reduce) {
  .stage { display: none; }
  .calm { display: inline-flex; }
  button { transition: none; }
  button:active { transform: none; }
}
@media (forced-colors: active) {
  button { border-color: ButtonText; }
  .calm::before { display: none; }
}
`;

let sheet: CSSStyleSheet | undefined;

export function adoptOverlayStyle(root: ShadowRoot): void {
  if (sheet === undefined) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  root.adoptedStyleSheets = [sheet];
}
