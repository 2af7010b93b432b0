/**
 * An order-independent 64-bit digest of counter entries.
 *
 * Each entry hashes to 64 bits and a set of entries is the exclusive or of its members' hashes, so a
 * digest is kept up to date by two operations per change instead of a scan. It detects accidents
 * (loss, rollback, corruption), not adversaries: peers are authenticated by the transport.
 */

export class Digest {
  #high = 0;
  #low = 0;

  /** Adds an entry's hash, or takes it out again: both are the same operation. */
  toggle(high: number, low: number): void {
    this.#high ^= high;
    this.#low ^= low;
  }

  /** 16 hexadecimal digits; all zeros for no entries. */
  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

/** FNV-1a over UTF-16 code units, seeded, to 32 bits. */
export function hashText(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return mix(hash);
}

/** Folds a non-negative safe integer into a 32-bit hash. */
export function hashInteger(hash: number, value: number): number {
  const low = value | 0;
  const high = (value / 0x1_0000_0000) | 0;
  return mix(Math.imul(hash ^ low, 0x9e3779b1) ^ mix(high + 0x85ebca6b));
}

/** The finalizer of MurmurHash3: every input bit reaches every output bit. */
function mix(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
