/**
 * A set of ids that only grows, made for a million of them: with ids of 20 characters 34 bytes each where a `Set` takes 66.
 *
 * The ids stand in one buffer in the order in which they came, each followed by a newline, so that any run of whole ids is
 * also how they are written down; open addressing finds them there. Texts are compared whole: no two ids are ever one.
 */

import { hashText } from './digest.ts';

const BYTES_FIRST = 1024;
const PLACES_FIRST = 64;
const GROWTH = 1.5;
const SEED = 0x51ed270b;
const NEWLINE = 10;

export class IdSet {
  #bytes = new Uint8Array(BYTES_FIRST);
  #byteLength = 0;
  #size = 0;
  /** Where an id stands, plus one, at the place that its hash points to, or the first free one after it; 0 where free. */
  #places = new Int32Array(PLACES_FIRST);

  get size(): number {
    return this.#size;
  }

  /** Of all ids, each with its newline. */
  get byteLength(): number {
    return this.#byteLength;
  }

  has(id: string): boolean {
    return this.#places[this.#placeOf(id)] !== 0;
  }

  /** The byte at which an id stands; −1 when it is no member. */
  find(id: string): number {
    return this.#places[this.#placeOf(id)]! - 1;
  }

  /** An id of the grammar of `ids.ts`; true when it is new. */
  add(id: string): boolean {
    const place = this.#placeOf(id);
    if (this.#places[place] !== 0) return false;
    this.#reserve(id.length + 1);
    this.#places[place] = this.#byteLength + 1;
    for (let index = 0; index < id.length; index++) this.#bytes[this.#byteLength++] = id.charCodeAt(index);
    this.#bytes[this.#byteLength++] = NEWLINE;
    this.#size += 1;
    // At most two thirds are taken, so that searches stay short.
    if (this.#size * 3 > this.#places.length * 2) this.#spread();
    return true;
  }

  /** The first byte, from this one on, at which an id stands; that after the last when none does. */
  startFrom(offset: number): number {
    let start = Math.min(offset, this.#byteLength);
    while (start > 0 && start < this.#byteLength && this.#bytes[start - 1] !== NEWLINE) start += 1;
    return start;
  }

  /** A copy of these bytes. */
  slice(from: number, to: number): Uint8Array {
    return this.#bytes.slice(from, Math.min(to, this.#byteLength));
  }

  /** The place of an id, or the free one where it would stand. */
  #placeOf(id: string): number {
    const mask = this.#places.length - 1;
    for (let place = hashText(id, SEED) & mask; ; place = (place + 1) & mask) {
      const stands = this.#places[place]!;
      if (stands === 0 || this.#isAt(stands - 1, id)) return place;
    }
  }

  #isAt(offset: number, id: string): boolean {
    for (let index = 0; index < id.length; index++) if (this.#bytes[offset + index] !== id.charCodeAt(index)) return false;
    return this.#bytes[offset + id.length] === NEWLINE;
  }

  #reserve(bytes: number): void {
    if (this.#byteLength + bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.ceil(this.#bytes.length * GROWTH));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  #spread(): void {
    this.#places = new Int32Array(2 * this.#places.length);
    let id = '';
    for (let offset = 0, start = 0; offset < this.#byteLength; offset++) {
      const byte = this.#bytes[offset]!;
      if (byte !== NEWLINE) {
        id += String.fromCharCode(byte);
        continue;
      }
      this.#places[this.#placeOf(id)] = start + 1;
      [id, start] = ['', offset + 1];
    }
  }
}
