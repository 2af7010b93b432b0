/**
 * The sequence window: which of a session's batches were counted already.
 *
 * An anti-replay window as in IPsec (RFC 4303 §3.4.3): the highest sequence number admitted and a
 * bitmap of the 64 numbers up to it. A client has at most 32 batches in flight, so a number below the
 * window was never the client's to send.
 */

export const WINDOW_BITS = 64;

/** Bit i of (high, low), from the least significant, says that `highest − i` was admitted. */
export interface SequenceWindow {
  /** 0 when nothing was admitted yet. */
  highest: number;
  /** Bits 0–31, as a signed 32-bit integer. */
  low: number;
  /** Bits 32–63, as a signed 32-bit integer. */
  high: number;
}

export type SequenceVerdict = 'new' | 'duplicate' | 'stale';

export function emptyWindow(): SequenceWindow {
  return { highest: 0, low: 0, high: 0 };
}

/** What `admit` would answer, changing nothing. `sequence` is a positive safe integer. */
export function verdictOf(window: Readonly<SequenceWindow>, sequence: number): SequenceVerdict {
  if (sequence > window.highest) return 'new';
  const age = window.highest - sequence;
  if (age >= WINDOW_BITS) return 'stale';
  const word = age < 32 ? window.low : window.high;
  return (word & (1 << (age & 31))) === 0 ? 'new' : 'duplicate';
}

/** Admits a number: 'new' exactly once, then 'duplicate'; 'stale' when it lies below the window. */
export function admit(window: SequenceWindow, sequence: number): SequenceVerdict {
  const verdict = verdictOf(window, sequence);
  if (verdict !== 'new') return verdict;
  if (sequence > window.highest) {
    shift(window, sequence - window.highest);
    window.highest = sequence;
  }
  setBit(window, window.highest - sequence);
  return 'new';
}

/** Joins another window of the same session: what either admitted, this one has admitted. */
export function mergeWindow(into: SequenceWindow, from: Readonly<SequenceWindow>): void {
  const other = { ...from };
  if (other.highest > into.highest) {
    shift(into, other.highest - into.highest);
    into.highest = other.highest;
  } else {
    shift(other, into.highest - other.highest);
  }
  into.low |= other.low;
  into.high |= other.high;
}

function shift(window: SequenceWindow, distance: number): void {
  if (distance >= WINDOW_BITS) {
    window.low = 0;
    window.high = 0;
  } else if (distance >= 32) {
    window.high = distance === 32 ? window.low : window.low << (distance - 32);
    window.low = 0;
  } else if (distance > 0) {
    window.high = (window.high << distance) | (window.low >>> (32 - distance));
    window.low <<= distance;
  }
}

function setBit(window: SequenceWindow, age: number): void {
  if (age < 32) window.low |= 1 << age;
  else window.high |= 1 << (age - 32);
}
