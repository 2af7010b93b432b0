/**
 * Emoji mix: how a viewer's taps spread over the emoji. Pure; two integers to a viewer.
 *
 * Eight counters of a byte, halved together when one is full, so that the mix is that of lately. Emoji share a
 * counter where there are more than eight, which can hide variety and never feigns it.
 */

export const MIX_COLUMNS = 2;
export const MIX_SIZE = 8;
const BYTE_MAX = 255;
/** Emoji that have a counter assigned to them; later ones go by their length. */
const KNOWN_MAX = 1024;

/** Emoji → counter, in the order in which they were first seen, so that those of one palette have different ones. */
export class EmojiPlaces {
  readonly #places = new Map<string, number>();

  of(emoji: string): number {
    const known = this.#places.get(emoji);
    if (known !== undefined) return known;
    if (this.#places.size >= KNOWN_MAX) return emoji.length & (MIX_SIZE - 1);
    const place = this.#places.size & (MIX_SIZE - 1);
    this.#places.set(emoji, place);
    return place;
  }
}

export function addEmoji(rows: Int32Array, row: number, place: number, taps: number): void {
  const column = row + (place >> 2);
  const shift = (place & 3) * 8;
  // More than half a counter at once would drown the rest.
  let count = countOf(rows, row, place) + Math.min(taps, BYTE_MAX >> 1);
  if (count > BYTE_MAX) {
    // Half of each byte of the two integers at once.
    rows[row] = (rows[row]! >>> 1) & 0x7f7f7f7f;
    rows[row + 1] = (rows[row + 1]! >>> 1) & 0x7f7f7f7f;
    count >>= 1;
  }
  rows[column] = (rows[column]! & ~(0xff << shift)) | (count << shift);
}

export function countOf(rows: Int32Array, row: number, place: number): number {
  return (rows[row + (place >> 2)]! >>> ((place & 3) * 8)) & 0xff;
}

/** The counter that holds nearly all taps, when there are at least `tapsMin`; −1 when the viewer mixes. */
export function onlyEmoji(rows: Int32Array, row: number, tapsMin: number): number {
  let all = 0;
  for (let place = 0; place < MIX_SIZE; place++) all += countOf(rows, row, place);
  return all >= tapsMin && entropyOf((place) => countOf(rows, row, place)) < ENTROPY_OF_ONE ? topEmoji(rows, row) : -1;
}

/** The fullest counter. */
export function topEmoji(rows: Int32Array, row: number): number {
  let top = 0;
  for (let place = 1; place < MIX_SIZE; place++) if (countOf(rows, row, place) > countOf(rows, row, top)) top = place;
  return top;
}

/** Bits; one stray tap in a hundred is 0.08. */
const ENTROPY_OF_ONE = 0.1;

/** Shannon's entropy of the eight counters, in bits: 0 for a single emoji, 3 for all alike. */
export function entropyOf(count: (place: number) => number): number {
  let sum = 0;
  let weighted = 0;
  for (let place = 0; place < MIX_SIZE; place++) {
    const one = count(place);
    if (one === 0) continue;
    sum += one;
    weighted += one * Math.log2(one);
  }
  return sum === 0 ? 0 : Math.log2(sum) - weighted / sum;
}
