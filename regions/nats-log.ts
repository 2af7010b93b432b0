/**
 * The log port on NATS JetStream: one stream a region, one subject a key, the last message of each kept.
 *
 * The writer fences with the expected last sequence: it knows the last sequence of its stream and every
 * append moves it by one, so a message of anybody else is seen at the next append or `open`. A message that the
 * log has no room for is refused, mostly before it is sent; after any other failure the connection is gone and
 * `open` starts anew. Readers: `nats-log-reader.ts`.
 */

import { randomUUID } from 'node:crypto';
import { keysWithoutRoom } from './log-room.ts';
import { LogFenced, LogRefused, LogUnavailable, OVERTAKEN_MAX, assertKey } from './log.ts';
import type { LogAppend, LogMessage, LogPosition, LogWriter } from './log.ts';
import { NatsRefused, NatsWrongSequence, connectNats, type NatsConnection, type StoredMessage } from './nats-connection.ts';
import { REMOVED_KEY, logError, logStream, subjectPrefix } from './nats-log-reader.ts';
import type { NatsAddress } from './topology.ts';

export { createNatsLogReader, logStream, type NatsLogReaderOptions } from './nats-log-reader.ts';

export interface NatsLogWriterOptions {
  /** The region's own NATS, with all rights. */
  readonly address: NatsAddress;
  readonly region: string;
  /** Set aside on the server's disk; a log that is nearly full refuses new keys. One that exists and is larger stays so. */
  readonly maxBytes?: number;
}

const LOG_BYTES_MAX = 512 * 1024 * 1024;
/** Acknowledgements outstanding; more gain nothing when measured. */
const WINDOW_MAX = 1_000;
/** What the fence adds to a message, and what the server adds on its disk, at most. */
const HEADER_BYTES_MAX = 128;
const RECORD_BYTES_MAX = HEADER_BYTES_MAX + 64;

export function createNatsLogWriter(options: NatsLogWriterOptions): LogWriter {
  return new NatsLogWriter(options);
}

interface Failure {
  /** Of the message among those that were sent. */
  readonly index: number;
  readonly error: unknown;
  /** The server has said that it did not store it. */
  readonly isAnswered: boolean;
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
  /** What was sent and not answered before a failure, by key: it may still arrive. */
  readonly #unanswered = new Map<string, Uint8Array[]>();
  /** The keys in the log, and at most how many bytes it has. */
  readonly #keys = new Set<string>();
  #bytes = 0;
  #bytesMax = Infinity;
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
      const { created, lastSequence, bytes, bytesMax } = await nats.ensureStream({
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
      this.#keys.clear();
      const sequence = await nats.replay(this.#stream, (stored) => {
        const message = this.#messageOf(stored);
        foreign ||= intact && this.#holds && this.#isForeign(message);
        this.#keys.add(message.key);
        if (message.key !== REMOVED_KEY) visit(message);
      });
      if (foreign) throw this.#fenced();
      const position = { incarnation: created, sequence };
      if (!intact) {
        this.#holds = false;
        this.#unanswered.clear();
      }
      this.#bytes = bytes;
      this.#bytesMax = bytesMax;
      this.#known = position;
      this.#nats = nats;
      return { position, intact };
    } catch (error) {
      void nats?.close();
      throw logError(this.#stream, error);
    }
  }

  append(messages: readonly LogAppend[]): Promise<void> {
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

  async #append(messages: readonly LogAppend[]): Promise<void> {
    for (const { key } of messages) assertKey(key);
    const { nats, known } = this.#opened();
    const refused = await this.#refusedOf(nats, messages);
    if (refused.length > 0) throw new LogRefused(this.#stream, refused);
    const failure = await this.#publishAll(nats, known, messages);
    if (failure === null) return;
    // Everything was answered, so nothing is on its way, and the log is as known.
    if (failure.error instanceof NatsRefused && failure.isAnswered) throw new LogRefused(this.#stream, [messages[failure.index]!.key]);
    await this.#giveUp(nats, failure.error);
  }

  /** Those of the messages that there is no room for. What the log has is counted as too much rather than asked for each time. */
  async #refusedOf(nats: NatsConnection, messages: readonly LogAppend[]): Promise<string[]> {
    const tooLarge = messages.filter(({ payload }) => payload.length + HEADER_BYTES_MAX > nats.maxPayload).map(({ key }) => key);
    const withoutRoom = (): string[] => keysWithoutRoom(messages, { bytes: this.#bytes, bytesMax: this.#bytesMax, has: (key) => this.#keys.has(key) }, bytesOf);
    let refused = withoutRoom();
    if (refused.length > 0) {
      const state = await nats.streamState(this.#stream).catch((error: unknown) => this.#giveUp(nats, error));
      this.#bytes = state?.bytes ?? 0;
      refused = withoutRoom();
    }
    return [...tooLarge, ...refused];
  }

  async #remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) assertKey(key);
    const { nats, known } = this.#opened();
    if (keys.length === 0) return;
    const subjects = keys.map((key) => this.#prefix + key);
    // Its payload is nobody else's, so that another process' removal is not taken for ours.
    const mark: LogAppend = { key: REMOVED_KEY, payload: new TextEncoder().encode(randomUUID()) };
    try {
      let failure = await this.#publishAll(nats, known, [mark]);
      if (failure === null) {
        // Only what was there before: a successor may write the same keys at this moment.
        await nats.removeSubjects(this.#stream, subjects, this.#known?.sequence ?? 0);
      } else if (failure.error instanceof NatsRefused) {
        // To the last byte: there is no room to say that something is removed.
        await nats.removeSubjects(this.#stream, subjects, known.sequence + 1);
        failure = await this.#publishAll(nats, known, [mark]);
      }
      if (failure !== null) throw failure.error;
    } catch (error) {
      await this.#giveUp(nats, error);
    }
    for (const key of keys) this.#keys.delete(key);
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

  /** Publishes through the window; answers the first failure, and whether all were answered, once nothing is outstanding any more. */
  async #publishAll(nats: NatsConnection, from: LogPosition, messages: readonly LogAppend[]): Promise<Failure | null> {
    const failures: Failure[] = [];
    const outstanding = new Outstanding();
    for (const [index, message] of messages.entries()) {
      if (outstanding.count >= WINDOW_MAX) await outstanding.downTo(WINDOW_MAX / 2);
      if (failures.length > 0) break;
      outstanding.count += 1;
      nats
        .publish(this.#prefix + message.key, message.payload, { expectLastSequence: from.sequence + index })
        .then(
          ({ sequence }) => this.#acknowledged(from.incarnation, sequence, message),
          (error: unknown) => {
            const isAnswered = error instanceof NatsWrongSequence || error instanceof NatsRefused;
            failures.push({ index, error, isAnswered });
            if (!isAnswered) this.#notAnswered(message);
          },
        )
        .finally(() => outstanding.settled());
    }
    await outstanding.downTo(0);
    const [first] = failures.sort((a, b) => a.index - b.index);
    return first === undefined ? null : { ...first, isAnswered: failures.every(({ isAnswered }) => isAnswered) };
  }

  #notAnswered({ key, payload }: LogAppend): void {
    const payloads = this.#unanswered.get(key) ?? [];
    if (!payloads.some((known) => Buffer.compare(known, payload) === 0)) payloads.push(payload);
    this.#unanswered.set(key, payloads);
  }

  #acknowledged(incarnation: string, sequence: number, message: LogAppend): void {
    // The log has moved on, so nothing sent before with an older expectation can be stored any more.
    if (this.#unanswered.size > 0) this.#unanswered.clear();
    this.#keys.add(message.key);
    this.#bytes += bytesOf(message);
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
    return !this.#unanswered.get(key)?.some((ours) => Buffer.compare(ours, payload) === 0);
  }

  #messageOf({ subject, payload, sequence }: StoredMessage): LogMessage {
    return { key: subject.slice(this.#prefix.length), payload, sequence };
  }

  #fenced(): LogFenced {
    return new LogFenced(`another process writes ${this.#stream}: two regions named ${this.#options.region}?`);
  }
}

/** Rather too much than too little. */
function bytesOf({ key, payload }: LogAppend): number {
  return key.length + payload.length + RECORD_BYTES_MAX;
}
