/**
 * What is known of one region beside its phone: how it hears the others, whether its books are theirs,
 * what it lacks, how quickly it shows a tap, and the way to its moderators' console.
 */

import type { FrameMessage } from '../../protocol/messages.ts';
import type { Standing } from './books.ts';
import { element, setState, setText } from './element.ts';

export interface Facts {
  readonly root: HTMLElement;
  /** `undefined` for the age of a peer that this player cannot know now. */
  showPeers(ages: ReadonlyMap<string, number | null | undefined>): void;
  /** `apart` while a link is cut: only then is a difference more than what is on its way. */
  showStanding(standing: Standing, apart: boolean): void;
  showPace(pace: { readonly latencyMs: number | null; readonly framesPerSecond: number; readonly level: FrameMessage['level'] | null }): void;
}

/** A peer speaks every second; after this it is behind, and then lost. The broadcaster uses the same steps. */
const BEHIND_MS = 3_000;
const LOST_MS = 10_000;
/** Pairs of digits of a digest, each a colour: equal digests look equal. */
const CELLS = 8;
/** Of the zeros of empty books: not red, which would look like an alarm. */
const NOTHING_HUE = 215;

const whole = new Intl.NumberFormat('en');

/** `consoleUrl` is of the console where this region's moderators decide. */
export function createFacts(region: string, consoleUrl: string): Facts {
  const peers = element('ul', { class: 'peers', 'aria-label': `What ${region} hears of the others` });
  const cells = Array.from({ length: CELLS }, () => element('i'));
  const digest = element('span', { class: 'digest' }, ...cells);
  const same = element('span', { class: 'same' }, '…');
  const missing = element('span', { class: 'missing' }, '…');
  const latency = element('span', { class: 'latency' }, '–');
  const frames = element('span', { class: 'frames' }, '–');
  const level = element('span', { class: 'level' }, '–');
  const row = (name: string, ...values: HTMLElement[]): HTMLElement => element('div', { class: 'fact' }, element('dt', {}, name), element('dd', {}, ...values));
  const digestRow = element('div', { class: 'fact', 'aria-hidden': 'true' }, digest);
  const root = element(
    'div',
    { class: 'facts' },
    peers,
    element(
      'dl',
      {},
      row('Books', same),
      digestRow,
      row('Missing', missing),
      row('Tap → frame', latency),
      row('Frames', frames),
      row('Level', level),
    ),
    element('a', { class: 'console', href: consoleUrl, target: '_blank', rel: 'noopener', 'aria-label': `Moderate in ${region}, in a new tab` }, 'Moderate'),
  );

  return {
    root,
    showPeers(ages) {
      while (peers.childElementCount > ages.size) peers.lastElementChild?.remove();
      while (peers.childElementCount < ages.size) peers.append(element('li', { class: 'chip' }));
      for (const [index, [peer, age]] of [...ages].entries()) {
        const chip = peers.children[index] as HTMLElement;
        const { text, state } = describeStaleness(peer, age);
        setText(chip, text);
        setState(chip, state);
      }
    },
    showStanding(standing, apart) {
      const { text, state } = describeBooks(standing, apart);
      setText(same, text);
      setState(root, state);
      setText(missing, describeMissing(standing));
      setState(missing, standing.missingTotal > 0 && apart ? 'some' : 'none');
      for (const [index, cell] of cells.entries()) {
        const value = Number.parseInt((standing.digest ?? '').slice(index * 2, index * 2 + 2), 16);
        cell.style.background = Number.isNaN(value) ? '' : `hsl(${NOTHING_HUE + Math.round(value * 1.41)} 70% ${45 + (value % 5) * 6}%)`;
      }
    },
    showPace({ latencyMs, framesPerSecond, level: rung }) {
      setText(latency, latencyMs === null ? '–' : `${Math.round(latencyMs)} ms`);
      setText(frames, `${framesPerSecond.toFixed(1)}/s`);
      setText(level, rung ?? '–');
      setState(level, rung ?? '');
    },
  };
}

/** Undefined when this player is not connected and cannot know; null when the peer never spoke. */
export function describeStaleness(peer: string, ageMs: number | null | undefined): { readonly text: string; readonly state: string } {
  if (ageMs === undefined) return { text: `${peer}: unknown`, state: 'unknown' };
  if (ageMs === null) return { text: `${peer}: never heard`, state: 'lost' };
  if (ageMs <= BEHIND_MS) return { text: `${peer}: in step`, state: 'fresh' };
  return { text: `${peer}: ${(ageMs / 1000).toFixed(1)} s behind`, state: ageMs <= LOST_MS ? 'behind' : 'lost' };
}

function describeBooks({ digest, sameAs }: Standing, apart: boolean): { readonly text: string; readonly state: string } {
  if (digest === null) return { text: 'no answer', state: 'unknown' };
  if (sameAs.length === 0) return apart ? { text: 'unlike others', state: 'unlike' } : { text: 'on the move', state: 'moving' };
  return { text: `= ${sameAs.join(', ')}`, state: 'like' };
}

function describeMissing({ digest, missing }: Standing): string {
  if (digest === null) return '…';
  if (missing.size === 0) return 'nothing';
  const most = [...missing].sort(([, a], [, b]) => b - a);
  return most.map(([origin, taps]) => `${whole.format(taps)} of ${origin}`).join('\n');
}
