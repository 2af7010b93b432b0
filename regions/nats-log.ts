/**
 * The log port on NATS JetStream: one stream a region, one subject a key, the last message of each kept.
 *
 * The writer fences with the expected last sequence: it knows the last sequence of its stream and every
 * append moves it by one, so a message of anybody else is seen at the next append or `open`. After any
 * failure its connection is gone and `open` starts anew. A reader takes a connection per `follow`.
 */

import { LogFenced, LogUnavailable, assertKey } from './log.ts';
import type { LogMessage, LogPosition, LogReader, LogVisitor, LogWriter } from './log.ts';
import { NatsUnavailable, NatsWrongSequence, connectNats, type NatsConnection, type StoredMessage } from './nats-connection.ts';
import type { NatsAddress } from './topology.ts';

export interface NatsLogWriterOptions {
  /** The region's own NATS, with all rights. */
  readonly address: NatsAddress;
  readonly region: string;
  /** Set aside on the server's disk; a full log refuses new keys. */
  readonly maxBytes?: number;
}

export interface NatsLogReaderOptions {
  /** The peer's NATS, where its log may be read. */
  readonly address: NatsAddress;
  /** The peer. */
  readonly region: string;
  /** Who reads, for the server's monitoring. */
  readonly reader?: string;
}

const LOG_BYTES_MAX = 512 * 1024 * 1024;
/** Acknowledgements outstanding; more gain nothing when measured. */
const WINDOW_MAX = 1_000;
/** How often in a row a writer may find, before its first append, that another was faster. */
const OVERTAKEN_MAX = 3;

/** The stream that holds a region's log; peers may read it and nothing else. */
export function logStream(region: string): string {
  return `LOG_${region}`;
}

export function createNatsLogWriter(options: NatsLogWriterOptions): LogWriter {
  return new NatsLogWriter(options);
}

export function createNatsLogReader(options: NatsLogReaderOptions): LogReader {
  return { follow: (from, visitor, signal) => follow(options, from, visitor, signal) };
}

function subjectPrefix(region: string): string {
  return `log.${region}.`;
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
        visit(message);
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
    const appended = this.#appending.then(() => this.#append(messages));
    this.#appending = appended.catch(() => {});
    return appended;
  }

  async close(): Promise<void> {
    const nats = this.#nats;
    this.#nats = null;
    await nats?.close();
  }

  async #append(messages: readonly { readonly key: string; readonly payload: Uint8Array }[]): Promise<void> {
    for (const { key } of messages) assertKey(key);
    const nats = this.#nats;
    const known = this.#known;
    if (nats === null || known === null) throw new LogUnavailable(`${this.#stream} is not open`);
    const failure = await this.#publishAll(nats, known, messages);
    if (failure === undefined) return;
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

async function follow(
  { address, region, reader = 'a peer' }: NatsLogReaderOptions,
  from: LogPosition | null,
  visitor: LogVisitor,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  let abort = (): void => {};
  const aborted = new Promise<void>((resolve) => (abort = resolve));
  signal.addEventListener('abort', abort, { once: true });
  const connecting = connectNats(address, `ovation-${reader}-reads-${region}`);
  const reading = connecting.then((nats) => readFrom(nats, region, from, visitor, signal));
  try {
    // An abort need not wait for a server that does not answer.
    await Promise.race([reading, aborted]);
  } catch (error) {
    if (!signal.aborted) throw logError(logStream(region), error);
  } finally {
    signal.removeEventListener('abort', abort);
    // Also when it connects only after the abort.
    void connecting.then((nats) => nats.close(), () => {});
  }
}

async function readFrom(
  nats: NatsConnection,
  region: string,
  from: LogPosition | null,
  visitor: LogVisitor,
  signal: AbortSignal,
): Promise<void> {
  const stream = logStream(region);
  const prefix = subjectPrefix(region);
  const state = await nats.streamState(stream);
  if (signal.aborted) return;
  if (state === null) throw new LogUnavailable(`there is no ${stream} yet`);
  const incarnation = state.created;
  const resumes = from !== null && from.incarnation === incarnation && from.sequence <= state.lastSequence;
  const start = { incarnation, sequence: resumes ? from.sequence : 0 };
  visitor.started(start);
  const following = nats.follow(
    stream,
    start.sequence,
    (batch) => {
      const messages = batch.map(({ subject, payload, sequence }) => ({ key: subject.slice(prefix.length), payload, sequence }));
      const last = messages.at(-1);
      if (last !== undefined) visitor.batch(messages, { incarnation, sequence: last.sequence });
    },
    signal,
  );
  // A log created anew between the two calls would be read from the middle, and nobody would notice.
  const verified = nats.streamState(stream).then((now) => {
    if (now?.created !== incarnation) throw new LogUnavailable(`${stream} was created anew`);
    return following;
  });
  await Promise.race([following, verified]);
}

function logError(stream: string, error: unknown): unknown {
  return error instanceof NatsUnavailable ? new LogUnavailable(`${stream}: ${error.message}`, { cause: error }) : error;
}
