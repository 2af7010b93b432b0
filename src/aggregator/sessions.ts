/**
 * The sequence windows of all sessions of a shard: which batches were counted, and how much of them.
 *
 * A session is a row of eight integers in one typed array, so that a million of them cost no garbage
 * collection. Promises: a resend within 10 minutes of the session's last batch is recognised and gets
 * the first answer again [AGG-3]; memory is bounded by a cap, beyond which nothing is admitted [AGG-9].
 */

import { WINDOW_BITS, admit, admittedCount, emptyWindow, mergeWindow, verdictOf, type SequenceVerdict } from '../../crdt/sequence-window.ts';
import { FIRST_COLUMN, SlotTable } from '../base/slot-table.ts';
import { COMMIT_RETENTION_MS, type SessionRecord } from '../hot-store/hot-store.ts';

/** What is to be remembered of one batch beside that it was admitted: taps that were not counted, and the attempt. */
type Note = readonly [sequence: number, clamped: number, attempt: number];

/** The attempt of a batch that is counted elsewhere, and never here. */
export const VOID = -1;

const COLUMNS = 6;
const HIGHEST_LOW = FIRST_COLUMN;
const HIGHEST_HIGH = FIRST_COLUMN + 1;
const LOW = FIRST_COLUMN + 2;
const HIGH = FIRST_COLUMN + 3;
const USED_SECONDS = FIRST_COLUMN + 4;
const BUCKET = FIRST_COLUMN + 5;
/** Beside the 21 high bits of the highest sequence: the record is still to be taken. */
const CHANGED = 1 << 30;
const HIGH_BITS = (1 << 21) - 1;
const LONG_AGO_SECONDS = -(2 ** 30);
const SWEPT_PER_INSERT = 4;
const SWEPT_WHEN_FULL = 256;
/** A stream id, three integers and headers; one clamped pair and one attempt, of which a session has at most 64. */
const RECORD_BYTES = 2 * 66 + 3 * 9 + 8;
const NOTE_BYTES = 28;
const TWO_32 = 0x1_0000_0000;
/** Seconds count from 2020, which an Int32 holds until 2088. */
const SECONDS_ORIGIN = Date.UTC(2020, 0) / 1000;
const NONE: SessionRecord['clamped'] = Object.freeze([]);

export class Sessions {
  readonly #table: SlotTable;
  /** By slot, of the rare sessions that have any. */
  readonly #notes = new Map<number, Note[]>();
  /** Slots that changed since they were last taken, each once: those flagged `CHANGED`. */
  #changed: number[] = [];
  #changedBytes = 0;
  #nowSeconds = 0;
  #heldFromSeconds = Infinity;
  #forgottenSeconds = -SECONDS_ORIGIN;
  /** Sessions that were let go although they were to be kept, because the table was full. */
  forgottenEarly = 0;
  /** The one window that is worked on, out of its row and back into it. */
  readonly #window = emptyWindow();
  readonly #isExpired = (slot: number): boolean => this.#expire(slot);

  constructor(sizeMax: number, seed: number) {
    this.#table = new SlotTable(sizeMax, seed, COLUMNS);
  }

  get size(): number {
    return this.#table.size;
  }

  get changedCount(): number {
    return this.#changed.length;
  }

  /** An upper bound of the encoded size of the records that changed. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  /** The session's slot, or −1 when it has admitted nothing yet. `scope` is its stream's number, `guess` any slot or −1. */
  find(scope: number, session: string, guess = -1): number {
    return guess >= 0 && this.#table.holds(guess, scope, session) ? guess : this.#table.find(scope, session);
  }

  /** Guesses the slots of some sessions, and the buckets of their viewers: see `SlotTable.guess`. */
  guess(count: number, scopes: Int32Array, sessions: readonly string[], guesses: Int32Array, buckets: Int32Array): void {
    this.#table.guess(count, scopes, sessions, guesses);
    for (let index = 0; index < count; index++) buckets[index] = guesses[index]! < 0 ? 0 : this.bucketOf(guesses[index]!);
  }

  verdictOf(slot: number, sequence: number): SequenceVerdict {
    this.#load(slot);
    return verdictOf(this.#window, sequence);
  }

  /** Taps of an admitted batch that did not count. */
  clampedOf(slot: number, sequence: number): number {
    return this.#notes.get(slot)?.find(([of]) => of === sequence)?.[1] ?? 0;
  }

  /** To how many regions an admitted batch had been sent before it was counted here; `VOID` when it was not counted. */
  attemptOf(slot: number, sequence: number): number {
    return this.#notes.get(slot)?.find(([of]) => of === sequence)?.[2] ?? 0;
  }

  /** Whether a batch of it was counted here: of some sessions is known only that others have counted them. */
  isCounted(slot: number): boolean {
    this.#load(slot);
    const notes = this.#notes.get(slot) ?? [];
    return admittedCount(this.#window) > notes.filter(([, , attempt]) => attempt === VOID).length;
  }

  /** Of what was last used until this time something may be missing that should be known. */
  get forgottenUntilMs(): number {
    return (this.#forgottenSeconds + SECONDS_ORIGIN + 1) * 1000;
  }

  /** What should be known of until this time was lost. */
  forgetUntil(timeMs: number): void {
    this.#forgottenSeconds = Math.max(this.#forgottenSeconds, secondsOf(timeMs));
  }

  /** Keeps what was used from this time on as long as there is room, also beyond ten minutes. */
  holdFrom(timeMs: number): void {
    this.#heldFromSeconds = Math.max(0, Math.min(secondsOf(timeMs), 2 ** 31));
  }

  /** The viewer's bucket when the last batch was admitted: a guess. */
  bucketOf(slot: number): number {
    return this.#table.integers[slot * this.#table.stride + BUCKET]!;
  }

  /** Whether one more session can be opened, after dropping some that expired. */
  hasRoom(now: number): boolean {
    if (!this.#table.full) return true;
    this.#setNow(now);
    this.#table.sweep(SWEPT_WHEN_FULL, this.#isExpired);
    return !this.#table.full;
  }

  /** Opens a session that `find` did not find; −1 when there is no room. */
  open(scope: number, session: string, now: number): number {
    this.#setNow(now);
    this.#table.sweep(SWEPT_PER_INSERT, this.#isExpired);
    const slot = this.#table.insert(scope, session);
    if (slot >= 0) this.#table.integers[slot * this.#table.stride + USED_SECONDS] = this.#nowSeconds;
    return slot;
  }

  /** Admits a sequence number whose verdict is 'new', with the taps of it that do not count. */
  admit(slot: number, sequence: number, clamped: number, bucket: number, now: number, attempt = 0): void {
    this.#load(slot);
    admit(this.#window, sequence);
    this.#save(slot);
    const row = slot * this.#table.stride;
    this.#table.integers[row + USED_SECONDS] = secondsOf(now);
    this.#table.integers[row + BUCKET] = bucket;
    const isNoted = clamped > 0 || attempt !== 0;
    if (isNoted) this.#notes.set(slot, [...(this.#notes.get(slot) ?? []), [sequence, clamped, attempt]]);
    if (this.#notes.size > 0 && this.#notes.has(slot)) this.#pruneNotes(slot);
    this.#markChanged(slot, isNoted);
  }

  /** Joins what a commit of an earlier life said of a session, which counts as used now; false when there is no room for it. */
  join(scope: number, record: SessionRecord, now: number): boolean {
    let slot = this.#table.find(scope, record.session);
    if (slot < 0) slot = this.open(scope, record.session, now);
    if (slot < 0) return false;
    this.#load(slot);
    mergeWindow(this.#window, record);
    this.#save(slot);
    const used = slot * this.#table.stride + USED_SECONDS;
    this.#table.integers[used] = Math.max(this.#table.integers[used]!, secondsOf(now));
    const known = this.#notes.get(slot) ?? [];
    const learnt = notesOf(record).filter(([sequence]) => !known.some(([of]) => of === sequence));
    if (known.length + learnt.length === 0) return true;
    this.#notes.set(slot, [...known, ...learnt]);
    this.#pruneNotes(slot);
    return true;
  }

  /** The records of the sessions that changed since the last call. */
  takeChanged(streamOf: (scope: number) => SessionRecord['stream']): SessionRecord[] {
    const records = this.#changed.map((slot) => {
      this.#table.integers[slot * this.#table.stride + HIGHEST_HIGH]! &= ~CHANGED;
      return this.#record(slot, streamOf);
    });
    this.#changed = [];
    this.#changedBytes = 0;
    return records;
  }

  /** The records of all sessions. */
  *records(streamOf: (scope: number) => SessionRecord['stream']): Generator<SessionRecord> {
    for (const slot of this.#table.slots()) yield this.#record(slot, streamOf);
  }

  /** Lets go of all sessions of some streams, none of which has changed since changes were taken. */
  forget(scopes: ReadonlySet<number>): void {
    this.#table.removeIf((slot) => {
      if (!scopes.has(this.#table.scopeOf(slot))) return false;
      this.#table.integers[slot * this.#table.stride + USED_SECONDS] = LONG_AGO_SECONDS;
      return this.#expire(slot);
    });
  }

  #markChanged(slot: number, grown: boolean): void {
    const flags = slot * this.#table.stride + HIGHEST_HIGH;
    if ((this.#table.integers[flags]! & CHANGED) === 0) {
      this.#table.integers[flags]! |= CHANGED;
      this.#changed.push(slot);
      this.#changedBytes += recordBytesMax(this.#table.textOf(slot), this.#notes.size === 0 ? 0 : (this.#notes.get(slot)?.length ?? 0));
    } else if (grown) {
      this.#changedBytes += NOTE_BYTES;
    }
  }

  #record(slot: number, streamOf: (scope: number) => SessionRecord['stream']): SessionRecord {
    this.#load(slot);
    const { highest, low, high } = this.#window;
    const stream = streamOf(this.#table.scopeOf(slot));
    const session = this.#table.textOf(slot);
    const notes = this.#notes.size === 0 ? undefined : this.#notes.get(slot);
    if (notes === undefined) return { stream, session, highest, low, high, clamped: NONE };
    const record = { stream, session, highest, low, high };
    const clamped = notes.filter(([, taps]) => taps > 0).map(([sequence, taps]) => [sequence, taps] as const);
    const attempts = notes.filter(([, , attempt]) => attempt !== 0).map(([sequence, , attempt]) => [sequence, attempt] as const);
    return attempts.length === 0 ? { ...record, clamped } : { ...record, clamped, attempts };
  }

  #pruneNotes(slot: number): void {
    this.#load(slot);
    const lowest = this.#window.highest - WINDOW_BITS + 1;
    const kept = this.#notes.get(slot)!.filter(([sequence]) => sequence >= lowest);
    if (kept.length === 0) this.#notes.delete(slot);
    else this.#notes.set(slot, kept);
  }

  #expire(slot: number): boolean {
    const at = slot * this.#table.stride;
    if ((this.#table.integers[at + HIGHEST_HIGH]! & CHANGED) !== 0) return false;
    const used = this.#table.integers[at + USED_SECONDS]!;
    if ((this.#nowSeconds - used) * 1000 <= COMMIT_RETENTION_MS) return false;
    if (used >= this.#heldFromSeconds) {
      if (!this.#table.full) return false;
      this.forgottenEarly += 1;
      this.#forgottenSeconds = Math.max(this.#forgottenSeconds, used);
    }
    this.#notes.delete(slot);
    return true;
  }

  #setNow(now: number): void {
    this.#nowSeconds = secondsOf(now);
  }

  #load(slot: number): void {
    const at = slot * this.#table.stride;
    const rows = this.#table.integers;
    this.#window.highest = (rows[at + HIGHEST_HIGH]! & HIGH_BITS) * TWO_32 + (rows[at + HIGHEST_LOW]! >>> 0);
    this.#window.low = rows[at + LOW]!;
    this.#window.high = rows[at + HIGH]!;
  }

  #save(slot: number): void {
    const at = slot * this.#table.stride;
    const rows = this.#table.integers;
    rows[at + HIGHEST_LOW] = this.#window.highest | 0;
    rows[at + HIGHEST_HIGH] = (rows[at + HIGHEST_HIGH]! & CHANGED) | Math.floor(this.#window.highest / TWO_32);
    rows[at + LOW] = this.#window.low;
    rows[at + HIGH] = this.#window.high;
  }
}

/** An upper bound of what msgpack makes of a session's record with so many notes. */
export function recordBytesMax(session: string, noteCount: number): number {
  return RECORD_BYTES + 3 * session.length + NOTE_BYTES * noteCount;
}

function notesOf({ clamped, attempts = [] }: SessionRecord): Note[] {
  const notes = new Map<number, Note>(clamped.map(([sequence, taps]) => [sequence, [sequence, taps, 0]]));
  for (const [sequence, attempt] of attempts) notes.set(sequence, [sequence, notes.get(sequence)?.[1] ?? 0, attempt]);
  return [...notes.values()];
}

function secondsOf(timeMs: number): number {
  return Math.floor(timeMs / 1000) - SECONDS_ORIGIN;
}
