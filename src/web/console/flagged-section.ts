/** The viewers whom the region takes for programs, with what it saw of each. */

import { drawing, element, setState, setText } from '../live/element.ts';
import type { Flagged, FlaggedViewer } from './api.ts';
import { createRows, type Row } from './keyed.ts';
import { openMuteDialog, openTakeBackDialog, type Suspect } from './mute-dialogs.ts';
import { card, type PanelParts, type Section, type View } from './section.ts';
import { duration } from './words.ts';

const STANDINGS: Readonly<Record<FlaggedViewer['standing'], string>> = {
  flag: 'suspected, counted',
  shadow: 'not counted',
  forgiven: 'counted again',
};
const REASONS: Readonly<Record<string, string>> = {
  cadence: 'even pauses',
  steadiness: 'a steady rate',
  flood: 'a flood',
  endurance: 'no rest',
  marathon: 'minutes without a pause',
  outlier: 'far beyond the crowd',
  'one-emoji': 'one emoji only',
  'shared-device': 'a device of many viewers',
  crowd: 'copies on one network or device',
  swarm: 'in step with others',
};
const TAKE_BACK_MINUTES = 10;
const WIDTH = 96;
const HEIGHT = 28;

export function createFlaggedSection(parts: PanelParts): Section {
  const items = element('ul', { class: 'suspects' });
  const none = element('p', { class: 'quiet' }, 'Nobody is suspected to be a program.');
  const root = card('flagged-title', 'Suspected', items, none);
  let flagged: Flagged | null = null;
  let of: string | null = null;
  let mutedViewers = new Set<string>();
  const show = createRows<FlaggedViewer>(items, ({ viewer_id: id }) => id, makeRow);
  const dialogs = { ...parts, doc: () => parts.desk.doc };

  function makeRow(): Row<FlaggedViewer> {
    let suspect: FlaggedViewer;
    const name = element('b', { class: 'name' });
    const standing = element('span', { class: 'badge' });
    const evidence = element('p', { class: 'quiet' });
    const cells = bars('Taps over time');
    const intervals = bars('Pauses');
    const mutes = action('Mute…', () => openMuteDialog(dialogs, suspicion('viewer')));
    const device = action('Mute device…', () => openMuteDialog(dialogs, suspicion('device')));
    const takeBack = action('Take back…', () => openTakeBackDialog(dialogs, suspicion('viewer')));

    function suspicion(kind: Suspect['kind']): Suspect {
      const id = kind === 'viewer' ? suspect.viewer_id : suspect.device_id!;
      return { kind, id, reason: suspect.reasons.map(reasonText).join(', '), takeBackMinutes: TAKE_BACK_MINUTES };
    }

    return {
      root: element('li', { class: 'suspect' }, element('div', { class: 'who' }, name, standing, evidence), cells.root, intervals.root, element('div', { class: 'actions' }, mutes, device, takeBack)),
      update(next) {
        suspect = next;
        const isMuted = mutedViewers.has(next.viewer_id);
        setText(name, next.viewer_id);
        setText(standing, isMuted ? 'muted' : STANDINGS[next.standing] ?? next.standing);
        setState(standing, isMuted ? 'muted' : next.standing);
        const since = duration(parts.now() - next.since);
        const shadowed = next.shadowed_taps === 0 ? '' : ` · ${next.shadowed_taps} taps not counted`;
        setText(evidence, `${next.reasons.map(reasonText).join(', ')} · score ${Math.round(next.score)} · ${next.taps_per_second}/s · for ${since}${shadowed}`);
        cells.show(next.cells, `Taps in each ${duration(flagged?.cell_ms ?? 0)}: ${next.cells.join(', ')}`);
        intervals.show(next.intervals, pausesText(next, flagged?.interval_classes_ms ?? []));
        device.hidden = next.device_id === null;
        for (const [button, verb] of [[mutes, 'Mute'], [device, 'Mute the device of'], [takeBack, 'Take back taps of']] as const) {
          button.setAttribute('aria-label', `${verb} ${next.viewer_id}`);
        }
      },
    };
  }

  return {
    root,
    refresh({ stream, inForce }: View) {
      root.hidden = stream === null;
      if (stream !== of) flagged = null;
      mutedViewers = new Set((inForce?.mutes ?? []).filter((each) => each.kind === 'viewer' && each.lifted_at === null && (each.until === null || each.until > parts.now())).map(({ id }) => id));
      const viewers = flagged?.viewers ?? [];
      show(viewers);
      none.hidden = viewers.length > 0;
    },
    async look({ stream }) {
      if (stream === null) return;
      flagged = await parts.api.flagged(stream);
      of = stream;
    },
  };
}

function reasonText(reason: string): string {
  return REASONS[reason] ?? reason;
}

function pausesText({ intervals }: FlaggedViewer, classes: readonly number[]): string {
  const found = intervals.flatMap((count, index) => (count === 0 ? [] : [`${count} up to ${classes[index] === undefined ? 'longer' : `${classes[index]} ms`}`]));
  return `Pauses between batches: ${found.length === 0 ? 'none seen' : found.join(', ')}`;
}

function action(text: string, act: () => void): HTMLButtonElement {
  const button = element('button', { type: 'button', class: 'plain' }, text);
  button.addEventListener('click', act);
  return button;
}

/** A bar for each number, and the same in words. */
function bars(caption: string): { readonly root: HTMLElement; show(values: readonly number[], words: string): void } {
  const path = drawing('path');
  const chart = drawing('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', class: 'bars' }, path);
  return {
    root: element('figure', {}, element('figcaption', {}, caption), chart as unknown as HTMLElement),
    show(values, words) {
      const max = Math.max(1, ...values);
      const step = WIDTH / Math.max(values.length, 1);
      const shapes = values.map((value, index) => {
        const height = (HEIGHT * value) / max;
        return value === 0 ? '' : `M${(index * step).toFixed(1)} ${HEIGHT}v${(-height).toFixed(1)}h${(step * 0.75).toFixed(1)}v${height.toFixed(1)}z`;
      });
      path.setAttribute('d', shapes.join(''));
      chart.setAttribute('aria-label', words);
    },
  };
}
