/** What a shard need not know any more: streams that are over, and what nobody can resend, claim or have taken back. */

import type { StreamId } from '../../crdt/ids.ts';
import { forgettableBefore } from './claims-horizon.ts';
import type { AggregatorParts } from './options.ts';
import { forgetStreams, type ShardState } from './shard-state.ts';
import type { ShardWriter } from './shard-writer.ts';

/** Of each table of the judge, at a time: well below a millisecond. */
const ROWS_SWEPT = 50_000;

/** How long commits took at most from their time until they were handed on, and when the last of them was. */
interface Flights {
  readonly longestMs: number;
  readonly until: number;
}

const NO_FLIGHTS: Flights = { longestMs: 0, until: -Infinity };

export class Forgetting {
  readonly #parts: AggregatorParts;
  readonly #state: ShardState;
  readonly #writer: ShardWriter;
  readonly #acknowledged: Map<StreamId, number>;
  /** Of the commits from which something may still be on its way, in two turns: one is over as a whole, and the other takes those that come until then. */
  #earlier: Flights = NO_FLIGHTS;
  #later: Flights = NO_FLIGHTS;

  constructor(parts: AggregatorParts, state: ShardState, writer: ShardWriter, acknowledged: Map<StreamId, number>) {
    this.#parts = parts;
    this.#state = state;
    this.#writer = writer;
    this.#acknowledged = acknowledged;
  }

  /** Just now, commits of the time `at` were. */
  handedOn(at: number): void {
    const now = this.#parts.runtime.clock.now();
    const { longestMs, until } = this.#later;
    this.#later = { longestMs: Math.max(longestMs, now - at), until: Math.max(until, now) };
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
    const derived = derivedBefore();
    if (derived > this.#earlier.until) [this.#earlier, this.#later] = [this.#later, NO_FLIGHTS];
    try {
      // A commit may have been handed on so much later than its time.
      await hotStore.forget(Math.min(forgettable, derived - Math.max(this.#earlier.longestMs, this.#later.longestMs)));
    } catch (error) {
      log.debug({ error, actor }, 'The hot store forgets later.');
    }
  }
}
