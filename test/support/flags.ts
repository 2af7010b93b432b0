/** What the programs of the tests are told on their command line. */

/**
 * Ends the program with the help when that is asked for, and with 2 when the options are wrong.
 * `read` throws a `TypeError` then, as `parseArgs` does.
 */
export function flagsOf<Flags extends { readonly help: boolean }>(help: string, read: () => Flags): Flags {
  let flags: Flags;
  try {
    flags = read();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${help}`);
    process.exit(2);
  }
  if (!flags.help) return flags;
  console.log(help);
  process.exit(0);
}

/** @throws TypeError */
export function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = number(name, text, min, max);
  if (!Number.isInteger(value)) throw new TypeError(`--${name} is a whole number`);
  return value;
}

/** @throws TypeError */
export function number(name: string, text: string, min: number, max: number): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= min && value <= max)) throw new TypeError(`--${name} is a number from ${min} to ${max}`);
  return value;
}
