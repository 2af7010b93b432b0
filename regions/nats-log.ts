/**
 * The log port on NATS JetStream: one stream a region, one subject a key, the last message of each kept.
 *
 * The writer fences with the expected last sequence: it knows the last sequence of its stream and every
 * append moves it by one, so a message of anybody else is seen at the next append or `open`. After any
 * failure its connection is gone and `open` starts anew. Readers: `nats-log-reader.ts`.
 */

import { randomUUID } from 'node:crypto';
import { LogFenced, LogUnavailable, assertKey } from './log.ts';
import type { LogMessage, LogPosition, LogWriter } from './log.ts';
import { NatsWrongSequence, connectNats, type NatsConnection, type StoredMessage } from './nats-connection.ts';
import { REMOVED_KEY, logError, logStream, subjectPrefix } from './nats-log-reader.ts';
import type { NatsAddress } from './topology.ts';

export { createNatsLogReader, logStream, type NatsLogReaderOptions } from './nats-log-reader.ts';

export interface NatsLogWriterOptions {
  /** The region's own NATS, with all rights. */
  readonly address: NatsAddress;
  readonly region: string;
  /** Set aside on the server's disk; a full log refuses new keys. */
  readonly maxBytes?: number;
}

const LOG_BYTES_MAX = 512 * 1024 * 1024;
/** Acknowledgements outstanding; more gain nothing when measured. */
const WINDOW_MAX = 1_000;
/** How often in a row a writer may find, before its first append, that another was faster. */
const OVERTAKEN_MAX = 3;

export function createNatsLogWriter(options: NatsLogWriterOptions): LogWriter {
  return new NatsLogWriter(options);
}

interface Unanswered {
  readonly key: string;
  readonly payload: Uint8Array;
}

/** What a sender waits for: that no more than so many are outstanding. */
class Outstanding {
  count = 0;
  #awaited = 0;
  #resume = (): void => {};

  settled(): void {
    this.count -= 1;
    if (this.count <= this.#awaited) this.#resume();
  }

  downTo(count: number): Promise<void> {
    if (this.count <= count) return Promise.resolve();
    this.#awaited = count;
    return new Promise((resolve) => (this.#resume = resolve));
  }
}

class NatsLogWriter implements LogWriter {
  readonly #options: NatsLogWriterOptions;
  readonly #stream: string;
  readonly #prefix: string;
  #nats: NatsConnection | null = null;
  /** The last position known to be in the log: acknowledged, or seen at `open`. */
  #known: LogPosition | null = null;
  /** What was sent and not acknowledged before a failure: it may still arrive. */
  #unanswered: Unanswered[] = [];
  /** Whether the last message known is ours: whoever writes after it fences us. */
  #holds = false;
  #overtaken = 0;
  #appending: Promise<void> = Promise.resolve();

  constructor(options: NatsLogWriterOptions) {
    this.#options = options;
    this.#stream = logStream(options.region);
    this.#prefix = subjectPrefix(options.region);
  }

  async open(visit: (message: LogMessage) => void): Promise<{ readonly position: LogPosition; readonly intact: boolean }> {
    await this.close();
    const { address, region, maxBytes = LOG_BYTES_MAX } = this.#options;
    let nats: NatsConnection | undefined;
    try {
      nats = await connectNats(address, `ovation-${region}-log-writer`);
      const { created, lastSequence } = await nats.ensureStream({
        name: this.#stream,
        subjects: [`${this.#prefix}>`],
        maxMessagesPerSubject: 1,
        maxBytes,
        retention: 'limits',
        discard: 'new',
      });
      const known = this.#known;
      const intact = known === null || (known.incarnation === created && lastSequence >= known.sequence);
      let foreign = false;
      const sequence = await nats.replay(this.#stream, (stored) => {
        const message = this.#messageOf(stored);
        foreign ||= intact && this.#holds && this.#isForeign(message);
        if (message.key !== REMOVED_KEY) visit(message);
      });
      if (foreign) throw this.#fenced();
      const position = { incarnation: created, sequence };
      if (!intact) {
        this.#holds = false;
        this.#unanswered = [];
      }
      this.#known = position;
      this.#nats = nats;
      return { position, intact };
    } catch (error) {
      void nats?.close();
      throw logError(this.#stream, error);
    }
  }

  append(messages: readonly { readonly key: string; readonly payload: Uint8Array }[]): Promise<void> {
    // One after the other: the window inside one append is what fills the line.
    return this.#inTurn(() => this.#append(messages));
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#inTurn(() => this.#remove(keys));
  }

  async close(): Promise<void> {
    const nats = this.#nats;
    this.#nats = null;
    await nats?.close();
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const changed = this.#appending.then(change);
    this.#appending = changed.catch(() => {});
    return changed;
  }

  async #append(messages: readonly { readonly key: string; readonly payload: Uint8Array }[]): Promise<void> {
    for (const { key } of messages) assertKey(key);
    const { nats, known } = this.#opened();
    const failure = await this.#publishAll(nats, known, messages);
    if (failure !== undefined) await this.#giveUp(nats, failure);
  }

  async #remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) assertKey(key);
    const { nats, known } = this.#opened();
    if (keys.length === 0) return;
    const subjects = keys.map((key) => this.#prefix + key);
    // Its payload is nobody else's, so that another process' removal is not taken for ours.
    const mark: Unanswered = { key: REMOVED_KEY, payload: new TextEncoder().encode(randomUUID()) };
    let failure = await this.#publishAll(nats, known, [mark]);
    try {
      if (failure === undefined) {
        // Only what was there before: a successor may write the same keys at this moment.
        await nats.removeSubjects(this.#stream, subjects, this.#known?.sequence ?? 0);
      } else if (await this.#isFull(nats, known, failure)) {
        await nats.removeSubjects(this.#stream, subjects, known.sequence + 1);
        failure = await this.#publishAll(nats, known, [mark]);
      }
    } catch (error) {
      failure = error;
    }
    if (failure !== undefined) await this.#giveUp(nats, failure);
  }

  /** Whether the server answers, nothing was written, and yet a message was not taken: the first mark is a new key. */
  async #isFull(nats: NatsConnection, known: LogPosition, failure: unknown): Promise<boolean> {
    if (failure instanceof NatsWrongSequence) return false;
    const state = await nats.streamState(this.#stream);
    return state !== null && state.created === known.incarnation && state.lastSequence === known.sequence;
  }

  #opened(): { readonly nats: NatsConnection; readonly known: LogPosition } {
    const nats = this.#nats;
    const known = this.#known;
    if (nats === null || known === null) throw new LogUnavailable(`${this.#stream} is not open`);
    return { nats, known };
  }

  async #giveUp(nats: NatsConnection, failure: unknown): Promise<never> {
    try {
      throw failure instanceof NatsWrongSequence ? await this.#overtakenBy(nats, failure) : logError(this.#stream, failure);
    } finally {
      await this.close();
    }
  }

  /** Publishes through the window; answers the first failure, once nothing is outstanding any more. */
  async #publishAll(nats: NatsConnection, from: LogPosition, messages: readonly Unanswered[]): Promise<unknown> {
    const failures: unknown[] = [];
    const outstanding = new Outstanding();
    let expected = from.sequence;
    for (const message of messages) {
      if (outstanding.count >= WINDOW_MAX) await outstanding.downTo(WINDOW_MAX / 2);
      if (failures.length > 0) break;
      outstanding.count += 1;
      nats
        .publish(this.#prefix + message.key, message.payload, { expectLastSequence: expected })
        .then(
          ({ sequence }) => this.#acknowledged(from.incarnation, sequence),
          (error: unknown) => {
            failures.push(error);
            if (!(error instanceof NatsWrongSequence)) this.#unanswered.push(message);
          },
        )
        .finally(() => outstanding.settled());
      expected += 1;
    }
    await outstanding.downTo(0);
    return failures[0];
  }

  #acknowledged(incarnation: string, sequence: number): void {
    // The log has moved on, so nothing sent before with an older expectation can be stored any more.
    if (this.#unanswered.length > 0) this.#unanswered = [];
    this.#known = { incarnation, sequence };
    this.#holds = true;
    this.#overtaken = 0;
  }

  /** Tells another writer from our own message that had arrived without an acknowledgement. */
  async #overtakenBy(nats: NatsConnection, failure: NatsWrongSequence): Promise<unknown> {
    let foreign = false;
    try {
      const state = await nats.streamState(this.#stream);
      if (state !== null && state.created === this.#known?.incarnation) {
        await nats.replay(this.#stream, (stored) => {
          foreign ||= this.#isForeign(this.#messageOf(stored));
        });
      }
    } catch (error) {
      return logError(this.#stream, error);
    }
    if (foreign) this.#overtaken += 1;
    // A writer that has not written yet may be meeting the last words of its predecessor.
    const fenced = foreign && (this.#holds || this.#overtaken >= OVERTAKEN_MAX);
    return fenced ? this.#fenced() : new LogUnavailable(`${this.#stream}: ${failure.message}`, { cause: failure });
  }

  #isForeign({ sequence, key, payload }: LogMessage): boolean {
    if (sequence <= (this.#known?.sequence ?? 0)) return false;
    return !this.#unanswered.some((ours) => ours.key === key && Buffer.compare(ours.payload, payload) === 0);
  }

  #messageOf({ subject, payload, sequence }: StoredMessage): LogMessage {
    return { key: subject.slice(this.#prefix.length), payload, sequence };
  }

  #fenced(): LogFenced {
    return new LogFenced(`another process writes ${this.#stream}: two regions named ${this.#options.region}?`);
  }
}
