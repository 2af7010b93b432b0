/** What a shard need not know any more: streams that are over, and what nobody can resend, claim or have taken back. */

import type { StreamId } from '../../crdt/ids.ts';
import { forgettableBefore } from './claims-horizon.ts';
import type { AggregatorParts } from './options.ts';
import { forgetStreams, type ShardState } from './shard-state.ts';
import type { ShardWriter } from './shard-writer.ts';

/** Of each table of the judge, at a time: well below a millisecond. */
const ROWS_SWEPT = 50_000;

export class Forgetting {
  readonly #parts: AggregatorParts;
  readonly #state: ShardState;
  readonly #writer: ShardWriter;
  readonly #acknowledged: Map<StreamId, number>;
  /** The longest that a commit took from its time until it was handed on. */
  #longestFlightMs = 0;

  constructor(parts: AggregatorParts, state: ShardState, writer: ShardWriter, acknowledged: Map<StreamId, number>) {
    this.#parts = parts;
    this.#state = state;
    this.#writer = writer;
    this.#acknowledged = acknowledged;
  }

  /** Just now, commits of the time `at` were. */
  handedOn(at: number): void {
    this.#longestFlightMs = Math.max(this.#longestFlightMs, this.#parts.runtime.clock.now() - at);
  }

  /** Never rejects. */
  async forget(): Promise<void> {
    const now = this.#parts.runtime.clock.now();
    this.#forgetStreams(now);
    await this.#forgetCommits(now);
  }

  /** What is over leaves nothing behind, and of those who are gone nothing is kept for long, also when nobody comes [AGG-48]. */
  #forgetStreams(now: number): void {
    const { isOver } = this.#parts;
    this.#state.judge.sweep(ROWS_SWEPT, now);
    if (isOver === undefined) return;
    forgetStreams(this.#state, isOver);
    for (const stream of this.#acknowledged.keys()) if (isOver(stream)) this.#acknowledged.delete(stream);
  }

  /** A commit is kept as long as resends may need it, and until all that derives from it is safe [AGG-14]. */
  async #forgetCommits(now: number): Promise<void> {
    const { hotStore, derivedBefore, log, sessionsHeldFrom } = this.#parts;
    const { contributions, corrections, claims, sessions } = this.#state;
    contributions.forget(now);
    // What may still be given back, too, needs the number that was told of its window.
    corrections.forgetBefore(Math.min(contributions.forgottenUntilMs, claims.oldestAt()));
    const heldFrom = sessionsHeldFrom?.() ?? Infinity;
    sessions.holdFrom(heldFrom);
    const { actor, startedAt, recoveredUntil } = this.#writer;
    const forgettable = forgettableBefore({ now, startedAt, recoveredUntil, heldFrom });
    try {
      await hotStore.forget(Math.min(forgettable, derivedBefore() - this.#longestFlightMs));
    } catch (error) {
      log.debug({ error, actor }, 'The hot store forgets later.');
    }
  }
}
