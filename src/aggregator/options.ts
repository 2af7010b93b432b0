/** What an aggregator is built from, and its limits. Everything that touches the world comes in here. */

import type { StreamId } from '../../crdt/ids.ts';
import type { Commit } from '../hot-store/hot-store.ts';
import type { PolicyOf } from '../moderation/policy.ts';
import { CLAIM_DEFAULTS, type ClaimLimits } from './claims.ts';
import { CONTRIBUTION_DEFAULTS, type ContributionLimits } from './contributions.ts';
import type { WriterParts } from './shard-writer.ts';

export interface AggregatorOptions extends ContributionLimits, ClaimLimits {
  /** How long the first batch of a commit waits for company. */
  readonly tickMs: number;
  /** Batches that may wait. */
  readonly inboxMax: number;
  /** While the oldest batch has waited for so long, commit included, further ones are refused: what is taken in is answered in time. */
  readonly lagMsMax: number;
  /** So many may wait for any time: a hiccup of the store is no overload. */
  readonly patientBatches: number;
  readonly batchesPerCommitMax: number;
  /** A commit stays below this and the changes of one batch, which must fit a broker's message (1 MB). */
  readonly commitBytesMax: number;
  readonly sessionsMax: number;
  readonly bucketsMax: number;
  readonly streamsMax: number;
  /** How long `stop` tries to make durable what was taken in. */
  readonly stopMsMax: number;
}

export const AGGREGATOR_DEFAULTS: AggregatorOptions = {
  tickMs: 10,
  inboxMax: 65_536,
  lagMsMax: 150,
  patientBatches: 512,
  batchesPerCommitMax: 4096,
  commitBytesMax: 750_000,
  sessionsMax: 2_000_000,
  bucketsMax: 1_000_000,
  streamsMax: 100_000,
  ...CONTRIBUTION_DEFAULTS,
  ...CLAIM_DEFAULTS,
  stopMsMax: 5_000,
};

export interface AggregatorParts extends WriterParts {
  readonly policyOf: PolicyOf;
  /** A reason to refuse batches that lies outside: windows or rows cannot be got rid of fast enough. */
  readonly admission: () => 'overloaded' | null;
  /**
   * Whatever was handed on before this time is safely where it belongs: rows in the own log, windows in
   * their queue. The hot store keeps what came later, however long that takes.
   */
  readonly derivedBefore: () => number;
  /**
   * Sessions that were used from this time on, and their commits, are kept also beyond ten minutes: a peer that was not heard
   * since may claim their batches.
   */
  readonly sessionsHeldFrom?: () => number;
  /** Whether a stream is over for good, so that nothing need be known of it any more; absent when none ever is. */
  readonly isOver?: (stream: StreamId) => boolean;
  /** Called with each durable commit, before its replies. Must not throw. */
  readonly onCommit: (commit: Commit) => void;
  /** This aggregator is done for: another process has become the writer, or an invariant broke. */
  readonly onFenced: () => void;
  /** From taking the batches up to their commit being durable. */
  readonly observeCommitMs?: (ms: number) => void;
  readonly options?: Partial<AggregatorOptions>;
}
