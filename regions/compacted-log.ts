/**
 * A log that keeps the last message of each key, in memory: appending and reading its tail cost what
 * is appended and read, not what is kept.
 *
 * Messages stand in an array by sequence; one that was overwritten or removed stays as a gap until half
 * of the array are gaps.
 */

import { keysWithoutRoom } from './log-room.ts';
import type { LogAppend, LogMessage } from './log.ts';

/** What a data folder copied aside holds. */
export interface LogSnapshot {
  readonly incarnation: string;
  readonly lastSequence: number;
  readonly messages: readonly LogMessage[];
}

interface Slot {
  readonly sequence: number;
  /** Null once it was overwritten or removed. */
  message: LogMessage | null;
}

const GAPS_MIN = 1_024;
/** What a message costs beside its key and payload, about. */
const OVERHEAD_BYTES = 64;

/** Grows with every log made in this process, so that no two lives of a log share a name. */
let incarnations = 0;

export class CompactedLog {
  readonly #bytesMax: number;
  #slots: Slot[] = [];
  #byKey = new Map<string, Slot>();
  #incarnation = nextIncarnation();
  #lastSequence = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get incarnation(): string {
    return this.#incarnation;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False, and nothing changed, when the message does not fit. */
  append(key: string, payload: Uint8Array): boolean {
    const overwritten = this.#byKey.get(key);
    const freed = overwritten?.message === undefined || overwritten.message === null ? 0 : cost(overwritten.message);
    const message: LogMessage = { key, payload: payload.slice(), sequence: this.#lastSequence + 1 };
    if (this.#bytes - freed + cost(message) > this.#bytesMax) return false;
    if (overwritten !== undefined) overwritten.message = null;
    this.#put(message);
    this.#bytes -= freed;
    this.#closeGaps();
    return true;
  }

  /** The keys that there is no room for. */
  refused(messages: readonly LogAppend[]): string[] {
    return keysWithoutRoom(messages, { bytes: this.#bytes, bytesMax: this.#bytesMax, has: (key) => this.#byKey.has(key) }, cost);
  }

  /** The removal has a sequence of its own, so that the end never goes back to one that was read. */
  remove(keys: readonly string[]): void {
    for (const key of keys) {
      const slot = this.#byKey.get(key);
      if (slot === undefined || slot.message === null) continue;
      this.#bytes -= cost(slot.message);
      slot.message = null;
      this.#byKey.delete(key);
    }
    this.#lastSequence += 1;
    this.#closeGaps();
  }

  /** The messages kept whose sequence is greater, in order. */
  after(sequence: number): LogMessage[] {
    const messages: LogMessage[] = [];
    for (let index = this.#indexAfter(sequence); index < this.#slots.length; index += 1) {
      const message = this.#slots[index]?.message;
      if (message !== undefined && message !== null) messages.push(message);
    }
    return messages;
  }

  wipe(): void {
    this.#fill({ incarnation: nextIncarnation(), lastSequence: 0, messages: [] });
  }

  snapshot(): LogSnapshot {
    return { incarnation: this.#incarnation, lastSequence: this.#lastSequence, messages: this.after(0) };
  }

  restore(snapshot: LogSnapshot): void {
    this.#fill(snapshot);
  }

  #fill({ incarnation, lastSequence, messages }: LogSnapshot): void {
    this.#slots = [];
    this.#byKey = new Map();
    this.#bytes = 0;
    for (const message of messages) this.#put(message);
    this.#incarnation = incarnation;
    this.#lastSequence = lastSequence;
  }

  #put(message: LogMessage): void {
    const slot: Slot = { sequence: message.sequence, message };
    this.#slots.push(slot);
    this.#byKey.set(message.key, slot);
    this.#lastSequence = message.sequence;
    this.#bytes += cost(message);
  }

  #closeGaps(): void {
    if (this.#slots.length <= 2 * this.#byKey.size + GAPS_MIN) return;
    this.#slots = this.#slots.filter((slot) => slot.message !== null);
  }

  #indexAfter(sequence: number): number {
    let low = 0;
    let high = this.#slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#slots[middle]?.sequence ?? Infinity) <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function nextIncarnation(): string {
  incarnations += 1;
  return `memory-${incarnations}`;
}

function cost({ key, payload }: LogAppend): number {
  return key.length + payload.length + OVERHEAD_BYTES;
}
