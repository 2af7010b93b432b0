/**
 * One moderator's WebSocket: questions and updates in, answers and the others' updates out.
 *
 * It exists only once the token is verified, so that nothing was read before. Whatever it sends that a document
 * cannot take closes it and changes nothing; what it can make this process do or keep is bounded: a budget of
 * messages and bytes, and a reader that falls behind is cut. The answer to a question proves that what was written
 * before it was taken, so it waits until the region's log has that [MOD-36].
 */

import type { WebSocket } from 'ws';
import type { Cancel, Timers } from '../../regions/runtime.ts';
import type { ControlPlane } from '../moderation/control-plane.ts';
import { MalformedUpdate } from '../moderation/document-gate.ts';
import {
  MalformedSync,
  answerMessage,
  keepAliveMessage,
  questionMessage,
  readSyncMessage,
  updateMessage,
} from '../moderation/sync-protocol.ts';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { CLOSE_TOO_LARGE } from '../protocol/control.ts';
import { isRevoked, type Claims } from './auth.ts';
import type { ControlLimits } from './options.ts';
import { closeText } from './viewer-socket.ts';

export interface ControlStats {
  sockets: number;
  updates: number;
  refused: number;
  closedByEdge: number;
}

export interface ControlContext {
  readonly plane: ControlPlane;
  /** Whether what moderators have written to a document outlives this process. */
  readonly isKept: (document: string) => boolean;
  readonly limits: ControlLimits;
  readonly now: () => number;
  readonly timers: Timers;
  readonly stats: ControlStats;
}

/** How often it is looked whether the log has it, and for how long: below the ten seconds after which a provider gives up. */
const KEPT_POLL_MS = 25;
const KEPT_MS_MAX = 5_000;
const BYTES_PER_MESSAGE = 4096;
/** In a region without a key for tokens. */
const ANYBODY = 'anybody';

export class ControlSocket {
  readonly document: string;
  readonly #webSocket: WebSocket;
  readonly #context: ControlContext;
  /** Null in a region without a key for tokens. */
  readonly #claims: Claims | null;
  #isClosed = false;
  #budget: number;
  #budgetAt: number;
  #heardAt: number;
  #saidAt: number;
  #isPinged = false;
  #hasWritten = false;
  /** Questions whose answers wait until what was written before is kept. */
  #waiting: Uint8Array[] = [];
  #cancelWaiting: Cancel = () => {};

  constructor(context: ControlContext, webSocket: WebSocket, document: string, claims: Claims | null) {
    this.document = document;
    this.#webSocket = webSocket;
    this.#context = context;
    this.#claims = claims;
    this.#budget = context.limits.messageBurstMax;
    this.#budgetAt = this.#heardAt = this.#saidAt = context.now();
    webSocket.on('message', (data: Buffer, isBinary: boolean) => this.#onMessage(data, isBinary));
    webSocket.on('ping', () => this.#spend(0));
    webSocket.on('pong', () => this.#onPong());
    webSocket.on('close', () => this.#cancelWaiting());
    this.#send(questionMessage(context.plane.vector(document)));
  }

  /** What is new in the document, unless this socket wrote it. */
  tell(update: Uint8Array, origin: unknown): void {
    if (origin !== this) this.#send(updateMessage(update));
  }

  /** Says why, and takes nothing more. */
  close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#context.stats.closedByEdge += 1;
    this.#webSocket.close(code, closeText(reason));
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  /** Once a second: tokens that are no longer good, silence. */
  sweep(): void {
    this.#checkToken();
    const { limits, now } = this.#context;
    if (now() - this.#saidAt >= limits.keepAliveMs) this.#send(keepAliveMessage());
    const silentMs = now() - this.#heardAt;
    if (silentMs >= 2 * limits.silentMs) this.terminate();
    else if (silentMs >= limits.silentMs && !this.#isPinged && !this.#isClosed) {
      this.#isPinged = true;
      this.#webSocket.ping();
    }
  }

  #checkToken(): void {
    if (this.#claims === null) return;
    const { plane, now } = this.#context;
    if (isRevoked(this.#claims, plane.revokedBefore(this.#claims.viewer))) this.close(CLOSE_CODES.unauthenticated, 'The token was revoked; get a new one.');
    else if (this.#claims.expiresAt <= now()) this.close(CLOSE_CODES.unauthenticated, 'The token has expired; get a new one.');
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#isClosed) return;
    this.#hear();
    if (!this.#spend(data.length)) return;
    this.#refusing(() => {
      if (!isBinary) throw new MalformedSync('binary frames only');
      const message = readSyncMessage(data);
      if (message.kind === 'update') this.#onUpdate(message.update);
      else if (message.kind === 'question') this.#onQuestion(message.vector);
    });
  }

  #refusing(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof MalformedSync || error instanceof MalformedUpdate)) throw error;
      this.#context.stats.refused += 1;
      this.close(CLOSE_CODES.malformed, `Not a message of y-websocket: ${error.message}.`);
    }
  }

  #onQuestion(vector: Uint8Array): void {
    const { isKept, timers, now } = this.#context;
    const isWaiting = this.#waiting.length > 0;
    if (!isWaiting && (!this.#hasWritten || isKept(this.document))) return this.#answer(vector);
    this.#waiting.push(vector);
    if (isWaiting) return;
    const since = now();
    this.#cancelWaiting = timers.every(KEPT_POLL_MS, () => {
      if (isKept(this.document)) this.#answerWaiting();
      else if (now() - since >= KEPT_MS_MAX) this.close(CLOSE_CODES.overloaded, 'The change is in force here, but the log of this region does not take it. It is tried again.');
      if (this.#isClosed) this.#cancelWaiting();
    });
  }

  #answerWaiting(): void {
    this.#cancelWaiting();
    for (const vector of this.#waiting.splice(0)) this.#refusing(() => this.#answer(vector));
  }

  #answer(vector: Uint8Array): void {
    const answer = answerMessage(this.#context.plane.missing(this.document, vector));
    if (this.#spend(answer.length)) this.#send(answer);
  }

  #onUpdate(update: Uint8Array): void {
    const { plane, stats } = this.#context;
    this.#hasWritten = true;
    const result = plane.apply(this.document, update, this.#claims?.viewer ?? ANYBODY, this);
    if (result.kind === 'applied') {
      stats.updates += 1;
      return;
    }
    stats.refused += 1;
    const code = result.reason === 'too-large' ? CLOSE_TOO_LARGE : CLOSE_CODES[result.reason];
    this.close(code, `The update was refused: ${result.message}.`);
  }

  #send(bytes: Uint8Array): void {
    if (this.#isClosed || this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    if (this.#webSocket.bufferedAmount > this.#context.limits.bufferedBytesMax) {
      // A close frame would wait behind what it does not read.
      this.#isClosed = true;
      this.#context.stats.closedByEdge += 1;
      return this.terminate();
    }
    this.#saidAt = this.#context.now();
    this.#webSocket.send(bytes);
  }

  /** One that was asked for costs nothing. */
  #onPong(): void {
    if (!this.#isPinged) this.#spend(0);
    this.#hear();
  }

  #hear(): void {
    this.#heardAt = this.#context.now();
    this.#isPinged = false;
  }

  /** Takes a message of so many bytes out of the budget; who goes on when it is empty is closed. */
  #spend(bytes: number): boolean {
    const { limits, now } = this.#context;
    const at = now();
    this.#budget = Math.min(limits.messageBurstMax, this.#budget + ((at - this.#budgetAt) / 1000) * limits.messagesPerSecondMax);
    this.#budgetAt = at;
    this.#budget -= 1 + bytes / BYTES_PER_MESSAGE;
    if (this.#budget > 0) return true;
    this.close(CLOSE_CODES['rate-limited'], `More than ${limits.messagesPerSecondMax} messages a second.`);
    return false;
  }
}
