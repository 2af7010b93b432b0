/**
 * What is left of a world on its disks: all processes die at the same moment, once everything has come out, and those that start on what
 * journals and logs hold must know every total, and every batch that was answered.
 */

import { WINDOW_BITS } from '../../crdt/sequence-window.ts';
import type { IngestReply } from '../../src/aggregator/ingest.ts';
import { RESEND_MS_MAX } from '../../src/protocol/messages.ts';
import type { Checks } from './checks.ts';
import { batchOf, name, type SentBatch } from './clients.ts';
import { batchesOf, digestsOf, isOver, type Inhabitants } from './inhabitants.ts';
import type { Losses } from './losses.ts';

export class Afterlife {
  readonly #world: Inhabitants;
  readonly #losses: Losses;
  readonly #checks: Checks;

  constructor(world: Inhabitants, losses: Losses, checks: Checks) {
    this.#world = world;
    this.#losses = losses;
    this.#checks = checks;
  }

  /** `settle` lets time pass until nothing is still to come. */
  async check(settle: () => Promise<unknown>): Promise<void> {
    const { regions, runtime, counters, violated } = this.#world;
    const before = digestsOf(this.#world);
    for (const region of regions.values()) region.crash(0, 'died in the end');
    await settle();
    // Under a clock that was set back taps are counted in a time that a mute takes back: a start finds them.
    const isCertain = this.#losses.lossy.size + this.#losses.forgetful.size === 0;
    if (isCertain && digestsOf(this.#world) !== before) violated('regions count something else after a restart than before');
    this.#checks.counts();
    const known = digestsOf(this.#world);
    let unanswered = 0;
    for (const batch of batchesOf(this.#world)) {
      const life = regions.get(batch.answeredBy ?? '')?.current;
      if (life?.serves !== true || !this.#mustBeKnown(batch)) continue;
      counters.add('answered batch sent again');
      unanswered += 1;
      life.submit(batchOf(batch, batch.via.length === 0 ? {} : { via: batch.via }), (reply) => {
        unanswered -= 1;
        this.#answered(batch, reply);
      });
    }
    await runtime.runFor(3_000);
    if (unanswered > 0) violated(`${unanswered} batches that were sent again after a restart are not answered`);
    if (digestsOf(this.#world) !== known) violated('batches that had been answered were counted again');
  }

  #mustBeKnown(batch: SentBatch): boolean {
    const { client, lost, answeredBy, answeredAt, sequence, session } = batch;
    if (lost || this.#losses.lossy.has(answeredBy!) || isOver(this.#world, client.stream)) return false;
    if (this.#world.runtime.clock.now() - answeredAt > RESEND_MS_MAX) return false;
    const highest = Math.max(...client.batches.filter((other) => other.session === session).map((other) => other.sequence));
    return highest - sequence < WINDOW_BITS;
  }

  #answered(batch: SentBatch, reply: IngestReply): void {
    const { violated } = this.#world;
    if (reply.kind === 'refused') violated(`${name(batch)}, which ${batch.answeredBy} had answered, is refused after a restart: ${reply.reason}`);
    else if (!reply.duplicate) violated(`${name(batch)}, which ${batch.answeredBy} had answered, is new to it after a restart`);
    else if (reply.accepted !== batch.accepted) violated(`${name(batch)} was answered ${batch.accepted}, and ${reply.accepted} after a restart`);
  }
}
