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

/** How many of the numbers in the window were admitted. */
export function admittedCount({ low, high }: Readonly<SequenceWindow>): number {
  let count = 0;
  for (const word of [low, high]) for (let bits = word; bits !== 0; bits &= bits - 1) count += 1;
  return count;
}

/** Joins another window of the same session: what either admitted, this one has admitted. */
export function mergeWindow(into: SequenceWindow, from: Readonly<SequenceWindow>): void {
  const behind = into.highest - from.highest;
  if (behind < 0) {
    shift(into, -behind);
    into.highest = from.highest;
  }
  const distance = Math.max(0, behind);
  into.low |= lowAfter(from, distance);
  into.high |= highAfter(from, distance);
}

/** Makes every admitted number older by `distance`; those that become older than the window are forgotten. */
function shift(window: SequenceWindow, distance: number): void {
  const low = lowAfter(window, distance);
  window.high = highAfter(window, distance);
  window.low = low;
}

/** The low word after a shift. JavaScript shifts by the distance modulo 32, hence the cases. */
function lowAfter({ low }: Readonly<SequenceWindow>, distance: number): number {
  return distance < 32 ? low << distance : 0;
}

function highAfter({ low, high }: Readonly<SequenceWindow>, distance: number): number {
  if (distance === 0) return high;
  if (distance < 32) return (high << distance) | (low >>> (32 - distance));
  return distance < WINDOW_BITS ? low << (distance - 32) : 0;
}

function setBit(window: SequenceWindow, age: number): void {
  if (age < 32) window.low |= 1 << age;
  else window.high |= 1 << (age - 32);
}
