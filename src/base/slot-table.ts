/**
 * The slot table: (scope, text) → slot, a small integer that indexes its owner's columns.
 *
 * Made for millions of short-lived keys: open addressing over typed arrays, about 30 bytes a key beside
 * the text itself, no allocation on a hit, and slots of removed keys are used again. Texts are compared
 * whole, so two keys never share a slot; the hash is seeded, so nobody can choose keys that collide.
 */

import { hashText } from '../../crdt/digest.ts';

const CAPACITY_FIRST = 1024;
const GROWTH = 1.5;
const FREE = -1;

export class SlotTable {
  readonly #sizeMax: number;
  readonly #seed: number;
  #size = 0;
  #capacity = CAPACITY_FIRST;
  /** Slot + 1 at the place that the hash points to, or the first free one after it; 0 where free. */
  #places: Int32Array;
  #hashes: Int32Array;
  /** `FREE` where a slot holds no key. */
  #scopes: Int32Array;
  #texts: string[] = [];
  /** Slots below this one have been used at least once. */
  #fresh = 0;
  /** The removed slots, chained through `#hashes`. */
  #removed = FREE;
  #hand = 0;

  constructor(sizeMax: number, seed: number) {
    this.#sizeMax = sizeMax;
    this.#seed = seed | 0;
    this.#places = new Int32Array(2 * CAPACITY_FIRST);
    this.#hashes = new Int32Array(CAPACITY_FIRST);
    this.#scopes = new Int32Array(CAPACITY_FIRST).fill(FREE);
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size >= this.#sizeMax;
  }

  /** How long the owner's columns must be. Grows on `insert` only. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Every slot that holds a key. */
  *slots(): Generator<number> {
    for (let slot = 0; slot < this.#fresh; slot++) if (this.#scopes[slot] !== FREE) yield slot;
  }

  scopeOf(slot: number): number {
    return this.#scopes[slot]!;
  }

  textOf(slot: number): string {
    return this.#texts[slot]!;
  }

  /** The slot of a key, or −1. */
  find(scope: number, text: string): number {
    const hash = this.#hash(scope, text);
    const mask = this.#places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const slot = this.#places[place]! - 1;
      if (slot < 0) return -1;
      if (this.#hashes[slot] === hash && this.#scopes[slot] === scope && this.#texts[slot] === text) return slot;
    }
  }

  /** Takes a slot for a key that `find` did not find; −1 when the table is full. */
  insert(scope: number, text: string): number {
    if (this.full) return -1;
    if (this.#removed === FREE && this.#fresh === this.#capacity) this.#grow();
    const hash = this.#hash(scope, text);
    const slot = this.#takeSlot();
    this.#hashes[slot] = hash;
    this.#scopes[slot] = scope;
    this.#texts[slot] = text;
    this.#place(slot, hash);
    this.#size += 1;
    return slot;
  }

  remove(slot: number): void {
    const mask = this.#places.length - 1;
    let hole = this.#hashes[slot]! & mask;
    while (this.#places[hole] !== slot + 1) hole = (hole + 1) & mask;
    // Whoever probed past the hole moves into it, or `find` would stop there and miss them.
    for (let place = (hole + 1) & mask; this.#places[place] !== 0; place = (place + 1) & mask) {
      const home = this.#hashes[this.#places[place]! - 1]! & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      this.#places[hole] = this.#places[place]!;
      hole = place;
    }
    this.#places[hole] = 0;
    this.#scopes[slot] = FREE;
    this.#texts[slot] = '';
    this.#hashes[slot] = this.#removed;
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
      if (this.#scopes[this.#hand] !== FREE && expired(this.#hand)) this.remove(this.#hand);
    }
  }

  #takeSlot(): number {
    if (this.#removed === FREE) return this.#fresh++;
    const slot = this.#removed;
    this.#removed = this.#hashes[slot]!;
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
    this.#hashes = lengthened(this.#hashes, this.#capacity);
    this.#scopes = lengthened(this.#scopes, this.#capacity);
    // At most two thirds of the places are taken, so that probes stay short.
    if (this.#capacity * 1.5 <= this.#places.length) return;
    this.#places = new Int32Array(this.#places.length * 2);
    for (let slot = 0; slot < this.#fresh; slot++) this.#place(slot, this.#hashes[slot]!);
  }

  #hash(scope: number, text: string): number {
    return hashText(text, this.#seed ^ Math.imul(scope, 0x9e3779b1));
  }
}

/** A copy of a column with room for `length` values. */
export function lengthened<Column extends Int32Array | Float64Array>(column: Column, length: number): Column {
  const copy = new (column.constructor as new (length: number) => Column)(length);
  copy.set(column);
  return copy;
}
