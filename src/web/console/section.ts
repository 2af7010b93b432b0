/** What the parts of a panel have in common. */

import { element } from '../live/element.ts';
import type { Api, PolicyInForce } from './api.ts';
import type { Desk } from './desk.ts';

export interface PanelParts {
  readonly api: Api;
  readonly desk: Desk;
  /** Who decides here. */
  readonly by: () => string;
  /** The region's time. */
  readonly now: () => number;
  readonly say: (text: string) => void;
}

/** What each part of the panel shows. */
export interface View {
  /** Null for what concerns all streams. */
  readonly stream: string | null;
  /** What the region heeds, as far as it was asked; null before. */
  readonly inForce: PolicyInForce | null;
}

export interface Section {
  readonly root: HTMLElement;
  /** Looks at the document again, and at what is in force. */
  refresh(view: View): void;
  /** Asks the region again, for what only it knows. */
  look?(view: View): Promise<void>;
}

export function card(id: string, title: string, ...children: readonly HTMLElement[]): HTMLElement {
  return element('section', { class: 'card', 'aria-labelledby': id }, element('h3', { id }, title), ...children);
}
