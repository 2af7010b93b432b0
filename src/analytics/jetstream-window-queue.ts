/**
 * The window queue on JetStream: a work-queue stream in the region's own NATS.
 *
 * Bounded in bytes; when full it refuses (`discard new`) instead of forgetting the oldest. A message
 * that cannot be read is set aside in a small stream of its own, counted and logged, and does not hold
 * up the others, nor does a stream for it that cannot be written (WIN-6). A connection in doubt is closed, so that
 * the next `open` has another one (WIN-17).
 */

import { NatsRefused, NatsUnavailable, connectNats, type NatsConnection, type StoredMessage } from '../../regions/nats-connection.ts';
import type { Log } from '../../regions/runtime.ts';
import type { NatsAddress } from '../../regions/topology.ts';
import { MalformedWindows, decodeWindows, encodeWindows } from './window-codec.ts';
import { WindowQueueUnavailable, type WindowQueue } from './window-queue.ts';
import type { WindowRecord } from './window-record.ts';

const BYTES_MAX = 256 * 1024 * 1024;
const MALFORMED_BYTES_MAX = 1024 * 1024;
/** A message holds up to half a megabyte of records: a few make a good database statement. */
const MESSAGES_PER_STORE_MAX = 64;
const REDELIVER_MS = 1000;
const CONSUMER = 'persister';

export interface JetStreamWindowQueueOptions {
  readonly region: string;
  /** The region's own NATS. */
  readonly address: NatsAddress;
  readonly log: Log;
  /** The stream's size; the server sets it aside at once. */
  readonly bytesMax?: number;
}

export function createJetstreamWindowQueue(options: JetStreamWindowQueueOptions): WindowQueue {
  return new Queue(options);
}

class Queue implements WindowQueue {
  readonly #options: JetStreamWindowQueueOptions;
  readonly #stream: string;
  readonly #subject: string;
  #connection: NatsConnection | null = null;
  #opening: Promise<void> | null = null;
  #closed = false;
  /** Records waiting: an estimate from the stream at each batch, corrected by what goes in and out here. */
  #depth = 0;
  /** Which life of the stream was seen last, and how far it had come; null before the first. */
  #seen: { readonly created: string; lastSequence: number } | null = null;
  #losses = 0;
  #malformed = 0;

  constructor(options: JetStreamWindowQueueOptions) {
    this.#options = options;
    this.#stream = `WINDOWS_${options.region}`;
    this.#subject = `windows.${options.region}`;
  }

  open(): Promise<void> {
    // Publisher and persister both open the queue; they share one attempt and one connection.
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async publish(records: readonly WindowRecord[]): Promise<void> {
    const connection = this.#connected();
    // Before the consumer may see them: it sets the depth anew with each batch.
    this.#depth += records.length;
    try {
      const published = await Promise.all(encodeWindows(records).map((message) => connection.publish(this.#subject, message)));
      for (const { sequence } of published) if (this.#seen !== null) this.#seen.lastSequence = Math.max(this.#seen.lastSequence, sequence);
    } catch (error) {
      this.#depth = Math.max(0, this.#depth - records.length);
      throw this.#failed(connection, error);
    }
  }

  async consume(store: (records: readonly WindowRecord[]) => Promise<void>, signal: AbortSignal): Promise<void> {
    const connection = this.#connected();
    const handle = async (messages: StoredMessage[], postpone: (message: StoredMessage) => void): Promise<void> => {
      const records = await this.#read(connection, messages, postpone);
      if (records.length > 0) await store(records);
      this.#depth = Math.max(0, this.#depth - records.length);
    };
    try {
      await connection.work(this.#stream, CONSUMER, handle, { batchMax: MESSAGES_PER_STORE_MAX, signal, retryMs: REDELIVER_MS });
    } catch (error) {
      throw this.#failed(connection, error);
    }
  }

  losses(): number {
    return this.#losses;
  }

  malformed(): number {
    return this.#malformed;
  }

  depth(): number {
    return this.#depth;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {});
    await this.#connection?.close();
  }

  async #open(): Promise<void> {
    let connection: NatsConnection | null = this.#connection;
    try {
      connection ??= await this.#connect();
      // Also on a connection that lives: the stream may be what was lost.
      const { created, lastSequence } = await connection.ensureStream({
        name: this.#stream,
        subjects: [this.#subject],
        maxBytes: this.#options.bytesMax ?? BYTES_MAX,
        retention: 'workqueue',
        discard: 'new',
      });
      const seen = this.#seen;
      if (seen !== null && (seen.created !== created || seen.lastSequence > lastSequence)) this.#losses += 1;
      this.#seen = { created, lastSequence };
    } catch (error) {
      throw this.#failed(connection, error);
    }
  }

  /** The server may hang, or be another one behind the same address: only a new connection tells. A refusal leaves no doubt. */
  #failed(connection: NatsConnection | null, error: unknown): WindowQueueUnavailable {
    if (error instanceof NatsUnavailable && !(error instanceof NatsRefused)) {
      if (this.#connection === connection) this.#connection = null;
      void connection?.close();
    }
    return unavailable(error);
  }

  async #connect(): Promise<NatsConnection> {
    const connection = await connectNats(this.#options.address, `ovation ${this.#options.region} windows`);
    if (this.#closed) {
      await connection.close();
      throw new WindowQueueUnavailable('the queue was closed');
    }
    this.#connection = connection;
    void connection.closed.then(() => {
      if (this.#connection === connection) this.#connection = null;
    });
    return connection;
  }

  #connected(): NatsConnection {
    if (this.#connection === null) throw new WindowQueueUnavailable('the connection to the queue is lost');
    return this.#connection;
  }

  /** Postpones what can neither be read nor set aside. */
  async #read(
    connection: NatsConnection,
    messages: readonly StoredMessage[],
    postpone: (message: StoredMessage) => void,
  ): Promise<WindowRecord[]> {
    const records: WindowRecord[] = [];
    for (const message of messages) {
      try {
        for (const record of decodeWindows(message.payload)) records.push(record);
      } catch (error) {
        if (!(error instanceof MalformedWindows)) throw error;
        if (!(await this.#setAside(connection, message, error))) postpone(message);
      }
    }
    // A figure for operators; windows do not wait for it.
    const state = await connection.streamState(this.#stream).catch(() => null);
    const last = messages.at(-1)!.sequence;
    // What lies behind this batch; acknowledgements may still be on their way, so messages are not counted.
    if (state !== null) this.#depth = records.length + Math.round((records.length / messages.length) * Math.max(0, state.lastSequence - last));
    return records;
  }

  /** False when that failed, so that the message must come again. */
  async #setAside(connection: NatsConnection, { payload, sequence }: StoredMessage, error: MalformedWindows): Promise<boolean> {
    const { log } = this.#options;
    const stream = `${this.#stream}_MALFORMED`;
    const subject = `${this.#subject}.malformed`;
    try {
      await connection.publish(subject, payload).catch(async () => {
        // Made when it is needed first.
        await connection.ensureStream({ name: stream, subjects: [subject], maxBytes: MALFORMED_BYTES_MAX, retention: 'limits', discard: 'old' });
        await connection.publish(subject, payload);
      });
    } catch (failure) {
      log.warn({ error: failure, sequence, stream }, 'a message in the window queue cannot be read, and for now not be set aside');
      return false;
    }
    this.#malformed += 1;
    log.error(
      { error, sequence, bytes: payload.length, stream },
      'a message in the window queue cannot be read; it was set aside and its windows are missing from the database',
    );
    return true;
  }
}

function unavailable(error: unknown): WindowQueueUnavailable {
  if (error instanceof WindowQueueUnavailable) return error;
  return new WindowQueueUnavailable(error instanceof Error ? error.message : String(error), { cause: error });
}
