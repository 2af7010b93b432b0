/**
 * The engine of the player SDK: brings taps out and the crowd in, over whatever connection there is.
 *
 * What is counted how often is decided by pure parts (outbox and sessions, echo, tap limit); this file
 * carries it out. One timer serves everything that falls due: batches, resends, and the end of what is too old.
 */

import { isId } from '../../crdt/ids.ts';
import type { Cancel } from '../../regions/runtime.ts';
import { RESEND_MS_MAX, type Ack, type BatchMessage, type ErrorMessage, type ServerMessage, type Welcome } from '../protocol/messages.ts';
import { randomId } from './browser-platform.ts';
import type { Discontinuity, Frame, Palette, Platform, Totals } from './client-types.ts';
import { Connector } from './connector.ts';
import { Echo } from './echo.ts';
import type { Listeners } from './listeners.ts';
import { subjectOf, type CheckedOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { postAndForget } from './post-batches.ts';
import { tapsOf, type SentBatch, type Session } from './session.ts';
import { TAP_BURST_MAX, TapLimit } from './tap-limit.ts';

const BATCH_MS = 250;
/** The crowd's batches must not come in step. */
const BATCH_JITTER = 0.1;
const RETRY_MS = 1_000;
/** After so long without an error, the same one is news again. */
const QUIET_MS = 30_000;

export class Engine {
  palette: Palette;
  frame: Frame | null = null;
  readonly #options: CheckedOptions;
  readonly #platform: Platform;
  readonly #listeners: Listeners;
  readonly #connector: Connector;
  readonly #outbox = new Outbox();
  readonly #echo = new Echo();
  readonly #limit = new TapLimit();
  /** Codes that the app was told of since all went well. */
  readonly #reported = new Set<string>();
  #reportedAt = 0;
  #cancelTurn: Cancel = () => {};
  #viewerId: string;
  /** Where the present region, or the last one, was met. */
  #metAt: string | null = null;
  #batchMs = BATCH_MS;
  #nextBatchAt = 0;
  #isPaletteKnown = false;
  #hasStreamEnded = false;
  #isPaused = true;
  #hasEnded = false;
  /** The most that a frame said was taken back of the stream. */
  #corrected = 0;

  constructor(options: CheckedOptions, platform: Platform, listeners: Listeners) {
    this.#options = options;
    this.#platform = platform;
    this.#listeners = listeners;
    this.palette = options.palette;
    this.#viewerId = options.viewerId ?? randomId();
    this.#connector = new Connector(options, platform, {
      message: (message) => this.#receive(message),
      state: (state) => listeners.emit('state', state),
      report: (code, message, temporary) => this.report(code, message, temporary),
      stopped: () => {
        // Refused for good: what was never sent is not sent there either.
        this.#dropWaiting();
        this.end();
      },
    });
  }

  get totals(): Totals {
    return this.#echo.totals;
  }

  get endpoint(): string | null {
    return this.#hasEnded ? null : this.#connector.endpoint;
  }

  get state() {
    return this.#connector.state;
  }

  resume(): void {
    if (!this.#isPaused || this.#hasEnded) return;
    this.#isPaused = false;
    this.#connector.connect();
    this.#turn();
  }

  pause(): void {
    this.#isPaused = true;
    this.#cancelTurn();
    this.#connector.disconnect();
  }

  /** Ends for good. What waits is sent once more, and its fate is not heard of. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.flush(true);
    this.pause();
    this.#dropWaiting();
    this.#doubt(this.#outbox.expire(Infinity));
  }

  tap(emoji: string, count: number): number {
    if (this.#hasEnded || this.#hasStreamEnded || this.#options.watchOnly || !Number.isInteger(count)) return 0;
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
    const { waiting } = this.#outbox;
    // Before any region was met, whichever answers may count what is left behind.
    if (isLeaving && !waiting.isEmpty && this.#outbox.session === null) this.#outbox.enter('', randomId(), this.#now());
    const { session, region } = this.#outbox;
    if (session === null || region === null) return;
    const batch = this.#outbox.isSettling && !isLeaving ? null : session.nextBatch(waiting, this.#now());
    if (batch !== null) this.#connector.send([batch]);
    if (!isLeaving && this.#connector.isReady) return;
    const batches = session.resends(this.#now(), true);
    const { streamId } = this.#options;
    const { endpoint, token } = this.#connector;
    const post = { endpoint: this.#metAt ?? endpoint, region, sessionId: session.id, streamId, viewerId: this.#viewerId, token, batches };
    if (batches.length > 0) postAndForget(this.#platform, post);
    // Should the page come back, nobody could be asked about it.
    if (region === '') this.#doubt(this.#outbox.abandon());
  }

  /** Tells the app of an error, once until things go well again. */
  report(code: string, message: string, temporary: boolean): void {
    this.#reportedAt = this.#now();
    if (this.#reported.has(code)) return;
    this.#reported.add(code);
    this.#listeners.emit('error', { code, message, temporary });
  }

  #now(): number {
    return this.#platform.runtime.clock.now();
  }

  // Messages

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        return this.#welcome(message);
      case 'ack':
      case 'error': {
        const { session } = this.#outbox;
        // An error about the whole connection is followed by its end, which says the same.
        if (session === null || message.seq === 0) return;
        this.#answered(session, message);
        return this.#turn();
      }
      case 'frame': {
        const { type: _, ...frame } = message;
        const { totals, corrected = 0 } = frame;
        // What the first one says was never shown; a region that has heard of less takes nothing back.
        const takenBack = this.frame === null ? 0 : Math.max(0, corrected - this.#corrected);
        this.#corrected = Math.max(corrected, this.#corrected);
        this.frame = frame;
        this.#listeners.emit('frame', frame);
        this.#show(totals, true, takenBack);
        if (takenBack > 0) this.#discontinuity('corrected', takenBack);
        return;
      }
      case 'pace':
        this.#batchMs = message.batch_ms;
        this.#adopt(message.palette);
        this.#listeners.emit('pace', { batchMs: message.batch_ms, level: message.level });
    }
  }

  #adopt(palette: Palette = {}): void {
    if (Object.keys(palette).length === 0) return;
    this.palette = palette;
    this.#isPaletteKnown = true;
    const unknown = this.#dropWaiting((emoji) => !Object.hasOwn(palette, emoji));
    if (unknown > 0) this.report('unknown-emoji', 'Some emoji are not in the palette of the stream', false);
  }

  #welcome({ region, palette, batch_ms, totals }: Welcome): void {
    const now = this.#now();
    const before = this.#outbox.region;
    const expired = this.#outbox.enter(region, randomId(), now);
    const session = this.#outbox.session!;
    this.#batchMs = batch_ms;
    if (!this.#options.watchOnly) {
      this.#viewerId = this.#options.viewerId ?? subjectOf(this.#connector.token) ?? this.#viewerId;
      this.#hello(session);
      this.#connector.send(session.resends(now, true));
    }
    this.#metAt = this.#connector.endpoint;
    // Only now: who hears of it may tap, and nothing is sent before the hello.
    this.#doubt(expired);
    this.#adopt(palette);
    this.#show(totals, false);
    if (before !== null) this.#discontinuity(before === region ? 'reconnected' : 'moved');
    this.#turn();
  }

  #hello(session: Session): void {
    const { token } = this.#connector;
    this.#connector.hello({
      type: 'hello',
      session_id: session.id,
      viewer_id: this.#viewerId,
      ...(token === undefined ? {} : { token }),
      // Says that we were here before, also when all is answered.
      ...(this.#metAt === null ? {} : { unacked_from: session.unackedFrom }),
    });
  }

  #show(totals: Totals, isFrame: boolean, takenBack = 0): void {
    const before = this.totals;
    this.#echo.show(totals, isFrame, this.#now(), takenBack);
    if (this.totals !== before) this.#listeners.emit('totals', this.totals);
  }

  /** What became of a batch. */
  #answered(session: Session, answer: Ack | ErrorMessage): void {
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
      this.#connector.markUseful();
      if (now - this.#reportedAt >= QUIET_MS) this.#reported.clear();
      this.#echo.settle(reactions, accepted);
      return this.#listeners.emit('ack', { accepted, clamped, tapToAckMs: now - batch.tappedAt });
    }
    this.report(answer.code, answer.message, false);
    if (answer.code === 'stale-sequence') return this.#renewSession(batch);
    this.#echo.settle(reactions, 0);
    // Refused here; a region that it was sent to before may have counted it.
    this.#discontinuity(batch.visits.length > 1 ? 'in-doubt' : 'dropped', tapsOf(reactions));
    if (answer.code === 'stream-ended') {
      this.#hasStreamEnded = true;
      this.#dropWaiting();
    }
  }

  /** The session and its region do not agree on its numbers. Another one needs another connection. */
  #renewSession(batch: SentBatch): void {
    this.#doubt([batch, ...this.#outbox.abandon()]);
    this.#connector.lost({ code: 1012, reason: 'The session ended' });
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
    this.#listeners.emit('discontinuity', { reason, taps });
  }

  // What falls due

  #turn(): void {
    if (this.#isPaused) return;
    const now = this.#now();
    this.#doubt(this.#outbox.expire(now));
    if (now - this.#outbox.waiting.since >= RESEND_MS_MAX) this.#dropWaiting();
    const dueAt = Math.min(this.#sendDue(now), this.#oldest() + RESEND_MS_MAX);
    this.#cancelTurn();
    if (this.#isPaused || dueAt === Infinity) return;
    this.#cancelTurn = this.#platform.runtime.timers.after(Math.max(1, dueAt - now), () => this.#turn());
  }

  /** When the oldest tap that is not answered was tapped or sent. */
  #oldest(): number {
    const { session, waiting } = this.#outbox;
    return Math.min(waiting.since, session?.oldestSentAt ?? Infinity);
  }

  /** Sends what is due to the region that we are connected to, and answers when something will be. */
  #sendDue(now: number): number {
    if (this.#outbox.session === null || !this.#connector.isReady) return Infinity;
    const hasBegun = this.#outbox.renew(randomId());
    const { session, waiting } = this.#outbox;
    if (hasBegun) this.#hello(session);
    const sent: BatchMessage[] = now >= session.resendAt ? session.resends(now, false) : [];
    const mayBatch = !this.#connector.isDraining && !this.#outbox.isSettling;
    const batch = mayBatch && now >= this.#nextBatchAt ? session.nextBatch(waiting, now) : null;
    if (batch !== null) {
      this.#nextBatchAt = now + this.#batchMs * (1 + BATCH_JITTER * (2 * this.#platform.runtime.random.next() - 1));
      sent.push(batch);
    }
    this.#connector.send(sent);
    return Math.min(session.resendAt, mayBatch && !waiting.isEmpty && session.canSend ? this.#nextBatchAt : Infinity);
  }
}
