/**
 * A reader of exactly the msgpack that a row consists of: one flat array of unsigned integers and ids.
 *
 * A general decoder builds whatever bytes describe before anybody can object: 43,000 nested arrays of
 * 3,000 elements fit into one message and cost a gigabyte. This one takes no byte that has no place in a
 * row, reserves nothing on a claim, and is three times as fast. It reads what `@msgpack/msgpack` writes;
 * tests hold it against that library.
 */

import { isId } from './ids.ts';

/** Ids read lately, by a hash of their bytes: a palette is small and comes again in every row. */
const ID_CACHE_SIZE = 512;

export class RowReader {
  readonly #ids: (string | undefined)[] = Array.from({ length: ID_CACHE_SIZE });
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;

  start(bytes: Uint8Array, at: number): void {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** True when every byte was read. */
  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** An array's length, or −1. */
  arrayLength(): number {
    const head = this.#unsigned(1);
    if (head >= 0x90 && head <= 0x9f) return head - 0x90;
    if (head === 0xdc) return this.#unsigned(2);
    return head === 0xdd ? this.#unsigned(4) : -1;
  }

  /** An unsigned integer that a number holds exactly, or −1. */
  count(): number {
    const head = this.#unsigned(1);
    if (head <= 0x7f) return head;
    if (head === 0xcc) return this.#unsigned(1);
    if (head === 0xcd) return this.#unsigned(2);
    if (head === 0xce) return this.#unsigned(4);
    if (head !== 0xcf) return -1;
    const high = this.#unsigned(4);
    const low = this.#unsigned(4);
    return high < 0 || low < 0 || high >= 0x20_0000 ? -1 : high * 0x1_0000_0000 + low;
  }

  /** A text that is an id, or undefined. */
  id(): string | undefined {
    const head = this.#unsigned(1);
    const length = head >= 0xa0 && head <= 0xbf ? head - 0xa0 : head === 0xd9 ? this.#unsigned(1) : -1;
    const end = this.#at + length;
    if (length < 1 || end > this.#bytes.length) return undefined;
    let hash = length;
    for (let index = this.#at; index < end; index++) hash = (Math.imul(hash, 31) + this.#bytes[index]!) | 0;
    const slot = (hash ^ (hash >>> 9)) & (ID_CACHE_SIZE - 1);
    let id = this.#ids[slot];
    if (id === undefined || !this.#spells(id, length)) {
      // Byte by byte is right for ids, which are ASCII; of anything else isId sees a character it refuses.
      id = String.fromCharCode(...this.#bytes.subarray(this.#at, end));
      if (!isId(id)) return undefined;
      this.#ids[slot] = id;
    }
    this.#at = end;
    return id;
  }

  #spells(id: string, length: number): boolean {
    if (id.length !== length) return false;
    for (let index = 0; index < length; index++) {
      if (id.charCodeAt(index) !== this.#bytes[this.#at + index]) return false;
    }
    return true;
  }

  /** A big-endian integer of 1, 2 or 4 bytes, or −1 when so many are not left. */
  #unsigned(size: 1 | 2 | 4): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) return -1;
    this.#at = at + size;
    let value = 0;
    for (let index = at; index < at + size; index++) value = value * 256 + this.#bytes[index]!;
    return value;
  }
}
