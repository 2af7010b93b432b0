/** One life of a shard over a store that can fail, and what it told others, in order. */

import { expect } from 'vitest';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Log } from '../../regions/runtime.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import type { AggregatorOptions } from '../../src/aggregator/options.ts';
import type { Commit } from '../../src/hot-store/hot-store.ts';
import { createMemoryStore, type MemoryJournal } from '../../src/hot-store/memory-store.ts';
import { DEFAULT_POLICY, type Policy } from '../../src/moderation/policy.ts';
import type { SimulatedRuntime } from '../support/simulated-runtime.ts';
import { FaultyStore } from './faulty-store.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
export const DERBY = 'derby' as StreamId;
export const HEART = 'heart' as EmojiId;

export class Life {
  readonly ledger = new Ledger();
  readonly store: FaultyStore;
  readonly aggregator: Aggregator;
  readonly replies: IngestReply[] = [];
  readonly events: string[] = [];
  readonly commits: Commit[] = [];
  readonly recovered: Commit[] = [];
  policy: Policy;
  fenced = 0;
  overloaded = false;
  /** Streams that are over for good. */
  readonly over = new Set<StreamId>();
  /** What the rows and windows derived from commits have safely reached. */
  derivedBefore = Infinity;

  constructor(runtime: SimulatedRuntime, journal: MemoryJournal, options: Partial<AggregatorOptions> = {}, policy = DEFAULT_POLICY) {
    this.policy = policy;
    this.store = new FaultyStore(createMemoryStore(journal));
    this.aggregator = createAggregator({
      region: 'us',
      shard: 0,
      owns: (stream) => stream === DERBY,
      hotStore: this.store,
      ledger: this.ledger,
      policyOf: () => this.policy,
      runtime,
      log: quiet,
      admission: () => (this.overloaded ? 'overloaded' : null),
      windowsStoredBefore: () => 0,
      derivedBefore: () => this.derivedBefore,
      isOver: (stream) => this.over.has(stream),
      onCommit: (commit) => {
        this.commits.push(commit);
        this.events.push(`commit ${commit.sequence} total ${this.total()}`);
      },
      onRecovered: (commit) => this.recovered.push(commit),
      onFenced: () => {
        this.fenced += 1;
      },
      options,
    });
  }

  submit(sequence: number, fields: Partial<Batch> = {}): void {
    const batch: Batch = { stream: DERBY, viewer: 'v', device: null, address: null, session: 's', sequence, reactions: [[HEART, 2]], ...fields };
    this.aggregator.submit(batch, (reply) => {
      this.replies.push(reply);
      this.events.push(`reply ${sequence}`);
    });
  }

  total(): number {
    return this.ledger.tally(DERBY)?.counter(HEART)?.value ?? 0;
  }
}

export const counted = (accepted: number, clamped = 0, duplicate = false) => ({ kind: 'counted', accepted, clamped, duplicate });
export const refused = (reason: string) => expect.objectContaining({ kind: 'refused', reason, retryAfterMs: expect.any(Number) });

