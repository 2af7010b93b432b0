/**
 * The processes of a dev, by name, and what can be done to them: killed, paused, stopped, doubled. What is done
 * for a while undoes itself, as with links; a later command takes its place.
 */

import type { Cancel, Timers } from '../../../regions/runtime.ts';
import type { DeleteStreamCommand, ProcessCommand } from '../../web/live/dev-api.ts';
import { CommandFailure } from '../failure.ts';
import type { Startable, Supervised } from './supervised.ts';

/** What a dev is made of, as far as it can be broken. */
export interface Breakable {
  /** By name: `us`, `us-nats`, `database`. Empty where all run inside dev. */
  readonly processes: ReadonlyMap<string, Supervised>;
  /** Another process of a region, not supervised and not started yet. Null for what is no region. */
  twin(region: string): Startable | null;
  /** @throws CommandFailure */
  deleteStream(command: DeleteStreamCommand): Promise<void>;
}

export class Processes {
  readonly #parts: Breakable;
  readonly #timers: Timers;
  /** One a region at most. */
  readonly #twins = new Map<string, Startable>();
  readonly #undoing = new Map<string, Cancel>();

  constructor(parts: Breakable, timers: Timers) {
    this.#parts = parts;
    this.#timers = timers;
  }

  /** @throws CommandFailure when there is no such process, or it cannot be broken in this way */
  async change({ target, action, for_ms }: ProcessCommand): Promise<void> {
    const process = this.#find(target);
    this.#undoing.get(target)?.();
    this.#undoing.delete(target);
    if (action === 'kill') return process.kill();
    if (action === 'resume' || action === 'start') return this.#undo(target, process);
    if (action === 'pause') process.pause();
    else if (action === 'stop') await process.halt();
    else await this.#startTwin(target);
    if (for_ms !== undefined) this.#undoing.set(target, this.#timers.after(for_ms, () => void this.#undo(target, process)));
  }

  async stop(): Promise<void> {
    for (const cancel of this.#undoing.values()) cancel();
    await Promise.all([...this.#twins.keys()].map((target) => this.#stopTwin(target)));
  }

  async #undo(target: string, process: Supervised): Promise<void> {
    this.#undoing.delete(target);
    process.resume();
    await this.#stopTwin(target);
  }

  async #startTwin(target: string): Promise<void> {
    if (this.#twins.has(target)) throw new CommandFailure('usage', `there is a second process of ${target} already`);
    const twin = this.#parts.twin(target);
    if (twin === null) throw new CommandFailure('usage', `${target} is no region, and only regions can be doubled`);
    this.#twins.set(target, twin);
    try {
      await twin.start();
    } catch (error) {
      this.#twins.delete(target);
      throw new CommandFailure('no', `the second process of ${target} did not start: ${(error as Error).message}`);
    }
    // It may be the one that is told to go.
    void twin.ended().then(() => this.#twins.get(target) === twin && this.#twins.delete(target));
  }

  async #stopTwin(target: string): Promise<void> {
    const twin = this.#twins.get(target);
    this.#twins.delete(target);
    await twin?.stop();
  }

  #find(target: string): Supervised {
    const process = this.#parts.processes.get(target);
    if (process !== undefined) return process;
    const known = [...this.#parts.processes.keys()];
    if (known.every((name) => name === 'database')) {
      throw new CommandFailure('usage', `${target} runs inside dev and cannot be broken; install nats-server and start dev without --embedded`);
    }
    throw new CommandFailure('usage', `there is no ${target}; there are ${known.join(', ')}`);
  }
}
