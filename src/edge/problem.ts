/** A refusal on its way to a client: thrown anywhere in the edge, answered as a problem document. */

import type { IngestReply } from '../aggregator/ingest.ts';
import type { Timers } from '../../regions/runtime.ts';
import { PROBLEMS, type ProblemName } from '../protocol/problems.ts';

export class Problem extends Error {
  override readonly name = 'Problem';
  readonly problem: ProblemName;
  readonly retryAfterMs: number | undefined;

  /** `detail` says what is wrong and what to do about it. */
  constructor(problem: ProblemName, detail: string, retryAfterMs?: number) {
    // It says what a client did, not where we were; to find that out costs more than the rest of a refusal.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = stackTraceLimit;
    this.problem = problem;
    // Who may come back is told when, or everybody comes back at once.
    this.retryAfterMs = retryAfterMs ?? (PROBLEMS[problem].temporary ? 1000 : undefined);
  }
}

const REFUSALS: { readonly [reason in Extract<IngestReply, { kind: 'refused' }>['reason']]: string } = {
  'stream-ended': 'The stream takes no more reactions; its totals can be read for a while, its history for long.',
  'unknown-emoji': 'Use the emoji ids of the stream’s palette; the welcome message of its WebSocket lists them.',
  'stale-sequence': 'It lies 64 or more below the highest of its session. Start a new session_id with seq 1.',
  overloaded: 'Nothing was counted. Send the same again, with the same session_id and seq, after a while.',
  unavailable: 'Nothing was acknowledged. Send the same again, with the same session_id and seq, after a while.',
};

/** What an aggregator's refusal is to a client. */
export function refusalOf(reply: Extract<IngestReply, { kind: 'refused' }>): Problem {
  return new Problem(reply.reason, REFUSALS[reply.reason], reply.retryAfterMs);
}

/** The same promise, unless it takes too long. */
export function within<Value>(timers: Timers, limitMs: number, promise: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const cancel = timers.after(limitMs, () =>
      reject(new Problem('unavailable', `No answer within ${limitMs} ms. Try again.`)),
    );
    promise.finally(cancel).then(resolve, reject);
  });
}
