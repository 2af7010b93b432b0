/** What a world has lost for good, by the faults that were carried out, as servers saw it: of that, the truth is in doubt. */

import { parseActorId } from '../../crdt/actor.ts';
import { batchesOf, type Inhabitants } from './inhabitants.ts';
import type { Life, SimulatedRegion } from './simulated-region.ts';

/** What a region may have told nobody when it loses its disk: the gossip tick, and what was on its way. */
const UNTOLD_MS = 6_000;

export class Losses {
  /** Regions that have lost state. */
  readonly lossy = new Set<string>();
  /** Regions that forget by a clock that was set. */
  readonly forgetful = new Set<string>();
  /** Actors of which windows went with journal and process. */
  readonly windowless = new Set<string>();
  readonly #world: Inhabitants;
  /** Journals that lost commits under a living process that has not written them again yet. */
  readonly #damaged = new Map<Life, { readonly shard: number; readonly journalsLost: number; readonly commits: number }[]>();
  /** When a journal was damaged under a living process: until its windows are queued, nobody else knows them. */
  readonly #damagedAt = new Map<Life, number>();

  constructor(world: Inhabitants) {
    this.#world = world;
  }

  /** The next life of a region recovers a journal that the earlier one has not mended yet. */
  booting(region: SimulatedRegion): void {
    for (const life of this.#damaged.keys()) if (life.region === region.name) this.#loseUnlessMended(life);
  }

  /** A journal loses commits: the living process writes them again, unless there is none, or it ends before. */
  damage(region: SimulatedRegion, other: number, damage: () => void): void {
    const shard = other % region.shardCount;
    damage();
    const life = region.current;
    if (life === null || !life.started || region.zombies.size > 0) return this.lose(region);
    const { journalsLost = 0, commits = 0 } = life.shards[shard]!.stats;
    this.#damaged.set(life, [...(this.#damaged.get(life) ?? []), { shard, journalsLost, commits }]);
    this.#damagedAt.set(life, life.process.clock.now());
    this.#world.counters.add('journal damaged under a living process');
  }

  ended(life: Life): void {
    this.#loseUnlessMended(life);
    if ((this.#damagedAt.get(life) ?? -Infinity) < life.windows.queuedBefore()) return;
    this.#world.counters.add('windows lost with journal and process');
    for (const actor of life.ledger.actors()) if (parseActorId(actor).region === life.region) this.windowless.add(actor);
  }

  #loseUnlessMended(life: Life): void {
    const damages = this.#damaged.get(life) ?? [];
    const isMended = damages.every(({ shard, journalsLost, commits }) => {
      const now = life.shards[shard]!.stats;
      return now['journalsLost']! > journalsLost && now['commits']! > commits;
    });
    this.#damaged.delete(life);
    if (!isMended) this.lose(this.#world.regions.get(life.region)!);
  }

  /** What the region has not told anybody is gone, and which of the latest batches it counted. */
  lose(region: SimulatedRegion, untoldMs = UNTOLD_MS): void {
    const now = this.#world.runtime.clock.now();
    this.lossy.add(region.name);
    const since = Math.min(now, region.log.appendedAt) - untoldMs;
    for (const batch of batchesOf(this.#world)) if (batch.reached.has(region.name) && (batch.answeredAt === Infinity || batch.answeredAt > since)) batch.lost = true;
    this.#world.counters.add('state lost');
  }
}
