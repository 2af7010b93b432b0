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
import { fitting, postBatches } from './post-batches.ts';
import { NOT_OVATION } from './reconnect.ts';

const POLL_MS = 2_000;
const BATCH_MS = 1_000;
const POLL_MS_MAX = 8_000;
const FAILED_POLLS_MAX = 3;
/** How many to show as new at one time: a poll after a pause is no applause of now. */
const HINT_MAX = 50;

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
      const { status } = response;
      if (response.ok) receive((await response.json()) as Totals);
      else if (status === 410) lost(CLOSE_CODES['stream-ended'], `HTTP ${status}`);
      else failed(`HTTP ${status}`, status < 500 && ![408, 425, 429].includes(status) ? CLOSE_CODES['not-found'] : 1006);
    } catch (error) {
      // What is no JSON, or no totals, comes from something else than a region.
      failed((error as Error).message, error instanceof SyntaxError || error instanceof MalformedMessage ? NOT_OVATION : 1006);
    }
    if (isOpen) cancelPoll = timers.after(POLL_MS * (0.9 + 0.2 * random.next()), () => void poll());
  }

  /** Where a region has answered, what no region says comes from something in between, and passes. */
  function failed(reason: string, code: number): void {
    failedPolls += 1;
    if (shown === null) lost(code, reason);
    else if (failedPolls >= FAILED_POLLS_MAX) lost(1006, reason);
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
    const { session_id: sessionId, viewer_id: viewerId, token } = sender;
    const post = fitting({ endpoint, region, streamId, viewerId, sessionId, token, batches: [...queue.values()] });
    for (const { seq } of post.batches) queue.delete(seq);
    try {
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
