/**
 * Publishing into JetStream with many acknowledgements outstanding, a part of the NATS driver.
 *
 * One inbox takes all acknowledgements and one timer watches all deadlines: a subscription or a timer
 * for each would cost more than the message (measured: five times fewer messages a second).
 */

import { PermissionViolationError, createInbox, headers } from '@nats-io/transport-node';
import type { Msg, MsgHdrs, NatsConnection as Core } from '@nats-io/transport-node';

/** The server cannot be reached, did not answer in time, or refused. Nothing is known of what was asked. */
export class NatsUnavailable extends Error {
  override readonly name: string = 'NatsUnavailable';
}

/** The server has answered that it does not store the message, for want of room: the connection is as good as before. */
export class NatsRefused extends NatsUnavailable {
  override readonly name = 'NatsRefused';
}

/** The stream's last sequence is not the expected one: the message was not stored. */
export class NatsWrongSequence extends Error {
  override readonly name = 'NatsWrongSequence';
}

export interface PublishOptions {
  /** Store only if this is the stream's last sequence; otherwise reject with `NatsWrongSequence`. */
  readonly expectLastSequence?: number;
  /** Store once within the stream's duplicate window, however often it is published. */
  readonly messageId?: string;
  /** Default 2 s. */
  readonly timeoutMs?: number;
}

export interface Published {
  readonly sequence: number;
}

interface Pending {
  readonly subject: string;
  readonly deadline: number;
  resolve(answer: Published): void;
  reject(error: Error): void;
}

/** Of a request, when nothing else is said. */
export const TIMEOUT_MS = 2_000;
const DEADLINE_GRAIN_MS = 100;
const OUTSTANDING_MAX = 65_536;
const WRONG_LAST_SEQUENCE = 10_071;
/** The account's or the server's storage is used up; the message, or what the stream holds, would be too large. */
const REFUSALS = new Set([10_002, 10_023, 10_054, 10_077]);

export class Publisher {
  readonly #core: Core;
  readonly #inbox = createInbox();
  readonly #outstanding = new Map<string, Pending>();
  #published = 0;

  constructor(core: Core) {
    this.#core = core;
    core.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#acknowledged(error, message) });
    const deadlines = setInterval(() => {
      const now = performance.now();
      this.#reject((pending) => pending.deadline <= now, 'no acknowledgement in time');
    }, DEADLINE_GRAIN_MS);
    void core.closed().then(() => {
      clearInterval(deadlines);
      this.#reject(() => true, 'the connection was closed');
    });
    void this.#watchPermissions();
  }

  publish(subject: string, payload: Uint8Array, options: PublishOptions): Promise<Published> {
    return new Promise((resolve, reject) => {
      if (this.#outstanding.size >= OUTSTANDING_MAX) return reject(new NatsUnavailable('too many publishes are outstanding'));
      const token = String((this.#published += 1));
      const reply = `${this.#inbox}.${token}`;
      try {
        this.#core.publish(subject, payload, { reply, ...conditions(options) });
      } catch (error) {
        return reject(unavailable(`publish to ${subject}`, error));
      }
      const deadline = performance.now() + (options.timeoutMs ?? TIMEOUT_MS);
      this.#outstanding.set(token, { subject, deadline, resolve, reject });
    });
  }

  #acknowledged(error: Error | null, message: Msg): void {
    if (error !== null) return this.#reject(() => true, error.message);
    const token = message.subject.slice(this.#inbox.length + 1);
    const pending = this.#outstanding.get(token);
    if (pending === undefined) return;
    this.#outstanding.delete(token);
    const answer = parseAcknowledgement(message);
    if ('sequence' in answer) pending.resolve(answer);
    else if (answer.code === WRONG_LAST_SEQUENCE) pending.reject(new NatsWrongSequence(answer.reason));
    else {
      const Refusal = REFUSALS.has(answer.code) ? NatsRefused : NatsUnavailable;
      pending.reject(new Refusal(`publish to ${pending.subject}: ${answer.reason}`));
    }
  }

  #reject(which: (pending: Pending) => boolean, why: string): void {
    for (const [token, pending] of this.#outstanding) {
      if (!which(pending)) continue;
      this.#outstanding.delete(token);
      pending.reject(new NatsUnavailable(`publish to ${pending.subject}: ${why}`));
    }
  }

  /** A forbidden subject is told to the connection, not to the one who published. */
  async #watchPermissions(): Promise<void> {
    for await (const status of this.#core.status()) {
      if (status.type !== 'error' || !(status.error instanceof PermissionViolationError)) continue;
      const forbidden = status.error;
      this.#reject((pending) => pending.subject === forbidden.subject, forbidden.message);
    }
  }
}

function conditions({ expectLastSequence, messageId }: PublishOptions): { readonly headers?: MsgHdrs } {
  if (expectLastSequence === undefined && messageId === undefined) return {};
  const conditions = headers();
  if (expectLastSequence !== undefined) conditions.set('Nats-Expected-Last-Sequence', String(expectLastSequence));
  if (messageId !== undefined) conditions.set('Nats-Msg-Id', messageId);
  return { headers: conditions };
}

function parseAcknowledgement(message: Msg): Published | { readonly code: number; readonly reason: string } {
  if (message.headers?.code === 503) return { code: 503, reason: 'no stream takes this subject' };
  try {
    const answer = message.json<{ seq?: number; error?: { err_code?: number; description?: string } }>();
    if (answer.error === undefined && answer.seq !== undefined) return { sequence: answer.seq };
    return { code: answer.error?.err_code ?? 0, reason: answer.error?.description ?? 'no sequence' };
  } catch {
    return { code: 0, reason: 'not an acknowledgement' };
  }
}

export function unavailable(doing: string, error: unknown): NatsUnavailable {
  if (error instanceof NatsUnavailable) return error;
  return new NatsUnavailable(`${doing}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
