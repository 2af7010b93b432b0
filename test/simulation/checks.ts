/** What must be true once all has settled [SIM-1]. */

import { parseActorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { batchesOf, isOver, type Inhabitants } from './inhabitants.ts';
import type { Losses } from './losses.ts';
import { decisionsOn } from './moderators.ts';
import { ENDED_GRACE_MS, type Life } from './simulated-region.ts';
import { truthOf } from './truth.ts';

export class Checks {
  readonly #world: Inhabitants;
  readonly #losses: Losses;

  constructor(world: Inhabitants, losses: Losses) {
    this.#world = world;
    this.#losses = losses;
  }

  /** What is still to come; null when nothing is. */
  unsettled(): string | null {
    for (const { viewer, unanswered } of this.#world.clients) if (unanswered > 0) return `${unanswered} batches of ${viewer} are not answered`;
    const lives: Life[] = [];
    for (const region of this.#world.regions.values()) {
      const life = region.current;
      if (life === null || !life.serves) return `${region.name} does not serve`;
      if (region.zombies.size > 0) return `a second process of ${region.name} goes on`;
      if (this.#world.moderators.some((moderator) => !moderator.isHeard(region))) return `${region.name} has not heard every moderator`;
      if (life.replicator.rowsWaiting() + life.replicator.documentsWaiting() > 0) return `the log of ${region.name} lacks rows`;
      if (region.queue.depth + life.windows.stats.pendingRecords + life.windows.stats.openRecords > 0) return `windows of ${region.name} wait`;
      const { claimPages = 0, verdictPages = 0, verdictsWaiting = 0 } = life.desk.stats;
      // A verdict for who has lost its claim is kept for a day, and so is one of a life whose clock is behind that of a life that counted nothing.
      const verdicts = this.#losses.lossy.size + this.#losses.forgetful.size > 0 ? 0 : verdictPages;
      if (claimPages + verdicts + verdictsWaiting > 0) return `claims of ${region.name} are not settled`;
      lives.push(life);
    }
    for (const region of this.#world.regions.keys()) {
      if (new Set(lives.map(({ ledger }) => ledger.regionDigest(region))).size > 1) return `regions differ about ${region}`;
    }
    return null;
  }

  /** Answers of how many totals the truth is known to the tap, and how many have a range. */
  counts(): { readonly exact: number; readonly ranges: number } {
    const truth = truthOf(batchesOf(this.#world), ({ client }) => decisionsOn(this.#world.moderators, client), this.#losses);
    let exact = 0;
    let ranges = 0;
    for (const [key, { low, high }] of truth) {
      const [stream, emoji] = key.split(' ') as [StreamId, EmojiId];
      if (isOver(this.#world, stream)) {
        this.#checkStored(key, low, high);
        continue;
      }
      if (low === high) exact += 1;
      else ranges += 1;
      for (const region of this.#world.regions.values()) {
        const total = region.current?.ledger.tally(stream)?.counter(emoji)?.value ?? 0;
        if (total < low || total > high) this.#world.violated(`${region.name} counts ${total} of ${key} instead of ${low === high ? low : `${low} to ${high}`}`);
      }
    }
    this.#checkStranger(truth);
    this.#checkWindows();
    this.#checkBounds();
    return { exact, ranges };
  }

  /** Of streams that ended, nothing is left once they are over; of the others, everything. */
  async ended(): Promise<void> {
    const ended = this.#world.moderators[0]!.ended;
    if (ended.size === 0) return;
    const totals = (life: Life): string =>
      [...life.ledger.tallies()].filter(({ stream }) => !ended.has(stream))
        .flatMap((tally) => Array.from(tally.counters(), ([emoji, counter]) => `${tally.stream} ${emoji} ${counter.value}`)).sort().join();
    const before = [...this.#world.regions.values()].map(({ current }) => (current === null ? '' : totals(current)));
    // Over at a boundary after the grace, forgotten by shards a grace after the last process has heard of it, which looks every ten seconds.
    const overAt = Math.max(...ended.values(), this.#world.runtime.clock.now()) + 2 * ENDED_GRACE_MS + 15_000;
    await this.#world.runtime.runFor(overAt - this.#world.runtime.clock.now());
    for (const [index, { name, current: life }] of [...this.#world.regions.values()].entries()) {
      if (life === null) continue;
      if (totals(life) !== before[index]) this.#world.violated(`${name} has changed its counts of other streams meanwhile`);
      const streams = life.shards.reduce((sum, { stats }) => sum + stats['streams']!, 0);
      const most = (this.#world.streams.length - ended.size) * life.shards.length;
      if (streams > most) this.#world.violated(`shards of ${name} hold ${streams} streams, of which ${most} go on`);
      for (const stream of ended.keys()) {
        if (life.ledger.tally(stream) !== undefined) this.#world.violated(`${name} still counts ${stream}, which is over`);
        const left = this.#world.network.log(name).snapshot().messages.filter(({ key }) => key.endsWith(`.${stream}`) && !key.startsWith('doc.'));
        if (left.length > 0) this.#world.violated(`the log of ${name} still holds ${left.map(({ key }) => key).join()}, which is over`);
        this.#world.counters.add('stream over');
      }
    }
    const unsettled = this.unsettled();
    if (unsettled !== null) this.#world.violated(`not settled once streams were over: ${unsettled}`);
  }

  /** Of a stream that is over the windows are all that is left. */
  #checkStored(key: string, low: number, high: number): void {
    if (this.#losses.lossy.size + this.#losses.windowless.size > 0) return;
    let total = 0;
    for (const { stream, emoji, increments, decrements } of this.#world.database.rows.values()) if (`${stream} ${emoji}` === key) total += increments - decrements;
    if (total < low || total > high) this.#world.violated(`the database holds ${total} of ${key}, which is over, instead of ${low === high ? low : `${low} to ${high}`}`);
  }

  /** Nothing is counted that nobody tapped. */
  #checkStranger(truth: ReadonlyMap<string, unknown>): void {
    for (const region of this.#world.regions.values()) {
      for (const tally of region.current?.ledger.tallies() ?? []) {
        for (const [emoji] of tally.counters()) if (!truth.has(`${tally.stream} ${emoji}`)) this.#world.violated(`${region.name} counts ${tally.stream} ${emoji}, which nobody tapped`);
      }
    }
  }

  /** Of each actor, the windows in the database add up to its entry. */
  #checkWindows(): void {
    const sums = new Map<string, { increments: number; decrements: number }>();
    for (const { stream, emoji, actor, increments, decrements } of this.#world.database.rows.values()) {
      const key = `${stream} ${emoji} ${actor}`;
      const sum = sums.get(key) ?? { increments: 0, decrements: 0 };
      sums.set(key, { increments: sum.increments + increments, decrements: sum.decrements + decrements });
    }
    const ledger = [...this.#world.regions.values()].find(({ current }) => current !== null)?.current?.ledger;
    if (ledger === undefined) return;
    const missing = new Set(sums.keys());
    for (const tally of ledger.tallies()) {
      for (const [emoji, counter] of tally.counters()) {
        for (const [actor, { increments, decrements }] of counter.entries()) {
          const key = `${tally.stream} ${emoji} ${actor}`;
          missing.delete(key);
          if (this.#losses.lossy.has(parseActorId(actor).region) || this.#losses.windowless.has(actor)) continue;
          const sum = sums.get(key) ?? { increments: 0, decrements: 0 };
          if (sum.increments !== increments || sum.decrements !== decrements) {
            this.#world.violated(`windows of ${key} add up to +${sum.increments} −${sum.decrements} instead of +${increments} −${decrements}`);
          }
        }
      }
    }
    for (const key of missing) {
      const [stream, , actor] = key.split(' ') as [StreamId, EmojiId, string];
      if (isOver(this.#world, stream)) continue;
      if (!this.#losses.lossy.has(actor.split('/')[0]!)) this.#world.violated(`windows of ${key}, which the ledger does not have`);
    }
  }

  /** What is kept is what is needed. */
  #checkBounds(): void {
    for (const region of this.#world.regions.values()) {
      const life = region.current;
      if (life === null) continue;
      // A claim makes a region remember also what it has never seen, and the log says for an hour that one is settled.
      const batches = [...batchesOf(this.#world)].filter(({ reached }) => this.#world.scenario.claims || reached.has(region.name));
      const claims = 2 * (this.#world.counters.counts.get('batch taken along') ?? 0);
      const sessions = new Set(batches.map(({ session, client }) => `${client.stream} ${session}`)).size;
      const actors = [...life.ledger.actors()].length;
      const rows = [...life.ledger.rows()].length;
      const keys = this.#world.network.log(region.name).size;
      const stats = life.shards.map((shard) => shard.stats);
      const sum = (field: string): number => stats.reduce((all, each) => all + (each[field] ?? 0), 0);
      const bounds: [string, number, number][] = [
        ['batches wait', sum('inbox'), 0],
        ['sessions', sum('sessions'), sessions],
        ['contributors', sum('contributors'), 4 * this.#world.scenario.clients * life.shards.length],
        ['streams', sum('streams'), this.#world.streams.length * life.shards.length],
        ['claims pending', sum('claimsPending') + sum('claimWorks'), 0],
        ['viewers judged', sum('buckets'), this.#world.scenario.clients * life.shards.length],
        ['devices judged', sum('devices'), this.#world.scenario.clients * life.shards.length],
        ['policy documents', life.plane.stats.documents, this.#world.streams.length + 1],
        ['messages in the log', keys, rows + this.#world.streams.length + 2 + claims],
        ['actors', actors, 200],
        ['timers', life.process.pendingTimers, 40],
      ];
      for (const [what, found, most] of bounds) if (found > most) this.#world.violated(`${region.name} has ${found} ${what}, of which ${most} are explained`);
    }
  }

}
