/**
 * Mutants: faults as careless programmers make them, each a change of a few lines in one file, to be put into the code one at a time. What
 * catches them shows what the simulation is worth. Only the data; `put-in.ts` puts them in.
 *
 * `docs/simulation.md` has them in this order, with what catches each.
 */

/** A fault, as a change of the text of one file. */
export interface Mutant {
  /** The fault, as the table of docs/simulation.md names it. */
  readonly what: string;
  /** The file it is put into, from the root of the project. */
  readonly file: string;
  /** Text that the file holds exactly once, and what stands there instead. */
  readonly find: string;
  readonly replace: string;
  /** Kinds of faults that the seeds are held to; all of them when absent. */
  readonly faults?: string;
  /** The test that catches what no seed does: its file, and the id of its rule. */
  readonly test?: { readonly file: string; readonly rule: string };
}

export const MUTANTS: readonly Mutant[] = [
  {
    what: 'The hot store fences nobody',
    file: 'src/hot-store/memory-store.ts',
    find: `if (sequence !== journal.lastSequence) throw new HotStoreFenced('another writer has begun');`,
    replace: '',
  },
  {
    what: 'A life writes as the actor of the life before',
    file: 'src/aggregator/shard-writer.ts',
    find: 'const epoch = mintEpoch(runtime.clock.now(), epochs);',
    replace: 'const epoch = epochs.size > 0 ? Math.max(...epochs) : mintEpoch(runtime.clock.now(), epochs);',
  },
  {
    what: 'Batches are answered before their commit',
    file: 'src/aggregator/aggregator.ts',
    find: 'const changes = takeChanges(this.#state);',
    replace: `for (const [index, one] of waiting.splice(0).entries()) this.#reply(one, replies[index]!);
    const changes = takeChanges(this.#state);`,
  },
  {
    what: 'A commit of unknown outcome counts as durable',
    file: 'src/aggregator/shard-writer.ts',
    find: 'await this.#persist(() => this.#parts.hotStore.commit(commit));',
    replace: `await this.#persist(async () => {
      await this.#parts.hotStore.commit(commit).catch((error: unknown) => {
        if (!(error instanceof HotStoreUnavailable)) throw error;
      });
    });`,
  },
  {
    what: 'A life forgets what earlier ones answered',
    file: 'src/aggregator/shard-state.ts',
    find: `if (scope === undefined || !sessions.join(scope, record, now)) missing.add('sessions');`,
    replace: `if (scope === undefined) missing.add('sessions');`,
  },
  {
    what: 'Joining replaces an entry instead of taking the greater',
    file: 'crdt/pn-counter.ts',
    find: `if (increments <= held.increments && decrements <= held.decrements) return false;
    const joined: PnEntry = {
      increments: Math.max(held.increments, increments),
      decrements: Math.max(held.decrements, decrements),
    };`,
    replace: `if (increments === held.increments && decrements === held.decrements) return false;
    const joined: PnEntry = { increments, decrements };`,
  },
  {
    what: 'Rows are joined before their commit is durable',
    file: 'src/aggregator/shard-writer.ts',
    find: 'await this.#persist(() => this.#parts.hotStore.commit(commit));',
    replace: `this.#join(commit);
    await this.#persist(() => this.#parts.hotStore.commit(commit));`,
  },
  {
    what: 'A life forgets what earlier ones took back',
    file: 'src/aggregator/contributions.ts',
    find: 'cells[at + RETRACTED] = Math.max(cells[at + RETRACTED]!, Math.min(COUNT_MAX, retracted));',
    replace: '',
  },
  {
    what: 'A mute takes back whatever was ever counted, not from its beginning on',
    file: 'src/moderation/policy.ts',
    find: '{ from: mute.retractFrom, to }',
    replace: '{ from: 0, to }',
  },
  {
    what: 'A retraction takes back what was counted after its end',
    file: 'src/aggregator/contribution-search.ts',
    find: 'cells[at + SECOND]! >= secondOf(from) && timeOf(cells, at) < to',
    replace: 'cells[at + SECOND]! >= secondOf(from)',
  },
  {
    what: 'Rows of a failed append are forgotten, also when the log is opened again',
    file: 'regions/row-publisher.ts',
    find: `for (const row of ledger.rows((actor) => regionOf(actor) === region)) {
      if ((logged.get(rowKey(row)) ?? -1) < row.sequence) this.#dirty.mark(row);
    }`,
    replace: '',
  },
  {
    what: 'Heartbeats always agree',
    file: 'regions/peer-follower.ts',
    find: 'const matches = rowsMatch && documentsMatch === true;',
    replace: 'const matches = true;',
  },
  {
    what: 'Nothing is kept for a peer that lost it',
    file: 'regions/peer-follower.ts',
    find: 'this.#keep(this.#unconfirmed.values());',
    replace: '',
  },
  {
    what: `A region does not hear its peers' moderators`,
    file: 'regions/peer-documents.ts',
    find: 'this.#parts.kinds.get(kindOf(key))?.receive(this.#parts.peer, key, bytes);',
    replace: `if (kindOf(key) !== 'policy') this.#parts.kinds.get(kindOf(key))?.receive(this.#parts.peer, key, bytes);`,
  },
  {
    what: 'Windows of the life before are not rebuilt',
    file: 'src/region-core.ts',
    find: 'onRecovered: keepWindow,',
    replace: '',
  },
  {
    what: 'Windows that the queue has lost are not given to it again',
    file: 'src/analytics/window-publisher.ts',
    find: 'this.#requeueLost();',
    replace: '',
    faults: 'queue-lost,database-down,database-slow',
    test: { file: 'test/analytics/window-publisher.test.ts', rule: 'WIN-16' },
  },
  {
    what: 'What is taken back is not missing from its window',
    file: 'src/aggregator/retraction.ts',
    find: 'corrections.add(own.stream, emoji, countedAt, taps);',
    replace: '',
  },
  {
    what: 'The database keeps the last value instead of the greatest (in the simulated one)',
    file: 'test/simulation/servers.ts',
    find: `held.increments = Math.max(held.increments, increments);
    held.decrements = Math.max(held.decrements, decrements);`,
    replace: `held.increments = increments;
    held.decrements = decrements;`,
  },
  {
    what: 'Windows leave the queue although the database refused',
    file: 'src/analytics/persister.ts',
    find: `if (!signal.aborted) await sleep(runtime.timers, backoffMs(failures, RETRY, runtime.random), signal);
        if (signal.aborted) throw error;`,
    replace: 'return;',
  },
  {
    what: 'A batch that was claimed, and not counted, is counted later',
    file: 'src/aggregator/claim-rules.ts',
    find: 'sessions.admit(slot, sequence, clamped, 0, now, VOID);',
    replace: '',
  },
  {
    what: 'A life forgets the claims of earlier ones',
    file: 'src/aggregator/shard-state.ts',
    find: 'claims.join(record);',
    replace: '',
  },
  {
    what: 'A batch that came by elsewhere is counted without a claim',
    file: 'src/aggregator/step.ts',
    find: 'if (rivals.length > 0) claim(state, batch, accepted, rivals, now);',
    replace: '',
  },
  {
    what: 'What was given back is given back again',
    file: 'src/aggregator/claims.ts',
    find: 'claim.given = give;',
    replace: '',
  },
  {
    what: 'A verdict stays when its page has gone',
    file: 'src/aggregator/claims-desk.ts',
    find: 'if (this.#answers.delete(answersKey)) this.#parts.markDocument(answersKey);',
    replace: '',
  },
  {
    what: 'A claim that is settled stays pending',
    file: 'src/aggregator/claims.ts',
    find: 'if (claim.rivals.length === 0) this.#settle(key, claim, now);',
    replace: '',
  },
  {
    what: 'What is recovered goes to the home shard, however far its stream is spread',
    file: 'src/aggregator/spread.ts',
    find: `if ('session' in origin) return this.shardOfBatch({ stream, session: origin.session, viewer: '' }) === shard;
    const shards = this.shardsOf(stream);
    return shard === (shards.includes(origin.madeBy) ? origin.madeBy : shards[0]);`,
    replace: 'return shard === this.shardsOf(stream)[0];',
  },
  {
    what: 'Journals of shards that are no more are not fenced',
    file: 'src/hot-store/memory-store.ts',
    find: 'const orphans = journals.filter((_, number) => number >= shardCount && number % shardCount === shard);',
    replace: 'const orphans: readonly MemoryJournal[] = [];',
  },
  {
    what: 'Rows of a failed append are forgotten until the log is opened again',
    file: 'regions/row-publisher.ts',
    find: 'this.#putBack(taken.rows, rowKey, this.#dirty, refused);',
    replace: '',
    test: { file: 'test/regions/replicator.test.ts', rule: 'REP-8' },
  },
  {
    what: 'The journal is dropped too early',
    file: 'src/aggregator/forgetting.ts',
    find: 'await hotStore.forget(Math.min(forgettable, derived - Math.max(this.#earlier.longestMs, this.#later.longestMs)));',
    replace: 'await hotStore.forget(forgettable);',
    test: { file: 'test/aggregator/aggregator.test.ts', rule: 'AGG-14' },
  },
  {
    what: 'Windows count as queued before the queue has them',
    file: 'src/analytics/window-publisher.ts',
    find: `for (const oldest of this.#oldestPending.values()) before = Math.min(before, oldest);
    for (const actor of this.#windows.actors()) before = Math.min(before, this.#windows.oldestOpen(actor));`,
    replace: '',
    test: { file: 'test/analytics/window-publisher.test.ts', rule: 'WIN-4' },
  },
  {
    what: 'Windows count as stored when they are queued',
    file: 'src/analytics/window-publisher.ts',
    find: 'this.#unstored.oldest(actor),',
    replace: '',
    faults: 'queue-lost,database-down,crash,crash-derived',
    test: { file: 'test/analytics/window-publisher.test.ts', rule: 'WIN-16' },
  },
  {
    what: 'What a life recovered is as old as its clock says',
    file: 'src/aggregator/shard-state.ts',
    find: 'sessions.join(scope, record, now)',
    replace: 'sessions.join(scope, record, commit.at)',
    faults: 'clock-step,client-loss,client-move,client-double',
    test: { file: 'test/simulation/simulation.test.ts', rule: 'SIM-1' },
  },
  {
    what: 'A life forgets journals by comparing its clock with that of earlier ones',
    file: 'src/aggregator/claims-horizon.ts',
    find: 'return before >= startedAt ? before : Math.min(startedAt, recoveredUntil - HELD_MS_MAX);',
    replace: 'return before;',
    test: { file: 'test/aggregator/claims-aggregator.test.ts', rule: 'CLAIM-6' },
  },
  {
    what: 'A verdict on a page that went while nobody was there stays for a day',
    file: 'src/aggregator/claims-desk.ts',
    find: 'if (heardAt <= unheardSince && now - unheardSince < UNHEARD_MS_MAX) continue;',
    replace: 'if (now - unheardSince < UNHEARD_MS_MAX) continue;',
    test: { file: 'test/aggregator/claims-aggregator.test.ts', rule: 'CLAIM-5' },
  },
  {
    what: `An ended stream's document is dropped before the log holds its id`,
    file: 'src/moderation/stream-ends.ts',
    find: 'for (const stream of ended.logged(this.#leaving, isLogged)) {',
    replace: 'for (const stream of this.#leaving) {',
    test: { file: 'test/moderation/stream-ends.test.ts', rule: 'MOD-35' },
  },
  {
    what: 'Shards do not catch up with what earlier lives wrote until all had begun',
    file: 'src/aggregator/shard-writer.ts',
    find: 'await this.#persist(async () => void (await this.#replay((visit) => this.#parts.hotStore.catchUp(visit))));',
    replace: '',
    faults: 'store-slow,store-late,crash-reshard,zombie-reshard,client-loss',
    test: { file: 'test/aggregator/shard-count.nats.test.ts', rule: 'AGG-55' },
  },
  {
    what: 'Spreads are not read when a process starts',
    file: 'src/aggregator/spread.ts',
    find: 'if (spread !== plain) this.#others.set(stream, shardsOf(stream, spread, this.#shardCount));',
    replace: '',
    test: { file: 'test/aggregator/spread.test.ts', rule: 'AGG-51' },
  },
  {
    what: 'An open window takes the last count instead of the greatest',
    file: 'src/analytics/windows.ts',
    find: 'counts[field] = Math.max(counts[field], value);',
    replace: 'counts[field] = value;',
    test: { file: 'test/analytics/windows.test.ts', rule: 'WIN-1' },
  },
  {
    what: 'The sequence window knows its highest number only',
    file: 'crdt/sequence-window.ts',
    find: `return (word & (1 << (age & 31))) === 0 ? 'new' : 'duplicate';`,
    replace: `return 'duplicate';`,
  },
  {
    what: 'A resend is answered before the commit in flight that it waits for',
    file: 'src/aggregator/aggregator.ts',
    find: `if (this.#phase !== 'running') return this.#reply(one, this.#refusal('unavailable'));`,
    replace: `if (this.#phase !== 'running') return this.#reply(one, this.#refusal('unavailable'));
    const { counts, sessions } = this.#state;
    const slot = sessions.find(counts.find(batch.stream)?.scope ?? -1, batch.session ?? '');
    if (slot >= 0 && sessions.verdictOf(slot, batch.sequence) === 'duplicate') {
      return this.#reply(one, step(this.#state, batch, this.#parts.policyOf(batch.stream), this.#lastAt, slot));
    }`,
  },
  {
    what: `Peers' rows are published as own ones`,
    file: 'regions/row-publisher.ts',
    find: 'replication.ledger.track((actor) => regionOf(actor) === replication.region)',
    replace: 'replication.ledger.track()',
  },
  {
    what: 'Two regions that claim a batch from each other both give it back',
    file: 'src/aggregator/claim-rules.ts',
    find: `counted === VOID || counted > attempt ? answer('keep')`,
    replace: `counted === VOID ? answer('keep')`,
  },
  {
    what: 'A batch goes to whichever shard of its stream has the least to do',
    file: 'src/region-core.ts',
    find: 'shards[spreads.shardOfBatch(batch)]!.submit(batch, done)',
    replace: 'shardsFor(batch.stream).reduce((one, other) => (other.inboxShare < one.inboxShare ? other : one)).submit(batch, done)',
  },
  {
    what: 'A life forgets how much of a batch did not count',
    file: 'src/aggregator/sessions.ts',
    find: 'const learnt = notesOf(record).filter(([sequence]) => !known.some(([of]) => of === sequence));',
    replace: 'const learnt: Note[] = [];',
  },
  {
    what: 'Frames do not say what was taken back',
    file: 'src/broadcaster/broadcaster.ts',
    find: 'return corrected === 0 ? frame : { ...frame, corrected };',
    replace: 'return frame;',
  },
  {
    what: 'Shards take batches before all have begun',
    file: 'src/region-core.ts',
    find: `await Promise.all(shards.map((shard) => shard.open()));
      await Promise.all(shards.map((shard) => shard.start()));`,
    replace: 'await Promise.all(shards.map((shard) => shard.start()));',
    faults: 'store-slow,crash-reshard,zombie-reshard,client-loss,client-double',
  },
  {
    what: 'What earlier lives claimed until all shards had begun is not heard',
    file: 'src/aggregator/claims.ts',
    find: 'if (!this.#isJoining) return;',
    replace: `if (!this.#isJoining || this.#pagePrefix !== '') return;`,
    faults: 'store-slow,store-late,crash-reshard,zombie-reshard,client-loss,client-move',
    test: { file: 'test/aggregator/catch-up.test.ts', rule: 'AGG-55' },
  },
  {
    what: 'What other journals say of streams that moved here stays there',
    file: 'src/aggregator/shard-writer.ts',
    find: 'if (this.#hasOthers) await this.#keepOthers();',
    replace: '',
    test: { file: 'test/aggregator/catch-up.test.ts', rule: 'AGG-56' },
  },
];
