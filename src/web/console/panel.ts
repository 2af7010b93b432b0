/** The panel of one stream, or of all: what goes on there, who is suspected or muted, what is decided, and by whom. */

import { byId, drawing, element, setState, setText } from '../live/element.ts';
import { areaPath, linePath, niceCeiling } from '../live/sparkline.ts';
import type { ListedStream } from './api.ts';
import { createChangesSection } from './changes-section.ts';
import { createFlaggedSection } from './flagged-section.ts';
import { createLimitsSection } from './limits-section.ts';
import { createMutesSection } from './mutes-section.ts';
import { createPaletteSection } from './palette-section.ts';
import type { PanelParts, Section, View } from './section.ts';
import { createStateSection, stateOf } from './state-section.ts';

export interface Panel {
  readonly root: HTMLElement;
  show(stream: string | null): void;
  observe(listed: ListedStream | null): void;
  refresh(): void;
}

const LOOK_MS = 2_000;
const RATES_SHOWN = 60;
const whole = new Intl.NumberFormat('en');

export function createPanel(parts: PanelParts): Panel {
  let view: View = { stream: null, inForce: null };
  /** What the overview said of the stream last; null when it did not. */
  let listed: ListedStream | null = null;
  let rates: number[] = [];
  let wasPending = false;
  const title = element('h2', { id: 'panel-title' });
  const facts = element('p', { class: 'facts' });
  const area = drawing('path', { class: 'area' });
  const line = drawing('path', { class: 'line' });
  const chart = drawing('svg', { class: 'rates', viewBox: '0 0 240 44', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, area, line);
  const problems = element('ul', { class: 'problems' });
  const flagged = createFlaggedSection(parts);
  const left = [createStateSection(parts), createMutesSection(parts)];
  const right = [createPaletteSection(parts), createLimitsSection(parts)];
  const changes = createChangesSection(parts);
  const sections: readonly Section[] = [flagged, ...left, ...right, changes];
  const head = element('header', { class: 'card head' }, title, facts, chart, problems);
  const root = element('article', { id: 'panel', tabindex: '-1', 'aria-labelledby': 'panel-title' }, head, flagged.root, column(left), column(right), changes.root);
  void lookOn();

  async function lookOn(): Promise<never> {
    for (;;) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async function look(): Promise<void> {
    if (!root.isConnected) return;
    const asked = view;
    const document = asked.stream === null ? 'global' : `stream.${asked.stream}`;
    // The page says elsewhere that the region cannot be asked; what was last known stays.
    const inForce = await parts.api.policy(document).catch(() => null);
    if (asked.stream !== view.stream) return;
    if (inForce !== null) view = { ...view, inForce };
    await Promise.all(sections.map((section) => section.look?.(view).catch(() => {})));
    refresh();
  }

  function refresh(): void {
    // What was decided here is in force now; nobody should wait for the next look to see it.
    const isPending = parts.desk.pending > 0;
    if (wasPending && !isPending) void look();
    wasPending = isPending;
    showProblems();
    showFacts();
    for (const section of sections) section.refresh(view);
  }

  function showFacts(): void {
    if (view.stream === null) return;
    const state = view.inForce === null ? (listed?.state ?? 'live') : stateOf(parts.desk.doc, view);
    setState(root, state);
    setText(
      facts,
      listed === null
        ? state === 'ended' ? 'It has ended.' : 'Nothing happens here now.'
        : `${state} · ${listed.rate.toFixed(1)} reactions a second · ${whole.format(listed.total)} in all · ${whole.format(listed.viewers)} watching · level ${listed.level}`,
    );
  }

  function showProblems(): void {
    const found = (view.inForce?.problems ?? []).slice(0, 10).map(({ path, message }) => `Not heeded: ${path}: ${message}`);
    if (problems.dataset['shown'] === found.join('\n')) return;
    problems.dataset['shown'] = found.join('\n');
    problems.replaceChildren(...found.map((text) => element('li', {}, text)));
  }

  return {
    root,
    refresh,
    show(stream) {
      view = { stream, inForce: null };
      listed = null;
      rates = [];
      setText(title, stream ?? 'All streams');
      setText(facts, stream === null ? 'What is decided here holds for every stream that decides nothing else.' : '');
      chart.toggleAttribute('hidden', stream === null);
      byId('said').textContent = '';
      refresh();
      void look();
    },
    observe(seen) {
      listed = seen;
      if (view.stream === null) return;
      rates = [...rates, listed?.rate ?? 0].slice(-RATES_SHOWN);
      const max = niceCeiling(Math.max(...rates));
      area.setAttribute('d', areaPath(rates, 240, 44, max));
      line.setAttribute('d', linePath(rates, 240, 44, max));
      showFacts();
    },
  };
}

function column(sections: readonly Section[]): HTMLElement {
  return element('div', { class: 'column' }, ...sections.map((section) => section.root));
}
