/** Carries out the faults of a schedule, and undoes them. */

import type { Fault } from './faults.ts';
import type { Inhabitants } from './inhabitants.ts';
import type { Losses } from './losses.ts';
import { CRASH_PHASES, type CrashPoint } from './process.ts';
import { healthy } from './servers.ts';
import { SHARDS_MAX } from './simulated-region.ts';

/** Three heartbeats that do not agree, and some patience. */
const UNNOTICED_MS = 15_000;

export class Disruptor {
  readonly #world: Inhabitants;
  readonly #losses: Losses;
  /** What is switched on now and has to be switched off. */
  readonly #undo = new Set<() => void>();
  #healed = false;

  constructor(world: Inhabitants, losses: Losses) {
    this.#world = world;
    this.#losses = losses;
  }

  get healed(): boolean {
    return this.#healed;
  }

  carryOut({ kind, forMs, where, other, much, point }: Fault, name: string, peer: string): void {
    const { network, regions, clients, moderators, database, clientFaults, scenario, runtime, counters } = this.#world;
    const region = regions.get(name)!;
    const log = network.log(name);
    const link = region.log.link(peer);
    const journal = region.journals[other % region.shardCount]!;
    const client = clients[where % clients.length]!;
    const moderator = moderators[(where % clients.length) % 2]!;
    const downMs = Math.min(forMs, 3_000);
    const share = 0.05 + 0.5 * much;
    const reshard = (): void => {
      const shards = 1 + (other % SHARDS_MAX);
      if (shards !== region.shardCount) counters.add('shards changed');
      region.shardCount = shards;
    };
    // All that they ever tapped, or what they tapped of late.
    const backMs = other % 2 === 0 ? Infinity : Math.round(5_000 * much);
    switch (kind) {
      case 'cut':
        return this.#for(forMs, () => network.cut(name, peer), () => network.heal(name, peer));
      case 'isolate':
        for (const one of regions.keys()) {
          if (one === name) continue;
          this.#for(forMs, () => network.cut(name, one), () => network.heal(name, one));
          this.#for(forMs, () => network.cut(one, name), () => network.heal(one, name));
        }
        return;
      case 'flap':
        for (let atMs = 0; atMs < forMs; atMs += 600) {
          runtime.timers.after(atMs, () => this.#healed || network.cut(name, peer));
          runtime.timers.after(atMs + 100 + 400 * much, () => network.heal(name, peer));
        }
        return;
      case 'delay':
        return this.#for(forMs, () => network.delay(name, peer, 50 + 500 * much), () => network.delay(name, peer, 0));
      case 'lose':
      case 'double':
      case 'reorder':
      case 'stale':
        return this.#for(forMs, () => void (link[kind] = share), () => void (link[kind] = 0));
      case 'store-down':
        return this.#for(forMs, () => void (journal.faults.down = true), () => void (journal.faults.down = false));
      case 'store-unknown':
        return this.#for(forMs, () => void (journal.faults.unknown = share), () => void (journal.faults.unknown = 0));
      case 'store-late':
        return this.#for(forMs, () => void (journal.faults.late = share), () => void (journal.faults.late = 0));
      case 'store-slow':
        return this.#for(forMs, () => void (journal.faults.slowMs = 20 + 800 * much), () => void (journal.faults.slowMs = 0));
      case 'crash':
        return region.crash(downMs);
      case 'crash-commit':
      case 'crash-derived':
      case 'crash-start':
        return region.dieAt(crashPointOf(kind, other, much), downMs);
      case 'crash-at':
        return region.dieAt(point!, downMs);
      case 'crash-all':
        for (const one of regions.values()) one.crash(downMs);
        return;
      case 'restart':
        return region.restart(downMs);
      case 'pause':
        return region.pause(forMs);
      case 'zombie':
        return region.takeOver(300 + 2_000 * much, forMs, true);
      case 'twin':
        return region.takeOver(10, 0, false);
      case 'journal-wiped':
        return this.#losses.damage(region, other, () => journal.rollBack(0));
      case 'journal-rolled-back':
        return this.#losses.damage(region, other, () => journal.rollBack(much));
      case 'crash-journal-lost':
      case 'crash-journal-stale':
        this.#losses.lose(region);
        region.crash(downMs);
        return journal.rollBack(kind === 'crash-journal-lost' ? 0 : much);
      case 'crash-disk-lost':
        // Peers have what they heard; what was lost on the way to them they have not noticed yet.
        this.#losses.lose(region, UNNOTICED_MS + this.#unheardMs(name));
        region.crash(downMs);
        for (const { journal: lost } of region.journals) lost.wipe();
        return log.wipe();
      case 'crash-disk-stale': {
        const copies = region.journals.map((server) => server.copy());
        const snapshot = log.snapshot();
        runtime.timers.after(forMs, () => {
          if (this.#healed) return;
          this.#losses.lose(region, UNNOTICED_MS + this.#unheardMs(name));
          region.crash(downMs);
          for (const copy of copies) copy.restore();
          log.restore(snapshot);
          counters.add('disk put back');
        });
        return;
      }
      case 'log-down':
        return this.#for(forMs, () => log.setAvailable(false), () => log.setAvailable(true));
      case 'log-unknown':
        return this.#for(forMs, () => void (region.log.unknown = share), () => void (region.log.unknown = 0));
      case 'log-slow':
        return this.#for(forMs, () => void (region.log.slowMs = 20 + 800 * much), () => void (region.log.slowMs = 0));
      case 'log-wiped':
        return log.wipe();
      case 'crash-log-wiped':
        region.crash(downMs);
        return log.wipe();
      case 'log-rolled-back':
      case 'crash-log-rolled-back': {
        const snapshot = log.snapshot();
        runtime.timers.after(forMs, () => {
          if (this.#healed) return;
          if (kind === 'crash-log-rolled-back') region.crash(downMs);
          log.restore(snapshot);
        });
        return;
      }
      case 'queue-down':
        return this.#for(forMs, () => void (region.queue.faults.down = true), () => void (region.queue.faults.down = false));
      case 'queue-unknown':
        return this.#for(forMs, () => void (region.queue.faults.unknown = share), () => void (region.queue.faults.unknown = 0));
      case 'queue-lost':
        return region.queue.lose();
      case 'database-down':
        return this.#for(forMs, () => void (database.faults.down = true), () => void (database.faults.down = false));
      case 'database-slow':
        return this.#for(forMs, () => void (database.faults.slowMs = 2_000 * much), () => void (database.faults.slowMs = 0));
      case 'database-unknown':
        return this.#for(forMs, () => void (database.faults.unknown = share), () => void (database.faults.unknown = 0));
      case 'clock-step':
        region.clockOffsetMs += Math.round((much < 0.5 ? -1 : 1) * 600_000 * (other % 3 === 0 ? 1 : 0.1 + 0.9 * ((other % 100) / 100)));
        this.#losses.forgetful.add(name);
        return region.crash(downMs);
      case 'client-loss':
        return this.#for(
          forMs,
          () => void ((clientFaults.loseRequest = share / 2), (clientFaults.loseAnswer = share)),
          () => void ((clientFaults.loseRequest = 0), (clientFaults.loseAnswer = 0)),
        );
      case 'client-double':
        return this.#for(forMs, () => void (clientFaults.double = share), () => void (clientFaults.double = 0));
      case 'client-move':
        return client.move(name);
      case 'client-close':
        return client.close();
      case 'mute':
        return moderator.mute(client, 'viewer', null);
      case 'mute-back':
      case 'mute-device':
        moderator.mute(client, kind === 'mute-device' ? 'device' : 'viewer', backMs);
        if (much < 0.5) this.#for(forMs, () => {}, () => moderator.lift(client));
        return;
      case 'lift':
        return moderator.lift(client);
      case 'take-back':
      case 'take-back-device':
        return moderators[other % 2]!.retract(client, kind === 'take-back' ? 'viewer' : 'device', backMs);
      case 'spread':
        return moderators[0]!.setSpread(client.stream, 1 + (other % SHARDS_MAX));
      case 'reshard':
        return region.restart(downMs, reshard);
      case 'crash-reshard':
        // Started anew at once, so that what was under way arrives afterwards.
        region.crash(forMs / 50);
        return reshard();
      case 'zombie-reshard':
        return region.takeOver(much < 0.7 ? 20 + 500 * much : 10, forMs, much < 0.7, reshard);
      case 'end':
        // Clocks that are minutes apart forget it minutes apart.
        if (!scenario.faults.some((fault) => fault.kind === 'clock-step')) moderators[0]!.end(client.stream);
        return;
      case 'palette':
        return this.#for(
          forMs,
          () => moderator.setEnabled(client.stream, 'wow', false),
          () => moderator.setEnabled(client.stream, 'wow', true),
        );
    }
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    const { network, regions, database, clientFaults } = this.#world;
    this.#healed = true;
    for (const undo of this.#undo) undo();
    for (const { from, to } of network.links()) {
      network.delay(from, to, 0);
      network.heal(from, to);
    }
    Object.assign(clientFaults, { loseRequest: 0, loseAnswer: 0, double: 0 });
    Object.assign(database.faults, healthy());
    for (const region of regions.values()) {
      network.log(region.name).setAvailable(true);
      Object.assign(region.log, { slowMs: 0, unknown: 0 });
      for (const link of region.log.links.values()) Object.assign(link, { lose: 0, double: 0, reorder: 0, stale: 0 });
      for (const journal of region.journals) Object.assign(journal.faults, healthy());
      Object.assign(region.queue.faults, healthy());
      region.nextCrashPoint = null;
      if (region.current !== null) region.current.process.crashPoint = null;
      for (const life of [region.current, ...region.zombies]) life?.process.resume();
    }
  }

  /** Does something, and undoes it when its time is over. */
  #for(forMs: number, on: () => void, off: () => void): void {
    on();
    const once = (): void => {
      if (this.#undo.delete(once)) off();
    };
    this.#undo.add(once);
    this.#world.runtime.timers.after(forMs, once);
  }

  /** For how long no peer has heard of a region. */
  #unheardMs(region: string): number {
    return this.#world.runtime.clock.now() - this.#world.regions.get(region)!.log.heardAt;
  }
}

function crashPointOf(kind: 'crash-commit' | 'crash-start' | 'crash-derived', other: number, much: number): CrashPoint {
  const requests = { 'crash-commit': ['commit'], 'crash-start': ['recover', 'begin', 'open'], 'crash-derived': ['append', 'publish', 'store', 'queue'] }[kind];
  return { request: requests[other % requests.length]!, phase: CRASH_PHASES[Math.floor(much * 4)]!, hops: Math.floor(other / 7) % 12, skip: 0 };
}
