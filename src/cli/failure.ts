/**
 * How a command says no: one sentence for the operator and an exit code for scripts.
 *
 * Anything else that is thrown is a defect and keeps its stack trace.
 */

export const EXIT_CODES = {
  ok: 0,
  /** The command worked and the answer is no: books that do not balance, a region that was fenced. */
  no: 1,
  /** Wrong options, a malformed file, a wrong configuration, a port that is taken. */
  usage: 2,
  /** A server that the command needs does not answer. */
  unreachable: 3,
} as const;

export type ExitReason = keyof typeof EXIT_CODES;

/** The message says what is wrong and what to do about it. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly reason: ExitReason;

  constructor(reason: ExitReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** What an error says, also when its message is hidden inside its cause as with `fetch`. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  if (cause instanceof AggregateError && cause.errors.length > 0) return describeError(cause.errors[0]);
  if (cause instanceof Error && cause.message !== '') return cause.message;
  return error.message === '' ? error.name : error.message;
}
