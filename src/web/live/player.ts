/** One player: a phone in one region, its connection, and the facts beside it. */

import type { FrameMessage } from '../../protocol/messages.ts';
import type { Standing } from './books.ts';
import { connect, randomText, type ConnectionState } from './connection.ts';
import { element, setState } from './element.ts';
import { createFacts } from './facts.ts';
import { createPhone, sumOf } from './phone.ts';
import { median } from './sparkline.ts';

export interface Player {
  readonly root: HTMLElement;
  readonly region: string;
  /** As last shown. */
  readonly total: number;
  readonly ratePerSecond: number;
  readonly palette: Readonly<Record<string, string>>;
  /** Redraws what changes by the passing of time alone. */
  refresh(): void;
  showStanding(standing: Standing, apart: boolean): void;
}

const NOTICE_MS = 3_000;
/** Own taps that the latency is the median of. */
const LATENCIES_MAX = 15;
const FRAME_RATE_MS = 4_000;
/** A peer that was silent for so long is behind; only of such a one the silence itself is told by frames. */
const BEHIND_MS = 3_000;

export function createPlayer(region: string, api: string, stream: string): Player {
  const latencies: number[] = [];
  let frameTimes: number[] = [];
  let frame: FrameMessage | null = null;
  let frameAt = 0;
  let state: ConnectionState = 'connecting';
  let notifiedUntil = 0;
  let total = 0;
  let ratePerSecond = 0;
  let palette: Readonly<Record<string, string>> = {};
  /** When the tap happened that the next frame will show; null when none is awaited. */
  let awaitedTapAt: number | null = null;

  const phone = createPhone(region, (emoji) => connection.tap(emoji));
  const facts = createFacts(region);
  const root = element('section', { class: 'player', 'aria-label': `Region ${region}`, 'data-state': 'connecting' }, phone.root, facts.root);

  const connection = connect(`${api.replace(/^http/, 'ws')}/streams/${stream}/reactions`, `live-page-${randomText().slice(0, 12)}`, {
    state(next, detail) {
      state = next;
      setState(root, next);
      phone.showState(next, detail);
    },
    welcome(message) {
      palette = message.palette;
      phone.showPalette(palette);
      showTotals(message.totals);
    },
    frame(message) {
      frame = message;
      frameAt = performance.now();
      frameTimes.push(frameAt);
      showFrame(message);
    },
    acknowledged(ack, batch) {
      if (ack.clamped > 0) notify(`${ack.clamped} too fast, not counted`);
      // Frames and acks come in order, so the next frame with an increase has this batch in it.
      if (ack.accepted > 0 && !ack.duplicate) awaitedTapAt ??= batch.tappedAt;
    },
    refused: notify,
  });

  function showTotals(totals: Readonly<Record<string, number>>): void {
    total = sumOf(totals);
    phone.showTotals(totals);
  }

  function showFrame({ totals, rates, hints, viewers }: FrameMessage): void {
    showTotals(totals);
    ratePerSecond = sumOf(rates);
    phone.showCrowd(ratePerSecond, viewers);
    const shown = Object.entries(hints);
    for (const [emoji, count] of shown) phone.showReactions(emoji, count);
    if (awaitedTapAt === null || shown.length === 0) return;
    latencies.push(performance.now() - awaitedTapAt);
    if (latencies.length > LATENCIES_MAX) latencies.shift();
    awaitedTapAt = null;
  }

  function notify(text: string): void {
    phone.notify(text);
    notifiedUntil = performance.now() + NOTICE_MS;
  }

  function peerAges(now: number): Map<string, number | null | undefined> {
    const ages = new Map<string, number | null | undefined>();
    for (const [peer, ageMs] of Object.entries(frame?.staleness ?? {})) {
      // A quiet stream has a frame every 2 s. Only of a peer that is behind is it known that it stays
      // silent meanwhile: the next word of it, or the lack of it, brings a frame at once.
      const age = ageMs !== null && ageMs > BEHIND_MS ? ageMs + (now - frameAt) : ageMs;
      ages.set(peer, state === 'live' ? age : undefined);
    }
    return ages;
  }

  return {
    root,
    region,
    get total() {
      return total;
    },
    get ratePerSecond() {
      return ratePerSecond;
    },
    get palette() {
      return palette;
    },
    refresh() {
      const now = performance.now();
      if (now > notifiedUntil) phone.notify('');
      frameTimes = frameTimes.filter((at) => at > now - FRAME_RATE_MS);
      facts.showPeers(peerAges(now));
      facts.showPace({
        latencyMs: median(latencies),
        framesPerSecond: (frameTimes.length * 1000) / FRAME_RATE_MS,
        level: frame?.level ?? null,
      });
    },
    showStanding: (standing, apart) => facts.showStanding(standing, apart),
  };
}
