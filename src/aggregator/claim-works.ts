/**
 * What other regions say of claims, waiting for the shard that it concerns: claims to be judged, verdicts on
 * own claims. Bounded; what finds no place is said again later by who carries it.
 *
 * Work is done at the start of a commit, and its outcome is told once that commit is durable: a verdict that
 * rests on what a crash takes back would let a batch count twice, or never [CLAIM-4].
 */

import type { Claim, Verdict } from '../../regions/claims.ts';
import { judge, settle } from './claim-rules.ts';
import { changedBytes, type ShardState } from './shard-state.ts';

export type ClaimWork =
  /** `done` is told null when the claim is to be asked again later. Must not throw. */
  | { readonly kind: 'claim'; readonly claim: Claim; readonly at: number; readonly done: (verdict: Verdict | null) => void }
  | { readonly kind: 'verdict'; readonly from: string; readonly verdict: Verdict };

const WORKS_MAX = 16_384;
const WORKS_PER_COMMIT_MAX = 2048;
/** Contributions looked at for one commit, but for those of the last work: about a millisecond. */
const CELLS_PER_COMMIT_MAX = 200_000;

export class ClaimWorks {
  #waiting: ClaimWork[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  /** False when too much waits. */
  put(work: ClaimWork): boolean {
    if (this.#waiting.length >= WORKS_MAX) return false;
    this.#waiting.push(work);
    return true;
  }

  /** Does what waits until the changes reach a size, or enough was looked at. Answers what is to be called once they are durable. */
  work(state: ShardState, now: number, bytesMax: number): () => void {
    const tell: (() => void)[] = [];
    const { contributions } = state;
    const countMax = Math.min(this.#waiting.length, WORKS_PER_COMMIT_MAX);
    const lookedMax = contributions.looked + CELLS_PER_COMMIT_MAX;
    let done = 0;
    for (; done < countMax && changedBytes(state) < bytesMax && contributions.looked < lookedMax; done++) {
      const work = this.#waiting[done]!;
      if (work.kind === 'verdict') {
        settle(state, work.from, work.verdict, now);
      } else {
        const verdict = judge(state, work.claim, work.at, now);
        tell.push(() => work.done(verdict));
      }
    }
    if (done > 0) this.#waiting = this.#waiting.slice(done);
    return () => {
      for (const one of tell) one();
    };
  }
}
