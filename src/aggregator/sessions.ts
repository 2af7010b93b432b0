/**
 * The sequence windows of all sessions of a shard: which batches were counted, and how much of them.
 *
 * A session is a row of eight integers in one typed array, so that a million of them cost no garbage
 * collection. Promises: a resend within 10 minutes of the session's last batch is recognised and gets
 * the first answer again [AGG-3]; memory is bounded by a cap, beyond which nothing is admitted [AGG-9].
 */

import { WINDOW_BITS, admit, emptyWindow, mergeWindow, verdictOf, type SequenceVerdict } from '../../crdt/sequence-window.ts';
import { FIRST_COLUMN, SlotTable } from '../base/slot-table.ts';
import { COMMIT_RETENTION_MS, type SessionRecord } from '../hot-store/hot-store.ts';

/** `[sequence, clamped taps]` of one batch that was not counted whole. */
type Clamped = readonly [sequence: number, taps: number];

const COLUMNS = 8;
const HIGHEST_LOW = FIRST_COLUMN;
const HIGHEST_HIGH = FIRST_COLUMN + 1;
const LOW = FIRST_COLUMN + 2;
const HIGH = FIRST_COLUMN + 3;
const USED_SECONDS = FIRST_COLUMN + 4;
const BUCKET = FIRST_COLUMN + 5;
const VIEWER = FIRST_COLUMN + 6;
const CELL = FIRST_COLUMN + 7;
/** Beside the 21 high bits of the highest sequence: the record is still to be taken. */
const CHANGED = 1 << 30;
const HIGH_BITS = (1 << 21) - 1;
const SWEPT_PER_INSERT = 4;
const SWEPT_WHEN_FULL = 256;
/** A stream id, three integers and headers; one clamped pair, of which a session has at most 64. */
const RECORD_BYTES = 66 + 3 * 9 + 8;
const CLAMPED_BYTES = 15;
const TWO_32 = 0x1_0000_0000;
/** Seconds count from 2020, which an Int32 holds until 2088. */
const SECONDS_ORIGIN = Date.UTC(2020, 0) / 1000;
const NONE_CLAMPED: readonly Clamped[] = Object.freeze([]);

export class Sessions {
  readonly #table: SlotTable;
  /** By slot, of the rare sessions that have any. */
  readonly #clamped = new Map<number, Clamped[]>();
  /** Slots that changed since they were last taken, each once: those flagged `CHANGED`. */
  #changed: number[] = [];
  #changedBytes = 0;
  #nowSeconds = 0;
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

  /** The session's slot, or −1 when it has admitted nothing yet. `scope` is its stream's number. */
  find(scope: number, session: string): number {
    return this.#table.find(scope, session);
  }

  verdictOf(slot: number, sequence: number): SequenceVerdict {
    this.#load(slot);
    return verdictOf(this.#window, sequence);
  }

  /** Taps of an admitted batch that did not count. */
  clampedOf(slot: number, sequence: number): number {
    return this.#clamped.get(slot)?.find(([of]) => of === sequence)?.[1] ?? 0;
  }

  /** The viewer's bucket when the last batch was admitted: a guess. */
  bucketOf(slot: number): number {
    return this.#table.integers[slot * this.#table.stride + BUCKET]!;
  }

  /** The viewer's slot among the contributors when the last batch was counted: a guess. */
  viewerOf(slot: number): number {
    return this.#table.integers[slot * this.#table.stride + VIEWER]!;
  }

  /** Where the session's last taps were noted: a guess. */
  cellOf(slot: number): number {
    return this.#table.integers[slot * this.#table.stride + CELL]! - 1;
  }

  /** Notes for the next batch who sent it and where its taps were noted. */
  remember(slot: number, viewer: number, cell: number): void {
    const row = slot * this.#table.stride;
    this.#table.integers[row + VIEWER] = Math.max(0, viewer);
    this.#table.integers[row + CELL] = cell + 1;
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
  admit(slot: number, sequence: number, clamped: number, bucket: number, now: number): void {
    this.#load(slot);
    admit(this.#window, sequence);
    this.#save(slot);
    const row = slot * this.#table.stride;
    this.#table.integers[row + USED_SECONDS] = secondsOf(now);
    this.#table.integers[row + BUCKET] = bucket;
    if (clamped > 0) this.#clamped.set(slot, [...(this.#clamped.get(slot) ?? []), [sequence, clamped]]);
    if (this.#clamped.size > 0 && this.#clamped.has(slot)) this.#pruneClamped(slot);
    this.#markChanged(slot, clamped > 0);
  }

  /** Joins what a commit of the past, at `at`, said of a session; false when there is no room for it. */
  join(scope: number, record: SessionRecord, at: number): boolean {
    let slot = this.#table.find(scope, record.session);
    if (slot < 0) slot = this.open(scope, record.session, at);
    if (slot < 0) return false;
    this.#load(slot);
    mergeWindow(this.#window, record);
    this.#save(slot);
    const used = slot * this.#table.stride + USED_SECONDS;
    this.#table.integers[used] = Math.max(this.#table.integers[used]!, secondsOf(at));
    const known = this.#clamped.get(slot) ?? [];
    const learnt = record.clamped.filter(([sequence]) => !known.some(([of]) => of === sequence));
    if (known.length + learnt.length === 0) return true;
    this.#clamped.set(slot, [...known, ...learnt]);
    this.#pruneClamped(slot);
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

  #markChanged(slot: number, grown: boolean): void {
    const flags = slot * this.#table.stride + HIGHEST_HIGH;
    if ((this.#table.integers[flags]! & CHANGED) === 0) {
      this.#table.integers[flags]! |= CHANGED;
      this.#changed.push(slot);
      this.#changedBytes += recordBytesMax(this.#table.textOf(slot), this.#clamped.get(slot)?.length ?? 0);
    } else if (grown) {
      this.#changedBytes += CLAMPED_BYTES;
    }
  }

  #record(slot: number, streamOf: (scope: number) => SessionRecord['stream']): SessionRecord {
    this.#load(slot);
    const { highest, low, high } = this.#window;
    const stream = streamOf(this.#table.scopeOf(slot));
    const clamped = this.#clamped.get(slot) ?? NONE_CLAMPED;
    return { stream, session: this.#table.textOf(slot), highest, low, high, clamped };
  }

  #pruneClamped(slot: number): void {
    this.#load(slot);
    const lowest = this.#window.highest - WINDOW_BITS + 1;
    const kept = this.#clamped.get(slot)!.filter(([sequence]) => sequence >= lowest);
    if (kept.length === 0) this.#clamped.delete(slot);
    else this.#clamped.set(slot, kept);
  }

  #expire(slot: number): boolean {
    const at = slot * this.#table.stride;
    if ((this.#table.integers[at + HIGHEST_HIGH]! & CHANGED) !== 0) return false;
    if ((this.#nowSeconds - this.#table.integers[at + USED_SECONDS]!) * 1000 <= COMMIT_RETENTION_MS) return false;
    this.#clamped.delete(slot);
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

/** An upper bound of what msgpack makes of a session's record. */
export function recordBytesMax(session: string, clampedCount: number): number {
  return RECORD_BYTES + 3 * session.length + CLAMPED_BYTES * clampedCount;
}

function secondsOf(timeMs: number): number {
  return Math.floor(timeMs / 1000) - SECONDS_ORIGIN;
}
