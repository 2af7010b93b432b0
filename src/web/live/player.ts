/**
 * One player: the stage, the palette and the state of one region, as a viewer there sees it.
 */

import type { FrameMessage, Welcome } from '../../protocol/messages.ts';
import { connect, randomText, type ConnectionState } from './connection.ts';
import { element, setState, setText } from './element.ts';
import { createStage } from './stage.ts';

export interface Player {
  readonly root: HTMLElement;
  /** Redraws what changes by the passing of time alone. */
  refresh(): void;
}

interface PaletteButton {
  readonly count: HTMLElement;
  readonly button: HTMLButtonElement;
  readonly glyph: string;
}

/** A peer speaks every second; after this it is behind, and then lost. The broadcaster uses the same steps. */
const BEHIND_MS = 3_000;
const LOST_MS = 10_000;
const NOTICE_MS = 3_000;

const exact = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function createPlayer(region: string, api: string, stream: string): Player {
  const view = buildView(region);
  const stage = createStage(view.canvas);
  const buttons = new Map<string, PaletteButton>();
  let frame: FrameMessage | null = null;
  let frameAt = 0;
  let state: ConnectionState = 'connecting';
  let noticeUntil = 0;
  /** When the tap happened that the next frame will show; null when none is awaited. */
  let awaitedTapAt: number | null = null;

  const connection = connect(`${api.replace(/^http/, 'ws')}/streams/${stream}/reactions`, `live-page-${randomText().slice(0, 12)}`, {
    state(next, detail) {
      state = next;
      setState(view.root, next);
      setText(view.connection, detail);
    },
    welcome(message) {
      showPalette(message);
      showTotals(message.totals);
    },
    frame(message) {
      frame = message;
      frameAt = performance.now();
      showFrame(message);
    },
    acknowledged(ack, batch) {
      if (ack.clamped > 0) notify(`${ack.clamped} too fast, not counted`);
      // Frames and acks come in order, so the next frame with an increase has this batch in it.
      if (ack.accepted > 0 && !ack.duplicate) awaitedTapAt ??= batch.tappedAt;
    },
    refused: notify,
  });

  function showPalette({ palette }: Welcome): void {
    const ids = Object.keys(palette);
    if (ids.length === buttons.size && ids.every((id) => buttons.get(id)?.glyph === palette[id])) return;
    buttons.clear();
    for (const [emoji, glyph] of Object.entries(palette)) {
      const count = element('span', { class: 'count' }, '0');
      const button = element('button', { type: 'button', class: 'emoji' }, element('span', { class: 'glyph', 'aria-hidden': 'true' }, glyph), count);
      button.addEventListener('click', () => connection.tap(emoji));
      buttons.set(emoji, { button, count, glyph });
    }
    view.palette.replaceChildren(...[...buttons.values()].map(({ button }) => button));
  }

  function showTotals(totals: Readonly<Record<string, number>>): void {
    let sum = 0;
    for (const count of Object.values(totals)) sum += count;
    setText(view.total, exact.format(sum));
    for (const [emoji, { button, count }] of buttons) {
      const total = totals[emoji] ?? 0;
      setText(count, total < 100_000 ? exact.format(total) : short.format(total));
      button.setAttribute('aria-label', `${emoji}, ${exact.format(total)} so far. Tap in ${region}`);
    }
  }

  function showFrame({ totals, rates, hints, viewers, level }: FrameMessage): void {
    showTotals(totals);
    let rate = 0;
    for (const perSecond of Object.values(rates)) rate += perSecond;
    setText(view.rate, `${rate < 100 ? rate.toFixed(1) : exact.format(Math.round(rate))}/s`);
    setText(view.viewers, `${exact.format(viewers)} watching${level === 'exact' ? '' : ` · ${level}`}`);
    const shown = Object.entries(hints);
    for (const [emoji, count] of shown) stage.show(buttons.get(emoji)?.glyph ?? '•', count);
    if (awaitedTapAt !== null && shown.length > 0) {
      setText(view.latency, `tap → frame ${Math.round(performance.now() - awaitedTapAt)} ms`);
      awaitedTapAt = null;
    }
  }

  function notify(text: string): void {
    setText(view.notice, text);
    noticeUntil = performance.now() + NOTICE_MS;
  }

  function refresh(): void {
    const now = performance.now();
    if (now > noticeUntil) setText(view.notice, '');
    const chips = Object.entries(frame?.staleness ?? {}).map(([peer, ageMs]) => {
      // A quiet stream has a frame every 2 s. Only of a peer that is behind is it known that it stays
      // silent meanwhile: the next word of it, or the lack of it, brings a frame at once.
      const age = ageMs !== null && ageMs > BEHIND_MS ? ageMs + (now - frameAt) : ageMs;
      return describeStaleness(peer, state === 'live' ? age : undefined);
    });
    while (view.peers.childElementCount > chips.length) view.peers.lastElementChild?.remove();
    while (view.peers.childElementCount < chips.length) view.peers.append(element('li', { class: 'chip' }));
    for (const [index, { text, level }] of chips.entries()) {
      const chip = view.peers.children[index] as HTMLElement;
      setText(chip, text);
      setState(chip, level);
    }
  }

  return { root: view.root, refresh };
}

/** `undefined` when this player is not connected and cannot know; null when the peer never spoke. */
function describeStaleness(peer: string, ageMs: number | null | undefined): { readonly text: string; readonly level: string } {
  if (ageMs === undefined) return { text: `${peer}: unknown`, level: 'unknown' };
  if (ageMs === null) return { text: `${peer}: never heard`, level: 'lost' };
  if (ageMs <= BEHIND_MS) return { text: `${peer}: in step`, level: 'fresh' };
  return { text: `${peer}: ${(ageMs / 1000).toFixed(1)} s behind`, level: ageMs <= LOST_MS ? 'behind' : 'lost' };
}

function buildView(region: string) {
  const canvas = element('canvas', { class: 'flight', 'aria-hidden': 'true' });
  const connection = element('span', { class: 'connection' }, 'connecting');
  const viewers = element('span', { class: 'viewers' });
  const total = element('b', { class: 'total' }, '0');
  const rate = element('span', { class: 'rate' }, '0.0/s');
  const latency = element('span', { class: 'latency' }, 'tap → frame —');
  const notice = element('p', { class: 'player-notice', role: 'status' });
  const palette = element('div', { class: 'palette', role: 'group', 'aria-label': `React in ${region}` });
  const peers = element('ul', { class: 'peers', 'aria-label': `What ${region} hears of the others` });
  const root = element(
    'section',
    { class: 'player', 'aria-label': `Region ${region}`, 'data-state': 'connecting' },
    element(
      'div',
      { class: 'stage' },
      element('div', { class: 'lights', 'aria-hidden': 'true' }),
      canvas,
      element('div', { class: 'corner top-left' }, element('h2', { class: 'region' }, region), connection),
      element('div', { class: 'corner top-right' }, viewers),
      element('div', { class: 'corner bottom-left' }, total, rate),
      element('div', { class: 'corner bottom-right' }, latency),
      notice,
    ),
    palette,
    peers,
  );
  return { root, canvas, connection, viewers, total, rate, latency, notice, palette, peers };
}
