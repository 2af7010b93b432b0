/** What a count is, wherever bytes of others are read. */

/** A whole number from 0. Not −0, which is written as another one than it is read. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}
