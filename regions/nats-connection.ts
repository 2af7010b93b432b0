/**
 * The NATS driver: everything that Ovation asks of a nats-server. With `nats-publisher.ts`, `nats-pull.ts`,
 * `nats-worker.ts` and `nats-probe.ts` it is all that knows the library or the protocol. One connection, no reconnecting: a doubt of any
 * kind ends a call (`NatsUnavailable`) or the connection (`closed`), and the caller, who knows its own
 * position, connects again and goes on from it.
 *
 * It runs on real sockets and real time; what must run under the simulator stands behind the ports.
 */

import { AckPolicy, DeliverPolicy, DiscardPolicy, JetStreamApiError, RetentionPolicy, StorageType, jetstreamManager } from '@nats-io/jetstream';
import type { ConsumerConfig, JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream';
import { connect, createInbox, nanos, nuid } from '@nats-io/transport-node';
import type { NatsConnection as Core } from '@nats-io/transport-node';
import { probe } from './nats-probe.ts';
import { HandlerFailed, Pull, type PullHandler } from './nats-pull.ts';
import { NatsUnavailable, Publisher, TIMEOUT_MS, unavailable, type PublishOptions, type Published } from './nats-publisher.ts';
import { workOff, type WorkOptions } from './nats-worker.ts';
import type { NatsAddress } from './topology.ts';

export { NatsRefused, NatsUnavailable, NatsWrongSequence } from './nats-publisher.ts';

export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly maxMessagesPerSubject?: number;
  readonly maxAgeMs?: number;
  /** The server sets this much aside when it creates the stream. */
  readonly maxBytes: number;
  readonly retention: 'limits' | 'workqueue';
  /** What a full stream does: drop its oldest messages, or refuse new ones. */
  readonly discard: 'old' | 'new';
  /** For how long a repeated `messageId` is not stored again. Default 2 minutes, or the age if that is less. */
  readonly duplicateWindowMs?: number;
}

export interface StreamState {
  /** When the stream was created, as the server words it: which life of the stream this is. */
  readonly created: string;
  readonly lastSequence: number;
  readonly messages: number;
  readonly bytes: number;
  /** Infinity when it has no limit. */
  readonly bytesMax: number;
}

export interface StoredMessage {
  readonly subject: string;
  /** A view of the socket's buffer: copy what outlives the call. */
  readonly payload: Uint8Array;
  readonly sequence: number;
}

/** Every call may throw `NatsUnavailable`. */
export interface NatsConnection {
  /** The largest message that the server takes, headers included. */
  readonly maxPayload: number;
  readonly serverVersion: string;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  /** Creates the stream, or changes the limits of the existing one; never makes it smaller: an operator may have enlarged it. */
  ensureStream(spec: StreamSpec): Promise<StreamState>;
  /** Null when there is no such stream. */
  streamState(name: string): Promise<StreamState | null>;
  /** What the streams of the account take of what they may take; null for no limit. */
  storage(): Promise<{ readonly bytes: number; readonly bytesMax: number | null }>;
  /** The server's clock, in milliseconds since the epoch, as told by what it makes on a stream. */
  serverNow(stream: string): Promise<number>;
  /** The streams that take a subject, which may have wildcards. */
  streamNames(subject: string): Promise<string[]>;
  /** Also when there is no such stream. */
  deleteStream(name: string): Promise<void>;
  /** Removes the messages below a sequence. */
  purge(name: string, beforeSequence: number): Promise<void>;
  /**
   * Removes the last message of each subject that stands below a sequence. Killed right after, the server
   * may have some of them back.
   */
  removeSubjects(name: string, subjects: readonly string[], beforeSequence: number): Promise<void>;
  /**
   * Resolves when the server has stored the message. Calls may overlap; messages are stored in the
   * order of the calls. @throws NatsUnavailable, NatsWrongSequence
   */
  publish(subject: string, payload: Uint8Array, options?: PublishOptions): Promise<Published>;
  /**
   * Visits every message kept up to the last one at the call, in order, and answers that last
   * sequence. Complete, or rejected. Only those after a sequence, of a stream of which none but the oldest are removed.
   */
  replay(stream: string, visit: (message: StoredMessage) => void, afterSequence?: number): Promise<number>;
  /**
   * Messages after `fromSequence`, in order, as they come. Resolves when aborted; rejects when the
   * connection is lost, silent for 3 s, or anything may have been left out.
   */
  follow(stream: string, fromSequence: number, onBatch: (messages: StoredMessage[]) => void, signal: AbortSignal): Promise<void>;
  /**
   * Works off a work queue: hands over up to `batchMax` messages at a time, one call at a time, and
   * acknowledges them when `handle` resolves; when it rejects they come again after `retryMs` (2 s), and so do
   * those that it has postponed. At least once. Resolves when aborted, after the call in progress.
   */
  work(
    stream: string,
    durable: string,
    handle: (messages: StoredMessage[], postpone: (message: StoredMessage) => void) => Promise<void>,
    options: WorkOptions,
  ): Promise<void>;
  close(): Promise<void>;
}

const FOLLOW_BATCH_MAX = 10_000;
const FOLLOW_HEARTBEAT_MS = 1_000;
/** A replay may end with a heartbeat, when the last messages were removed: it shall not wait long for it. */
const REPLAY_HEARTBEAT_MS = 250;
const CONSUMER_IDLE_MS = 30_000;
/** So that they are answered in time also where each has to read a block of messages from the disk. */
const REMOVALS_OUTSTANDING_MAX = 20;
const STREAM_NOT_FOUND = 10_059;

/** Connects within two seconds. `name` is shown in the server's monitoring. @throws NatsUnavailable */
export async function connectNats(address: NatsAddress, name: string): Promise<NatsConnection> {
  try {
    await probe(address.url, TIMEOUT_MS);
    const core = await connect({
      servers: address.url,
      name,
      reconnect: false,
      // Addresses that a server gossips would lead around the proxy or load balancer given to us.
      ignoreClusterUpdates: true,
      timeout: TIMEOUT_MS,
      pingInterval: 3_000,
      maxPingOut: 2,
      ...(address.user === undefined ? {} : { user: address.user }),
      ...(address.password === undefined ? {} : { pass: address.password }),
      ...(address.url.startsWith('tls:') ? { tls: {} } : {}),
    });
    return new Connection(core, await jetstreamManager(core, { checkAPI: false, timeout: TIMEOUT_MS }));
  } catch (error) {
    throw unavailable(`no connection to ${address.url}`, error);
  }
}

class Connection implements NatsConnection {
  readonly maxPayload: number;
  readonly serverVersion: string;
  readonly closed: Promise<void>;
  readonly #core: Core;
  readonly #manager: JetStreamManager;
  readonly #publisher: Publisher;

  constructor(core: Core, manager: JetStreamManager) {
    this.#core = core;
    this.#manager = manager;
    this.maxPayload = core.info?.max_payload ?? 1_048_576;
    this.serverVersion = core.info?.version ?? '0.0.0';
    this.#publisher = new Publisher(core);
    this.closed = core.closed().then(() => {});
  }

  async ensureStream(spec: StreamSpec): Promise<StreamState> {
    const wanted = streamConfig(spec);
    try {
      const existing = await this.#info(spec.name);
      if (existing === null) return stateOf(await this.#manager.streams.add(wanted));
      if (bytesMaxOf(existing) > spec.maxBytes) wanted.max_bytes = existing.config.max_bytes;
      const same = Object.entries(wanted).every(
        ([key, value]) => JSON.stringify(existing.config[key as keyof StreamConfig]) === JSON.stringify(value),
      );
      if (same) return stateOf(existing);
      await this.#manager.streams.update(spec.name, wanted);
      return stateOf(await this.#manager.streams.info(spec.name));
    } catch (error) {
      throw unavailable(`stream ${spec.name}`, error);
    }
  }

  async streamState(name: string): Promise<StreamState | null> {
    try {
      const info = await this.#info(name);
      return info === null ? null : stateOf(info);
    } catch (error) {
      throw unavailable(`stream ${name}`, error);
    }
  }

  async storage(): Promise<{ readonly bytes: number; readonly bytesMax: number | null }> {
    try {
      const { storage, limits } = await this.#manager.getAccountInfo();
      return { bytes: storage, bytesMax: limits.max_storage < 0 ? null : limits.max_storage };
    } catch (error) {
      throw unavailable('JetStream', error);
    }
  }

  async serverNow(stream: string): Promise<number> {
    try {
      const { name, created } = await this.#manager.consumers.add(stream, ephemeral(0));
      void this.#manager.consumers.delete(stream, name).catch(() => {});
      return Date.parse(created);
    } catch (error) {
      throw unavailable(`a consumer of ${stream}`, error);
    }
  }

  async streamNames(subject: string): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const name of this.#manager.streams.names(subject)) names.push(name);
    } catch (error) {
      throw unavailable(`streams of ${subject}`, error);
    }
    return names;
  }

  async deleteStream(name: string): Promise<void> {
    try {
      if ((await this.#info(name)) !== null) await this.#manager.streams.delete(name);
    } catch (error) {
      throw unavailable(`stream ${name}`, error);
    }
  }

  async purge(name: string, beforeSequence: number): Promise<void> {
    try {
      await this.#manager.streams.purge(name, { seq: beforeSequence });
    } catch (error) {
      throw unavailable(`stream ${name}`, error);
    }
  }

  /**
   * By sequence, not by purging the subject: nats-server 2.9.10 then moves every consumer of the stream on,
   * and who was behind silently misses messages; and each purge may read a block of 8 MB (both measured).
   * Not erased on the disk: killed afterwards, it would count messages that it no longer has.
   */
  async removeSubjects(name: string, subjects: readonly string[], beforeSequence: number): Promise<void> {
    const { streams } = this.#manager;
    try {
      for (let from = 0; from < subjects.length; from += REMOVALS_OUTSTANDING_MAX) {
        const some = subjects.slice(from, from + REMOVALS_OUTSTANDING_MAX);
        const kept = await Promise.all(some.map((subject) => streams.getMessage(name, { last_by_subj: subject })));
        const sequences = kept.flatMap((message) => (message !== null && message.seq < beforeSequence ? [message.seq] : []));
        // One that is named twice is there once.
        await Promise.all(Array.from(new Set(sequences), (sequence) => streams.deleteMessage(name, sequence, false)));
      }
    } catch (error) {
      throw unavailable(`stream ${name}`, error);
    }
  }

  publish(subject: string, payload: Uint8Array, options: PublishOptions = {}): Promise<Published> {
    return this.#publisher.publish(subject, payload, options);
  }

  async replay(stream: string, visit: (message: StoredMessage) => void, afterSequence = 0): Promise<number> {
    const before = await this.#knownState(stream);
    const last = before.lastSequence;
    if (before.messages === 0 || last <= afterSequence) return last;
    let visited = 0;
    await this.#read(stream, afterSequence, REPLAY_HEARTBEAT_MS, new AbortController().signal, (stop) => ({
      room: () => FOLLOW_BATCH_MAX,
      messages: (batch) => {
        for (const message of batch) {
          if (message.sequence > last) return stop();
          visited += 1;
          visit(message);
          if (message.sequence === last) return stop();
        }
      },
      idle: (lastSequence, deliveries) => {
        if (lastSequence >= last && deliveries === visited) stop();
      },
    }));
    const after = await this.#knownState(stream);
    // What is kept now and was kept then must have been visited.
    const owed = Math.min(after.messages - (after.lastSequence - last), last - afterSequence);
    if (after.created !== before.created || visited < owed) {
      throw new NatsUnavailable(`replay of ${stream}: ${visited} of ${owed} messages`);
    }
    return last;
  }

  async follow(stream: string, fromSequence: number, onBatch: (messages: StoredMessage[]) => void, signal: AbortSignal): Promise<void> {
    await this.#read(stream, fromSequence, FOLLOW_HEARTBEAT_MS, signal, () => ({
      room: () => FOLLOW_BATCH_MAX,
      messages: onBatch,
    }));
  }

  work(
    stream: string,
    durable: string,
    handle: (messages: StoredMessage[], postpone: (message: StoredMessage) => void) => Promise<void>,
    options: WorkOptions,
  ): Promise<void> {
    return workOff(this.#core, this.#manager, stream, durable, handle, options);
  }

  async close(): Promise<void> {
    await this.#core.close();
    await this.closed;
  }

  /** An ephemeral consumer from after a sequence, pulled until stopped, aborted or doubtful. */
  async #read(
    stream: string,
    fromSequence: number,
    heartbeatMs: number,
    signal: AbortSignal,
    handlerFor: (stop: () => void) => PullHandler,
  ): Promise<void> {
    let pull: Pull | undefined;
    const stop = (): void => pull?.stop();
    let consumer: string | undefined;
    try {
      consumer = (await this.#manager.consumers.add(stream, ephemeral(fromSequence))).name;
      if (signal.aborted) return;
      signal.addEventListener('abort', stop, { once: true });
      pull = new Pull(this.#core, { stream, consumer, inbox: createInbox(), heartbeatMs, gapless: true }, handlerFor(stop));
      await pull.ended;
    } catch (error) {
      if (error instanceof HandlerFailed) throw error.cause;
      throw unavailable(`reading ${stream}`, error);
    } finally {
      signal.removeEventListener('abort', stop);
      // It goes by itself when idle; asking spares the server until then.
      if (consumer !== undefined && !this.#core.isClosed()) void this.#manager.consumers.delete(stream, consumer).catch(() => {});
    }
  }

  async #knownState(stream: string): Promise<StreamState> {
    const state = await this.streamState(stream);
    if (state === null) throw new NatsUnavailable(`there is no stream ${stream}`);
    return state;
  }

  async #info(name: string): Promise<StreamInfo | null> {
    try {
      return await this.#manager.streams.info(name);
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return null;
      throw error;
    }
  }
}

function streamConfig(spec: StreamSpec): Partial<StreamConfig> & { name: string } {
  const maxAgeMs = spec.maxAgeMs ?? 0;
  const duplicateMs = spec.duplicateWindowMs ?? (maxAgeMs === 0 ? 120_000 : Math.min(120_000, maxAgeMs));
  return {
    name: spec.name,
    subjects: [...spec.subjects],
    storage: StorageType.File,
    retention: spec.retention === 'workqueue' ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    discard: spec.discard === 'new' ? DiscardPolicy.New : DiscardPolicy.Old,
    max_bytes: spec.maxBytes,
    max_msgs_per_subject: spec.maxMessagesPerSubject ?? -1,
    max_age: nanos(maxAgeMs),
    duplicate_window: nanos(duplicateMs),
  };
}

function ephemeral(fromSequence: number): Partial<ConsumerConfig> {
  const start = fromSequence > 0
    ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: fromSequence + 1 }
    : { deliver_policy: DeliverPolicy.All };
  return {
    ...start,
    name: nuid.next(),
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(CONSUMER_IDLE_MS),
    mem_storage: true,
  };
}

function stateOf(info: StreamInfo): StreamState {
  const { last_seq, messages, bytes } = info.state;
  return { created: info.created, lastSequence: last_seq, messages, bytes, bytesMax: bytesMaxOf(info) };
}

function bytesMaxOf({ config }: StreamInfo): number {
  return config.max_bytes < 0 ? Infinity : config.max_bytes;
}
