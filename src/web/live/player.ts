/**
 * One player: a phone in one region, and the facts beside it.
 *
 * It is the player SDK that counts, resends and comes back; it has one endpoint alone, so that a phone stays
 * with its region whatever happens there (PAGE-1).
 */

import { createReactions } from '../../client/create-reactions.ts';
import type { Discontinuity, Frame, Palette } from '../../client/client-types.ts';
import type { Standing } from './books.ts';
import { element, setState } from './element.ts';
import { createFacts } from './facts.ts';
import { createPhone, sumOf } from './phone.ts';
import { median } from './sparkline.ts';

export interface Player {
  readonly root: HTMLElement;
  readonly region: string;
  readonly isLive: boolean;
  readonly ratePerSecond: number;
  readonly palette: Palette;
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

/** `onTotal` hears the total whenever it changed. */
export function createPlayer(region: string, api: string, stream: string, onTotal: (total: number) => void): Player {
  const latencies: number[] = [];
  let frameTimes: number[] = [];
  let frameAt = 0;
  let connectedAt = Infinity;
  let wasConnected = false;
  let notifiedUntil = 0;
  let lastError = '';
  let hasStreamEnded = false;
  /** When the tap happened that the next frame will show; null when none is awaited. */
  let awaitedTapAt: number | null = null;

  const reactions = createReactions({ endpoints: api, streamId: stream });
  const phone = createPhone(region, tap);
  const facts = createFacts(region, `${api}/console/#stream=${stream}`);
  const root = element('section', { class: 'player', 'aria-label': `Region ${region}`, 'data-state': 'connecting' }, phone.root, facts.root);

  reactions.on('state', showState);
  reactions.on('totals', showTotals);
  reactions.on('frame', showFrame);
  reactions.on('ack', ({ accepted, clamped, tapToAckMs }) => {
    if (clamped > 0) notify(`${clamped} too fast, not counted`);
    const tappedAt = performance.now() - tapToAckMs;
    // Frames and acks come in order, so the next frame with an increase has this batch in it. What had to
    // wait for a connection tells nothing about how quick frames are.
    if (accepted > 0 && tappedAt >= connectedAt) awaitedTapAt ??= tappedAt;
  });
  reactions.on('discontinuity', (event) => notify(describeLoss(event)));
  reactions.on('error', ({ code, message }) => {
    if (code === 'stream-ended') hasStreamEnded = true;
    lastError = code === 'unreachable' ? 'The region cannot be reached' : message;
    notify(lastError);
  });

  function tap(emoji: string): number {
    const taken = reactions.tap(emoji);
    if (taken === 0 && reactions.endpoint !== null) notify(hasStreamEnded ? 'The stream has ended' : 'Too fast, not counted');
    return taken;
  }

  function showState(): void {
    const { state, endpoint } = reactions;
    if (state === 'connected') {
      connectedAt = performance.now();
      wasConnected = true;
      show('live', 'live');
      showTotals();
      return;
    }
    connectedAt = Infinity;
    awaitedTapAt = null;
    phone.showNoCrowd();
    if (state === 'disconnected') phone.clear();
    if (endpoint === null) {
      show('refused', 'refused');
      notify(lastError, Infinity);
    } else if (state === 'disconnected') show('waiting', 'resting');
    else if (wasConnected) show('waiting', 'reconnecting');
    else show('connecting', 'connecting');
  }

  function show(state: string, word: string): void {
    setState(root, state);
    phone.showState(state, word);
  }

  /** The palette may have come with them. */
  function showTotals(): void {
    phone.showPalette(reactions.palette);
    phone.showTotals(reactions.totals);
    onTotal(sumOf(reactions.totals));
  }

  function showFrame(frame: Frame): void {
    frameAt = performance.now();
    frameTimes.push(frameAt);
    phone.showCrowd(frame);
    if (awaitedTapAt === null || Object.keys(frame.hints).length === 0) return;
    latencies.push(frameAt - awaitedTapAt);
    if (latencies.length > LATENCIES_MAX) latencies.shift();
    awaitedTapAt = null;
  }

  function notify(text: string, forMs = NOTICE_MS): void {
    if (text === '') return;
    phone.notify(text);
    notifiedUntil = performance.now() + forMs;
  }

  function peerAges(now: number): Map<string, number | null | undefined> {
    const ages = new Map<string, number | null | undefined>();
    for (const [peer, ageMs] of Object.entries(reactions.frame?.staleness ?? {})) {
      // A quiet stream has a frame every 2 s. Only of a peer that is behind is it known that it stays
      // silent meanwhile: the next word of it, or the lack of it, brings a frame at once.
      const age = ageMs !== null && ageMs > BEHIND_MS ? ageMs + (now - frameAt) : ageMs;
      ages.set(peer, reactions.state === 'connected' ? age : undefined);
    }
    return ages;
  }

  return {
    root,
    region,
    get isLive() {
      return reactions.state === 'connected';
    },
    get ratePerSecond() {
      return reactions.state === 'connected' ? sumOf(reactions.frame?.rates ?? {}) : 0;
    },
    get palette() {
      return reactions.palette;
    },
    refresh() {
      const now = performance.now();
      const isLive = reactions.state === 'connected';
      if (now > notifiedUntil) phone.notify('');
      frameTimes = frameTimes.filter((at) => at > now - FRAME_RATE_MS);
      facts.showPeers(peerAges(now));
      facts.showPace({
        latencyMs: median(latencies),
        framesPerSecond: isLive ? (frameTimes.length * 1000) / FRAME_RATE_MS : 0,
        level: isLive ? (reactions.frame?.level ?? null) : null,
      });
    },
    showStanding: (standing, apart) => facts.showStanding(standing, apart),
  };
}

/** What became of own taps, in words; nothing when it is about none. Pure. */
export function describeLoss({ reason, taps }: Discontinuity): string {
  const those = `${taps} ${taps === 1 ? 'tap' : 'taps'}`;
  if (reason === 'in-doubt') return `${those} unanswered: counted once or not at all`;
  return reason === 'dropped' ? `${those} not counted` : '';
}
