/**
 * A connection over HTTP, where WebSocket is blocked: batches are posted, one post at a time, and totals
 * are asked for every two seconds. To the engine it looks like any other connection [SDK-10].
 */

import type { Cancel } from '../../regions/runtime.ts';
import { CLOSE_CODES, CLOSE_RESTART } from '../protocol/close-codes.ts';
import { MalformedMessage } from '../protocol/message-rules.ts';
import type { BatchMessage, FrameMessage, Hello, Welcome } from '../protocol/messages.ts';
import { serverMessageOf } from '../protocol/server-messages.ts';
import type { Platform } from './client-types.ts';
import type { Link, LinkEvents } from './link.ts';
import { postBatches } from './post-batches.ts';
import { NOT_OVATION } from './reconnect.ts';

const POLL_MS = 2_000;
const BATCH_MS = 1_000;
const POLL_MS_MAX = 8_000;
const FAILED_POLLS_MAX = 3;
/** How many to show as new at one time: a poll after a pause is no applause of now. */
const HINT_MAX = 50;
const CODES = new Map([[401, CLOSE_CODES.unauthenticated], [403, CLOSE_CODES.forbidden], [400, CLOSE_CODES.malformed], [410, CLOSE_CODES['stream-ended']]]);

interface Totals {
  readonly palette?: unknown;
  readonly totals: Readonly<Record<string, number>>;
}

export function openHttp(
  fetch: NonNullable<Platform['fetch']>,
  { timers, random }: Platform['runtime'],
  endpoint: string,
  streamId: string,
  events: LinkEvents,
): Link {
  let isOpen = true;
  let region = '';
  let sender: Hello | null = null;
  let shown: Totals['totals'] | null = null;
  let failedPolls = 0;
  let cancelPoll: Cancel = () => {};
  const queue = new Map<number, BatchMessage>();
  let isPosting = false;

  function lost(code: number, reason: string): void {
    if (!isOpen) return;
    close();
    events.lost({ code, reason, wasSilent: code === 1006 });
  }

  function close(): void {
    isOpen = false;
    cancelPoll();
  }

  async function poll(): Promise<void> {
    const url = `${endpoint}/streams/${streamId}/reactions`;
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(POLL_MS_MAX) });
      if (!isOpen) return;
      if (response.ok) receive((await response.json()) as Totals);
      else if (response.status < 500) return lost(CODES.get(response.status) ?? CLOSE_CODES['not-found'], `HTTP ${response.status}`);
      else failed(`HTTP ${response.status}`);
    } catch (error) {
      // What is no JSON, or no totals, comes from something else than a region.
      if (error instanceof SyntaxError || error instanceof MalformedMessage) return lost(NOT_OVATION, error.message);
      failed((error as Error).message);
    }
    if (isOpen) cancelPoll = timers.after(POLL_MS * (0.9 + 0.2 * random.next()), () => void poll());
  }

  function failed(reason: string): void {
    failedPolls += 1;
    if (shown === null || failedPolls >= FAILED_POLLS_MAX) lost(1006, reason);
  }

  function receive(answer: Totals): void {
    if (!isOpen) return;
    const pace = { palette: answer.palette ?? {}, batch_ms: BATCH_MS, frame_ms: POLL_MS };
    const isFirst = shown === null;
    const welcome = serverMessageOf({ ...answer, ...pace, type: 'welcome' }) as Welcome;
    // The address leads elsewhere now, where our session is not known.
    if (!isFirst && welcome.region !== region) return lost(CLOSE_RESTART, 'Another region answers');
    const hints = Object.fromEntries(
      Object.entries(welcome.totals)
        .map(([emoji, total]) => [emoji, Math.min(HINT_MAX, total - (shown?.[emoji] ?? total))] as const)
        .filter(([, hint]) => hint > 0),
    );
    const frame = serverMessageOf({ ...answer, hints, type: 'frame' }) as FrameMessage;
    shown = welcome.totals;
    region = welcome.region;
    failedPolls = 0;
    if (isFirst) events.message(welcome);
    if (isOpen) events.message(frame);
  }

  async function postQueue(): Promise<void> {
    if (isPosting || !isOpen || sender === null || queue.size === 0) return;
    isPosting = true;
    const batches = [...queue.values()];
    queue.clear();
    const { session_id: sessionId, viewer_id: viewerId, token } = sender;
    try {
      const post = { endpoint, region, streamId, viewerId, sessionId, token, batches };
      for (const answer of await postBatches(fetch, post)) {
        if (!isOpen) return;
        if (answer.type === 'error' && (answer.code === 'unauthenticated' || answer.code === 'forbidden')) {
          return lost(CLOSE_CODES[answer.code], answer.message);
        }
        events.message(answer);
      }
    } catch {
      // Unanswered, so the session gives them again.
    } finally {
      isPosting = false;
    }
    void postQueue();
  }

  cancelPoll = timers.after(0, () => void poll());
  return {
    hello: (hello) => {
      sender = hello;
      // What waits here of a session before was answered: under another one it would count again.
      queue.clear();
    },
    send(batches) {
      for (const batch of batches) queue.set(batch.seq, batch);
      void postQueue();
    },
    close,
  };
}
