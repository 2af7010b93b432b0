/**
 * The engine of the player SDK: brings taps out and the crowd in, over whatever connection there is.
 *
 * Decisions are made by pure parts (outbox and sessions, reconnect, echo, tap limit); this file has the
 * timers and connections that carry them out. One timer serves everything that falls due: batches, resends,
 * offers to regions that were left, and the end of what is too old.
 */

import { isId } from '../../crdt/ids.ts';
import type { Cancel } from '../../regions/runtime.ts';
import { RESEND_MS_MAX, type Ack, type ErrorMessage, type ServerMessage, type Welcome } from '../protocol/messages.ts';
import { randomId } from './browser-platform.ts';
import type { Discontinuity, Frame, Palette, Platform, ReactionsState, Totals } from './client-types.ts';
import { Echo } from './echo.ts';
import { openHttp } from './http-link.ts';
import type { Link, LinkEvents } from './link.ts';
import type { Listeners } from './listeners.ts';
import type { CheckedOptions } from './options.ts';
import { Outbox, type BoundSession } from './outbox.ts';
import { postAndForget, postBatches, type Post } from './post-batches.ts';
import { Reconnect, waitMs, type Attempt, type Loss } from './reconnect.ts';
import { tapsOf, type SentBatch } from './session.ts';
import { openSocket } from './socket-link.ts';
import { TAP_BURST_MAX, TapLimit } from './tap-limit.ts';

const BATCH_MS = 250;
/** The crowd's batches must not come in step. */
const BATCH_JITTER = 0.1;
/** A connection that stood this long was of use. */
const STABLE_MS = 5_000;
const TOKEN_MS_MAX = 10_000;
const RETRY_MS = 1_000;
const PLAN_MS_MAX = 60_000;
/** Over HTTP, WebSocket is tried again after this time, and then after twice of it, up to the end. */
const PROBE_MS_FIRST = 60_000;
const PROBE_MS_MAX = 600_000;

type Phase = 'paused' | 'waiting' | 'connecting' | 'open' | 'ended';

export class Engine {
  palette: Palette;
  frame: Frame | null = null;
  readonly #options: CheckedOptions;
  readonly #platform: Platform;
  readonly #listeners: Listeners;
  readonly #outbox = new Outbox();
  readonly #echo = new Echo();
  readonly #limit = new TapLimit();
  readonly #reconnect: Reconnect;
  /** Codes that the app was told of since the last time that all was well. */
  readonly #reported = new Set<string>();
  #phase: Phase = 'paused';
  #link: Link | null = null;
  #probe: Link | null = null;
  #probeMs = PROBE_MS_FIRST;
  #attempt: Attempt;
  /** Counts connections, so that what a former one began is known as such. */
  #generation = 0;
  #cancelDial: Cancel = () => {};
  #cancelProbe: Cancel = () => {};
  #cancelTurn: Cancel = () => {};
  #viewerId: string;
  #token: string | undefined;
  #batchMs = BATCH_MS;
  #nextBatchAt = 0;
  #isPaletteKnown = false;
  #hasStreamEnded = false;
  #welcomedAt = Infinity;
  #isStable = false;
  /** When a region that goes away asked to be met again; null while it stays. */
  #returnAt: number | null = null;

  constructor(options: CheckedOptions, platform: Platform, listeners: Listeners) {
    this.#options = options;
    this.#platform = platform;
    this.#listeners = listeners;
    this.palette = options.palette;
    this.#viewerId = options.viewerId ?? randomId();
    this.#reconnect = new Reconnect(options.endpoints, options.transport, options.getToken !== undefined);
    this.#attempt = this.#reconnect.attempt;
  }

  get totals(): Totals {
    return this.#echo.totals;
  }

  get endpoint(): string | null {
    return this.#phase === 'ended' ? null : this.#attempt.endpoint;
  }

  get state(): ReactionsState {
    return this.#phase === 'open' ? 'connected' : this.#phase === 'paused' || this.#phase === 'ended' ? 'disconnected' : 'connecting';
  }

  resume(): void {
    if (this.#phase === 'paused') this.#connect(this.#reconnect.attempt);
  }

  pause(): void {
    if (this.#phase === 'ended') return;
    this.#disconnect();
    this.#cancelTurn();
    this.#enter('paused');
  }

  /** Ends for good. What waits is sent once more, and its fate is not heard of. */
  end(): void {
    if (this.#phase === 'ended') return;
    this.flush(true);
    this.#disconnect();
    this.#cancelTurn();
    this.#dropWaiting();
    this.#doubt(this.#outbox.expire(Infinity));
    this.#enter('ended');
  }

  tap(emoji: string, count: number): number {
    if (this.#phase === 'ended' || this.#hasStreamEnded || this.#options.watchOnly || !Number.isInteger(count)) return 0;
    if (!isId(emoji) || (this.#isPaletteKnown && !Object.hasOwn(this.palette, emoji))) {
      this.report('unknown-emoji', `${emoji} is not in the palette of the stream`, false);
      return 0;
    }
    const { waiting } = this.#outbox;
    const now = this.#now();
    // A region clamps what comes at once beyond the burst, so more than that is no use to keep.
    const taken = this.#limit.take(Math.min(count, TAP_BURST_MAX - waiting.taps), now);
    if (taken === 0) return 0;
    waiting.add(emoji, taken, now);
    this.#echo.tap(emoji, taken);
    this.#turn();
    this.#listeners.emit('totals', this.totals);
    return taken;
  }

  /** Sends what waits now; when the page is left, also all that is unanswered, in a way that outlives it. */
  flush(isLeaving: boolean): void {
    const { current, left, waiting } = this.#outbox;
    if (current === null) return;
    const batch = current.session.nextBatch(waiting, this.#now());
    if (batch !== null) this.#link?.send([batch]);
    if (!isLeaving && this.#phase === 'open') return;
    for (const bound of [current, ...left]) {
      const batches = bound.session.resends(this.#now(), true);
      if (batches.length > 0) postAndForget(this.#platform, this.#postOf(bound, batches, this.#token));
    }
  }

  report(code: string, message: string, temporary: boolean): void {
    if (this.#reported.has(code)) return;
    this.#reported.add(code);
    this.#listeners.emit('error', Object.freeze({ code, message, temporary }));
  }

  #now(): number {
    return this.#platform.runtime.clock.now();
  }

  #enter(phase: Phase): void {
    const before = this.state;
    this.#phase = phase;
    if (this.state !== before) this.#listeners.emit('state', this.state);
  }

  // Connections

  #connect(attempt: Attempt): void {
    this.#attempt = attempt;
    const generation = ++this.#generation;
    const isCurrent = (): boolean => generation === this.#generation;
    this.#cancelDial = this.#platform.runtime.timers.after(attempt.delayMs, () => {
      this.#enter('connecting');
      const { getToken, watchOnly } = this.#options;
      if (getToken === undefined || watchOnly) return this.#dial(attempt, undefined);
      this.#askToken().then(
        (token) => isCurrent() && this.#dial(attempt, token),
        (error: unknown) => isCurrent() && this.#tokenFailed(error),
      );
    });
    // The last thing, because a listener may do anything.
    this.#enter('waiting');
  }

  /** A new token, within a bounded time. */
  #askToken(): Promise<string | undefined> {
    const { getToken } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel = this.#platform.runtime.timers.after(TOKEN_MS_MAX, () => reject(new Error('getToken did not answer')));
      // Inside of a promise, so that one that throws at once is one that rejects.
      Promise.resolve()
        .then(() => getToken?.())
        .then(resolve, reject)
        .finally(cancel);
    });
  }

  #tokenFailed(error: unknown): void {
    this.report('token', error instanceof Error ? error.message : String(error), true);
    this.#lost({ code: 1006, reason: 'no token', wasSilent: false }, true);
  }

  #dial(attempt: Attempt, token: string | undefined): void {
    this.#token = token;
    this.#viewerId = this.#options.viewerId ?? subjectOf(token) ?? this.#viewerId;
    this.#welcomedAt = Infinity;
    this.#isStable = false;
    this.#returnAt = null;
    try {
      this.#link = this.#open(attempt);
    } catch (error) {
      this.#lost({ code: 1006, reason: (error as Error).message, wasSilent: false });
    }
  }

  /** @throws when the platform does not take the address */
  #open({ endpoint, overHttp }: Attempt): Link {
    const { WebSocket, fetch, runtime } = this.#platform;
    const { streamId } = this.#options;
    const events: LinkEvents = {
      message: (message) => {
        if (link === this.#probe && message.type === 'welcome') this.#leaveHttp(link);
        if (link === this.#link) this.#receive(message);
      },
      lost: (loss) => {
        if (link === this.#probe) this.#planProbe();
        else if (link === this.#link) this.#lost(loss);
      },
      unreadable: () => this.report('malformed', 'The region sends messages that this client cannot read', true),
    };
    if (overHttp && fetch === undefined) throw new Error('There is no fetch here');
    if (!overHttp && WebSocket === undefined) throw new Error('There is no WebSocket here');
    const link: Link = overHttp
      ? openHttp(fetch!, runtime, endpoint, streamId, events)
      : openSocket(WebSocket!, runtime.timers, `${endpoint}/streams/${streamId}/reactions`, events);
    return link;
  }

  #disconnect(): void {
    this.#generation += 1;
    this.#cancelDial();
    this.#cancelProbe();
    this.#probe?.close();
    this.#link?.close();
    this.#probe = this.#link = null;
  }

  #lost(loss: Pick<Loss, 'code' | 'reason' | 'wasSilent'>, isHere = false): void {
    this.#disconnect();
    const now = this.#now();
    const { next, error } = this.#reconnect.lost(
      {
        ...loss,
        wasWelcomed: isHere || this.#welcomedAt !== Infinity,
        wasStable: this.#isStable || now - this.#welcomedAt >= STABLE_MS,
        retryAfterMs: this.#returnAt === null ? null : Math.max(0, this.#returnAt - now),
      },
      this.#platform.runtime.random,
    );
    if (error !== null) this.report(error.code, error.message, error.temporary);
    if (this.#phase === 'ended' || this.#phase === 'paused') return;
    if (next === null) this.end();
    else this.#connect(next);
  }

  #planProbe(): void {
    this.#probe = null;
    if (!this.#attempt.overHttp || this.#options.transport !== 'auto') return;
    this.#cancelProbe = this.#platform.runtime.timers.after(this.#probeMs, () => {
      this.#probe = this.#open({ ...this.#attempt, overHttp: false });
    });
    this.#probeMs = Math.min(PROBE_MS_MAX, this.#probeMs * 2);
  }

  #leaveHttp(link: Link): void {
    this.#link?.close();
    this.#link = link;
    this.#probe = null;
    this.#probeMs = PROBE_MS_FIRST;
    this.#reconnect.leaveHttp();
    this.#attempt = this.#reconnect.attempt;
  }

  // Messages

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        return this.#welcome(message);
      case 'ack':
      case 'error': {
        const bound = this.#outbox.current;
        if (bound === null || message.seq === 0) return;
        this.#answered(bound, message);
        return this.#turn();
      }
      case 'frame': {
        const { type: _, ...frame } = message;
        this.frame = Object.freeze(frame);
        this.#listeners.emit('frame', this.frame);
        return this.#show(message.totals, true);
      }
      case 'pace':
        this.#batchMs = message.batch_ms;
        return this.#listeners.emit('pace', Object.freeze({ batchMs: message.batch_ms, level: message.level }));
      case 'goaway':
        // It still answers what it has; new batches wait for its return.
        this.#returnAt = this.#now() + message.retry_after_ms;
    }
  }

  #welcome({ region, palette, batch_ms, totals }: Welcome): void {
    const now = this.#now();
    const before = this.#outbox.current;
    const isFirst = this.frame === null && before === null;
    const { session } = this.#outbox.enter(region, this.#attempt.endpoint, randomId(), now);
    this.#welcomedAt = now;
    this.#batchMs = batch_ms;
    if (Object.keys(palette).length > 0) {
      this.palette = Object.freeze(palette);
      this.#isPaletteKnown = true;
      const unknown = this.#dropWaiting((emoji) => !Object.hasOwn(palette, emoji));
      if (unknown > 0) this.report('unknown-emoji', 'Emoji were tapped that are not in the palette of the stream', false);
    }
    if (!this.#options.watchOnly) {
      const unacked = session.unansweredCount > 0 ? { unacked_from: session.unackedFrom } : {};
      const token = this.#token === undefined ? {} : { token: this.#token };
      this.#link?.hello({ type: 'hello', session_id: session.id, viewer_id: this.#viewerId, ...token, ...unacked });
      this.#link?.send(session.resends(now, true));
    }
    if (this.#attempt.overHttp) this.#planProbe();
    this.#enter('open');
    this.#show(totals, false);
    if (!isFirst) this.#discontinuity(before?.region === region ? 'reconnected' : 'moved');
    this.#turn();
  }

  #show(totals: Totals, isFrame: boolean): void {
    const before = this.totals;
    this.#echo.show(totals, isFrame, this.#now());
    if (this.totals !== before) this.#listeners.emit('totals', this.totals);
  }

  /** What became of a batch, also of one that was offered to a region that was left. */
  #answered({ session }: BoundSession, answer: Ack | ErrorMessage): void {
    const now = this.#now();
    if (answer.type === 'error' && answer.temporary) {
      const retryAfterMs = answer.retry_after_ms ?? RETRY_MS;
      session.postpone(answer.seq, now + retryAfterMs * (1 + this.#platform.runtime.random.next() / 2));
      return this.report(answer.code, answer.message, true);
    }
    const batch = session.settle(answer.seq);
    if (batch === null) return;
    const { reactions } = batch.message;
    if (answer.type === 'ack') {
      const { accepted, clamped } = answer;
      this.#isStable = true;
      this.#reported.clear();
      this.#echo.settle(reactions, accepted);
      return this.#listeners.emit('ack', Object.freeze({ accepted, clamped, tapToAckMs: now - batch.tappedAt }));
    }
    this.report(answer.code, answer.message, false);
    if (answer.code === 'stale-sequence') {
      this.#doubt([batch, ...(session === this.#outbox.current?.session ? this.#outbox.abandonCurrent() : [])]);
      return this.#lost({ code: 1012, reason: 'A new session is needed', wasSilent: false });
    }
    this.#echo.settle(reactions, 0);
    if (answer.code === 'stream-ended') {
      this.#hasStreamEnded = true;
      this.#dropWaiting();
    }
    this.#discontinuity('dropped', tapsOf(reactions));
  }

  #doubt(batches: readonly SentBatch[]): void {
    for (const { message } of batches) this.#echo.settle(message.reactions, 0);
    const taps = batches.reduce((sum, { message }) => sum + tapsOf(message.reactions), 0);
    if (taps > 0) this.#discontinuity('in-doubt', taps);
  }

  #dropWaiting(fits?: (emoji: string) => boolean): number {
    const reactions = this.#outbox.waiting.drop(fits);
    this.#echo.settle(reactions, 0);
    const taps = tapsOf(reactions);
    if (taps > 0) this.#discontinuity('dropped', taps);
    return taps;
  }

  #discontinuity(reason: Discontinuity['reason'], taps = 0): void {
    this.#listeners.emit('discontinuity', Object.freeze({ reason, taps }));
  }

  // What falls due

  #turn(): void {
    if (this.#phase === 'paused' || this.#phase === 'ended') return;
    const now = this.#now();
    this.#doubt(this.#outbox.expire(now));
    const { current, left, waiting } = this.#outbox;
    if (now - waiting.since >= RESEND_MS_MAX) this.#dropWaiting();
    let dueAt = Math.min(waiting.since, ...[current, ...left].map((bound) => bound?.session.oldestSentAt ?? Infinity)) + RESEND_MS_MAX;
    if (this.#phase === 'open' && current !== null) {
      const { session } = current;
      if (now >= session.resendAt) this.#link?.send(session.resends(now, false));
      if (now >= this.#nextBatchAt && this.#returnAt === null) this.#sendBatch(current, now);
      if (!waiting.isEmpty && session.canSend && this.#returnAt === null) dueAt = Math.min(dueAt, this.#nextBatchAt);
      dueAt = Math.min(dueAt, session.resendAt);
    }
    for (const bound of left) {
      if (now >= bound.retryAt && !bound.isPosting) this.#offer(bound);
      if (!bound.isPosting) dueAt = Math.min(dueAt, bound.retryAt);
    }
    this.#cancelTurn();
    if (dueAt === Infinity) return;
    this.#cancelTurn = this.#platform.runtime.timers.after(Math.min(PLAN_MS_MAX, Math.max(1, dueAt - now)), () => this.#turn());
  }

  #sendBatch({ session }: BoundSession, now: number): void {
    const batch = session.nextBatch(this.#outbox.waiting, now);
    if (batch === null) return;
    this.#nextBatchAt = now + this.#batchMs * (1 + BATCH_JITTER * (2 * this.#platform.runtime.random.next() - 1));
    this.#link?.send([batch]);
  }

  /** Asks a region that was left about what it has not answered. */
  #offer(bound: BoundSession): void {
    const { fetch, runtime } = this.#platform;
    bound.retryAt = Infinity;
    if (fetch === undefined) return;
    bound.isPosting = true;
    this.#askToken()
      .then((token) => postBatches(fetch, this.#postOf(bound, bound.session.resends(this.#now(), true), token)))
      .then((answers) => {
        for (const answer of answers) if (this.#phase !== 'ended') this.#answered(bound, answer);
      })
      // No answer is one more reason to ask again.
      .catch(() => {})
      .finally(() => {
        bound.isPosting = false;
        bound.failures += 1;
        bound.retryAt = this.#now() + waitMs(bound.failures, runtime.random);
        this.#turn();
      });
  }

  #postOf({ endpoint, region, session }: BoundSession, batches: Post['batches'], token: string | undefined): Post {
    return { endpoint, region, sessionId: session.id, streamId: this.#options.streamId, viewerId: this.#viewerId, token, batches };
  }
}

/** The claim `sub` of a JSON Web Token: who the region will take us for. */
function subjectOf(token: string | undefined): string | undefined {
  try {
    const payload = token?.split('.')[1]?.replaceAll('-', '+').replaceAll('_', '/');
    const { sub } = JSON.parse(atob(payload ?? '')) as { readonly sub?: unknown };
    return typeof sub === 'string' ? sub : undefined;
  } catch {
    return undefined;
  }
}
