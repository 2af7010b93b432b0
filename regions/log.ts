/**
 * The log port: a region's compacted log, written by that region alone and read by its peers.
 *
 * A log keeps the last message of each key. Each message has a sequence number that grows within one
 * incarnation; a log that was deleted, wiped or re-created is another incarnation. Nobody may trust
 * sequence numbers or lag for completeness (brokers reuse and lose them): readers restart when the
 * incarnation changes or the log has become shorter, and the replicator proves continuity by itself.
 *
 * Adapters: `memory-log.ts`, `nats-log.ts`. Contract: `test/contracts/log-contract.ts`.
 */

export interface LogMessage {
  /** Dot-separated tokens of `[A-Za-z0-9_-]+`, e.g. `row.0.1795342812345.derby`. */
  readonly key: string;
  readonly payload: Uint8Array;
  readonly sequence: number;
}

export interface LogPosition {
  /** Which life of the log: it changes when the log is created anew. */
  readonly incarnation: string;
  /** The last sequence read; 0 before the first. */
  readonly sequence: number;
}

/** The log cannot be reached, or what became of a call is not known. Opening it and trying again is right. */
export class LogUnavailable extends Error {
  override readonly name = 'LogUnavailable';
}

/** The log answers, and does not take these keys as they are: it has no room for them. Trying much later is right. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused';
  readonly keys: readonly string[];

  constructor(log: string, keys: readonly string[]) {
    super(`${log} does not take ${keys.length} messages, ${keys[0]} among them: it is full, or they are too large`);
    this.keys = keys;
  }
}

/** Another process writes this log: two regions with one identity. Trying again is wrong. */
export class LogFenced extends Error {
  override readonly name = 'LogFenced';
}

/** The key breaks the grammar: a mistake of the caller. Nothing was appended. */
export class MalformedKey extends Error {
  override readonly name = 'MalformedKey';

  constructor(key: string) {
    super(`log key ${JSON.stringify(key.slice(0, 100))} is not dot-separated tokens of [A-Za-z0-9_-]+`);
  }
}

const KEY_PATTERN = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const KEY_CHARACTERS_MAX = 256;

/** @throws MalformedKey */
export function assertKey(key: string): void {
  if (key.length > KEY_CHARACTERS_MAX || !KEY_PATTERN.test(key)) throw new MalformedKey(key);
}

export interface LogAppend {
  readonly key: string;
  readonly payload: Uint8Array;
  /** It may be a new key in the part that is reserved, too. */
  readonly usesReserve?: boolean;
}

/** How often in a row a writer may find, before its first append, that another was faster. */
export const OVERTAKEN_MAX = 3;
export interface LogWriter {
  /**
   * Connects, creates the log when it does not exist, and visits every message kept, oldest first.
   * Also used again after `LogUnavailable`: the answer says whether the log is still the one written
   * to before, and complete (`intact`; true at the first call), or has lost messages that were
   * acknowledged. A payload visited is only lent: copy what outlives the call.
   * @throws LogUnavailable, LogFenced when another process has written since this one's last append
   */
  open(visit: (message: LogMessage) => void): Promise<{ readonly position: LogPosition; readonly intact: boolean }>;

  /**
   * Appends messages in order and resolves when the log has acknowledged all of them.
   * After a rejection any subset may have been kept; messages are absolute, so appending again is right,
   * after `open`. After `LogRefused` the log is still open, and has kept none of the keys named, nor what stood behind them.
   * @throws LogUnavailable, LogRefused, LogFenced, MalformedKey
   */
  append(messages: readonly LogAppend[]): Promise<void>;

  /**
   * Removes keys: once resolved the log keeps nothing of them, and readers that have not read them never
   * will. Readers that have are told nothing. Keys that are not there are fine. The end of the log does not
   * go back, whatever was removed: positions stay good. A server that is killed may have removed messages
   * back when it starts: who does not want them removes again what `open` visits.
   * After a rejection any subset may be gone; removing again is right, after `open`.
   * @throws LogUnavailable, LogFenced, MalformedKey
   */
  remove(keys: readonly string[]): Promise<void>;

  close(): Promise<void>;
}

export interface LogVisitor {
  /** Where reading really starts; sequence 0 when from the first message. */
  started(position: LogPosition): void;
  /**
   * Messages in order. The position to keep is that of the last one, once this has returned. Payloads
   * are only lent: copy what outlives the call. Without messages only the position has moved, over
   * messages that were removed.
   */
  batch(messages: readonly LogMessage[], position: LogPosition): void;
}

export interface LogReader {
  /**
   * Follows the log from after `from`, or from its first message when `from` is null, of another
   * incarnation, or beyond the end. Resolves when the signal is aborted; otherwise goes on until the
   * connection is lost or silent too long, and then rejects.
   * @throws LogUnavailable
   */
  follow(from: LogPosition | null, visitor: LogVisitor, signal: AbortSignal): Promise<void>;
}
