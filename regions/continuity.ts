/**
 * Continuity: what to conclude from a peer's heartbeats. Pure: state and event in, state and verdict out.
 *
 * One mismatch proves nothing: compaction overtakes a reader that catches up. Several in a row mean
 * that messages were lost on the way, so the log is read anew; several more after that mean that the
 * log itself lost what we hold, so we keep it for the peer. Then the patience doubles: a mismatch that
 * neither can mend must not become a load.
 */

export interface Continuity {
  /** Mismatching heartbeats in a row since the last step taken. */
  readonly mismatches: number;
  /** True once the log was read from its first message since the last heartbeat that matched. */
  readonly readAnew: boolean;
  /** Rounds of reading anew and keeping rows that did not help. */
  readonly rounds: number;
}

export type Verdict =
  /** We hold what the log holds. */
  | 'in-step'
  /** Too early to tell. */
  | 'wait'
  /** Read the log again from its first message. */
  | 'read-anew'
  /** Keep for the peer the rows that its log did not confirm. */
  | 'keep-rows';

export const MISMATCHES_MAX = 3;
const ROUNDS_COUNTED_MAX = 6;

export const IN_STEP: Continuity = Object.freeze({ mismatches: 0, readAnew: false, rounds: 0 });

/** The reader began at the first message, for whatever reason. */
export function startedAnew({ rounds }: Continuity): Continuity {
  return { mismatches: 0, readAnew: true, rounds };
}

export function heard(continuity: Continuity, matches: boolean): readonly [Continuity, Verdict] {
  if (matches) return [IN_STEP, 'in-step'];
  const { readAnew, rounds } = continuity;
  const mismatches = continuity.mismatches + 1;
  const patience = readAnew ? MISMATCHES_MAX : MISMATCHES_MAX * 2 ** Math.min(rounds, ROUNDS_COUNTED_MAX);
  if (mismatches < patience) return [{ mismatches, readAnew, rounds }, 'wait'];
  if (!readAnew) return [{ mismatches: 0, readAnew: true, rounds }, 'read-anew'];
  return [{ mismatches: 0, readAnew: false, rounds: rounds + 1 }, 'keep-rows'];
}
