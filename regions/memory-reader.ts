/**
 * Reading a log in memory over a link between two regions, as `memory-log.ts` hands it out: what is sent
 * takes the link's delay, arrives in order, stops at a cut, and a reader that hears nothing gives up.
 */

import type { CompactedLog } from './compacted-log.ts';
import { LogUnavailable } from './log.ts';
import type { LogMessage, LogPosition, LogReader, LogVisitor } from './log.ts';
import { sleep, type Cancel, type Runtime } from './runtime.ts';

/** How long a reader bears silence; NATS adapters give up after as much. */
const SILENCE_MS_MAX = 3_000;
const CONNECT_MS_MAX = 2_000;
/** Batches on their way over one link; more would be a queue without bound. */
const IN_FLIGHT_MAX = 64;

export interface Link {
  readonly from: string;
  readonly to: string;
  cut: boolean;
  delayMs: number;
  /** Called when the link is healed. */
  readonly healed: Set<() => void>;
}

/** A connection, as the server sees it. */
export interface Connected {
  appended(): void;
  lost(why: string): void;
}

export interface ReadableServer {
  readonly available: boolean;
  readonly log: CompactedLog;
  readonly connected: Set<Connected>;
}

export class MemoryLogReader implements LogReader {
  readonly #runtime: Runtime;
  readonly #server: ReadableServer;
  readonly #link: Link;

  constructor(runtime: Runtime, server: ReadableServer, link: Link) {
    this.#runtime = runtime;
    this.#server = server;
    this.#link = link;
  }

  async follow(from: LogPosition | null, visitor: LogVisitor, signal: AbortSignal): Promise<void> {
    const { timers } = this.#runtime;
    const link = this.#link;
    if (link.cut) await sleep(timers, CONNECT_MS_MAX, signal);
    else await sleep(timers, link.delayMs, signal);
    if (signal.aborted) return;
    const name = `log of ${link.from}, read by ${link.to}`;
    if (link.cut) throw new LogUnavailable(`${name}: no connection`);
    if (!this.#server.available) throw new LogUnavailable(`${name}: unavailable`);
    const { log } = this.#server;
    const resumes = from !== null && from.incarnation === log.incarnation && from.sequence <= log.lastSequence;
    const start: LogPosition = { incarnation: log.incarnation, sequence: resumes ? from.sequence : 0 };
    visitor.started(start);
    await new Promise<void>((resolve, reject) => {
      const following = new Following(this.#runtime, this.#server, link, start, visitor, (error) => {
        signal.removeEventListener('abort', stop);
        if (error === undefined) resolve();
        else reject(error instanceof LogUnavailable ? new LogUnavailable(`${name}: ${error.message}`) : error);
      });
      const stop = (): void => following.end();
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
  }
}

/** One connection of a reader: batches on their way, and the watch for silence. */
class Following implements Connected {
  readonly #runtime: Runtime;
  readonly #server: ReadableServer;
  readonly #link: Link;
  readonly #visitor: LogVisitor;
  readonly #ended: (error?: Error) => void;
  readonly #incarnation: string;
  readonly #resume = (): void => this.appended();
  readonly #stopWatching: Cancel;
  /** Batches on their way, each with the end of the log when it was sent. */
  #inFlight: { readonly batch: readonly LogMessage[]; readonly end: number; readonly cancel: Cancel }[] = [];
  /** What was sent so far, and what of it has arrived. */
  #sent: number;
  #arrived: number;
  #lastArrivalAt = 0;
  #silentMs = 0;
  #running = true;

  constructor(
    runtime: Runtime,
    server: ReadableServer,
    link: Link,
    start: LogPosition,
    visitor: LogVisitor,
    ended: (error?: Error) => void,
  ) {
    this.#runtime = runtime;
    this.#server = server;
    this.#link = link;
    this.#visitor = visitor;
    this.#ended = ended;
    this.#incarnation = start.incarnation;
    this.#sent = start.sequence;
    this.#arrived = start.sequence;
    server.connected.add(this);
    link.healed.add(this.#resume);
    this.#stopWatching = runtime.timers.every(1_000, () => this.#listenForSilence());
    this.appended();
  }

  /** Sends what is new as one batch, unless too much is on its way. */
  appended(): void {
    const { log } = this.#server;
    if (!this.#running || this.#link.cut || this.#inFlight.length >= IN_FLIGHT_MAX || log.lastSequence <= this.#sent) return;
    const batch = log.after(this.#sent);
    this.#sent = log.lastSequence;
    const now = this.#runtime.clock.now();
    // A shorter delay must not let a batch overtake those before it.
    this.#lastArrivalAt = Math.max(now + this.#link.delayMs, this.#lastArrivalAt);
    const cancel = this.#runtime.timers.after(this.#lastArrivalAt - now, () => this.#arrive());
    this.#inFlight.push({ batch, end: log.lastSequence, cancel });
  }

  lost(why: string): void {
    this.end(new LogUnavailable(why));
  }

  end(error?: Error): void {
    if (!this.#running) return;
    this.#running = false;
    this.#stopWatching();
    this.#dropInFlight();
    this.#server.connected.delete(this);
    this.#link.healed.delete(this.#resume);
    this.#ended(error);
  }

  /** The oldest batch arrives, whichever timer says so: timers of the same millisecond have no order. */
  #arrive(): void {
    const arrived = this.#inFlight.shift();
    if (this.#link.cut) {
      // Lost on the way; after a heal, the log is sent again from what has arrived.
      this.#dropInFlight();
      this.#sent = this.#arrived;
      return;
    }
    if (arrived === undefined) return;
    try {
      this.#visitor.batch(arrived.batch, { incarnation: this.#incarnation, sequence: arrived.end });
    } catch (error) {
      return this.end(error as Error);
    }
    this.#arrived = arrived.end;
    this.appended();
  }

  #dropInFlight(): void {
    for (const { cancel } of this.#inFlight) cancel();
    this.#inFlight = [];
  }

  #listenForSilence(): void {
    this.#silentMs = this.#link.cut ? this.#silentMs + 1_000 : 0;
    if (this.#silentMs >= SILENCE_MS_MAX) this.lost(`silent for ${this.#silentMs} ms`);
  }
}
