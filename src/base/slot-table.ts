/**
 * The slot table: (scope, text) → slot, and each slot's row of integers.
 *
 * Made for millions of short-lived keys: open addressing over typed arrays, about 20 bytes a key beside
 * the text and the owner's columns, no allocation on a hit, and slots of removed keys are used again. A
 * row holds the key's hash and scope and the owner's columns side by side, because at a million keys what
 * counts is how many cache lines a lookup touches. Texts are compared whole, so two keys never share a
 * slot; the hash is seeded, so nobody can choose keys that collide.
 */

import { hashText } from '../../crdt/digest.ts';

const CAPACITY_FIRST = 1024;
const GROWTH = 1.5;
/** Of a slot that holds no key. */
const FREE = -1;
/** At most so many keys are guessed at once: what they touch stays in a core's own memory until it is asked for. */
export const GUESSES_MAX = 32;
const HASH = 0;
const SCOPE = 1;
/** Where the owner's columns start in a row. */
export const FIRST_COLUMN = 2;

export class SlotTable {
  /** Integers to a row: even, so that two columns side by side can also be read as one of `floats`. */
  readonly stride: number;
  /** All rows. Replaced when the table grows, so never to be kept. */
  integers: Int32Array;
  /** The same bytes, two integers each. */
  floats: Float64Array;
  readonly #sizeMax: number;
  readonly #seed: number;
  #size = 0;
  #capacity = CAPACITY_FIRST;
  /** Slot + 1 at the place that the hash points to, or the first free one after it; 0 where free. */
  #places = new Int32Array(2 * CAPACITY_FIRST);
  #texts: string[] = [];
  /** Slots below this one have been used at least once. */
  #fresh = 0;
  /** The removed slots, chained through the hash column. */
  #removed = FREE;
  #hand = 0;
  /** Of the keys that are being guessed. */
  readonly #hashes = new Int32Array(GUESSES_MAX);
  /** Of what `touch` read: kept, or a compiler would see that nobody needs it and read nothing. */
  touched = 0;

  constructor(sizeMax: number, seed: number, columns: number) {
    this.#sizeMax = sizeMax;
    this.#seed = seed | 0;
    this.stride = FIRST_COLUMN + columns;
    this.integers = new Int32Array(this.#capacity * this.stride);
    this.floats = new Float64Array(this.integers.buffer);
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size >= this.#sizeMax;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Every slot that holds a key. */
  *slots(): Generator<number> {
    for (let slot = 0; slot < this.#fresh; slot++) if (this.scopeOf(slot) !== FREE) yield slot;
  }

  scopeOf(slot: number): number {
    return this.integers[slot * this.stride + SCOPE]!;
  }

  textOf(slot: number): string {
    return this.#texts[slot]!;
  }

  /** Whether a slot that was a key's once is so still: cheaper than `find`, which has to hash. */
  holds(slot: number, scope: number, text: string): boolean {
    return this.scopeOf(slot) === scope && this.#texts[slot] === text;
  }

  /** The slot of a key, or −1. A scope is a non-negative integer. */
  find(scope: number, text: string): number {
    const hash = this.#hash(scope, text);
    const places = this.#places;
    const rows = this.integers;
    const mask = places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const slot = places[place]! - 1;
      if (slot < 0) return -1;
      const row = slot * this.stride;
      if (rows[row + HASH] === hash && rows[row + SCOPE] === scope && this.#texts[slot] === text) return slot;
    }
  }

  /**
   * Where the first `count` keys probably are, at most `GUESSES_MAX`, −1 of those that are nowhere: `holds` makes sure. A large
   * table is slow because its memory is far away. Each way here is gone for all keys before the next one is, so that they overlap.
   */
  guess(count: number, scopes: Int32Array, texts: readonly string[], guesses: Int32Array): void {
    const { integers: rows, stride } = this;
    const places = this.#places;
    const hashes = this.#hashes;
    const mask = places.length - 1;
    for (let index = 0; index < count; index++) hashes[index] = texts[index]!.length;
    for (let index = 0; index < count; index++) hashes[index] = this.#hash(scopes[index]!, texts[index]!);
    for (let index = 0; index < count; index++) guesses[index] = places[hashes[index]! & mask]! - 1;
    this.touch(count, guesses, texts);
    for (let index = 0; index < count; index++) {
      const hash = hashes[index]!;
      let slot = guesses[index]!;
      for (let place = hash & mask; slot >= 0 && rows[slot * stride + HASH] !== hash; ) {
        place = (place + 1) & mask;
        slot = places[place]! - 1;
      }
      guesses[index] = slot;
    }
  }

  /** Brings near what `holds` will read of these slots and texts, and the rest of their rows; −1 is no slot. */
  touch(count: number, slots: Int32Array, texts: readonly string[]): void {
    const { integers: rows, stride } = this;
    const last = stride - 1;
    let read = 0;
    for (let index = 0; index < count; index++) {
      const slot = Math.max(0, slots[index]!);
      read += rows[slot * stride]! + rows[slot * stride + last]! + (this.#texts[slot] === texts[index] ? 1 : 0);
    }
    this.touched = read | 0;
  }

  /** Takes a slot for a key that `find` did not find, its columns 0; −1 when the table is full. */
  insert(scope: number, text: string): number {
    if (this.full) return -1;
    if (this.#removed === FREE && this.#fresh === this.#capacity) this.#grow();
    const slot = this.#takeSlot();
    const row = slot * this.stride;
    const hash = this.#hash(scope, text);
    this.integers.fill(0, row, row + this.stride);
    this.integers[row + HASH] = hash;
    this.integers[row + SCOPE] = scope;
    this.#texts[slot] = text;
    this.#place(slot, hash);
    this.#size += 1;
    return slot;
  }

  remove(slot: number): void {
    const mask = this.#places.length - 1;
    let hole = this.#hashOf(slot) & mask;
    while (this.#places[hole] !== slot + 1) hole = (hole + 1) & mask;
    // Whoever probed past the hole moves into it, or `find` would stop there and miss them.
    for (let place = (hole + 1) & mask; this.#places[place] !== 0; place = (place + 1) & mask) {
      const home = this.#hashOf(this.#places[place]! - 1) & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      this.#places[hole] = this.#places[place]!;
      hole = place;
    }
    this.#places[hole] = 0;
    this.#texts[slot] = '';
    this.integers[slot * this.stride + SCOPE] = FREE;
    this.integers[slot * this.stride + HASH] = this.#removed;
    this.#removed = slot;
    this.#size -= 1;
  }

  /**
   * Looks at the next `count` slots in turn and removes those that are expired. Called with a few at each
   * insert, it keeps garbage to a fraction of the table without ever scanning it whole.
   */
  sweep(count: number, expired: (slot: number) => boolean): void {
    for (let looked = Math.min(count, this.#fresh); looked > 0; looked--) {
      this.#hand = this.#hand + 1 < this.#fresh ? this.#hand + 1 : 0;
      if (this.scopeOf(this.#hand) !== FREE && expired(this.#hand)) this.remove(this.#hand);
    }
  }

  /** Removes every key that is expired. It looks at the whole table once. */
  removeIf(expired: (slot: number) => boolean): void {
    for (const slot of this.slots()) if (expired(slot)) this.remove(slot);
  }

  #hashOf(slot: number): number {
    return this.integers[slot * this.stride + HASH]!;
  }

  #takeSlot(): number {
    if (this.#removed === FREE) return this.#fresh++;
    const slot = this.#removed;
    this.#removed = this.#hashOf(slot);
    return slot;
  }

  #place(slot: number, hash: number): void {
    const mask = this.#places.length - 1;
    let place = hash & mask;
    while (this.#places[place] !== 0) place = (place + 1) & mask;
    this.#places[place] = slot + 1;
  }

  #grow(): void {
    this.#capacity = Math.min(this.#sizeMax, Math.ceil(this.#capacity * GROWTH));
    const rows = new Int32Array(this.#capacity * this.stride);
    rows.set(this.integers);
    this.integers = rows;
    this.floats = new Float64Array(rows.buffer);
    // At most two thirds of the places are taken, so that probes stay short.
    if (this.#capacity * 1.5 <= this.#places.length) return;
    this.#places = new Int32Array(this.#places.length * 2);
    for (let slot = 0; slot < this.#fresh; slot++) this.#place(slot, this.#hashOf(slot));
  }

  #hash(scope: number, text: string): number {
    return hashText(text, this.#seed ^ Math.imul(scope, 0x9e3779b1));
  }
}
