/**
 * One process on the virtual machine: its clock, its timers and what it sends to servers, so that it can die
 * at any moment, stand still for a while, or wake when another has taken its place.
 *
 * A dead process does nothing more: its timers are gone and what it waited for never comes, though requests
 * that were on their way still arrive. Its clock is anchored at its start, as a real one's is: steps of the wall
 * clock are seen by the next life only.
 */

import type { Cancel, Runtime } from '../../regions/runtime.ts';
import { seededRandom, type SimulatedRuntime } from '../support/simulated-runtime.ts';

/** Not sent, sent and without effect yet, done and not answered, answered. */
export const CRASH_PHASES = ['before', 'sent', 'done', 'answered'] as const;

/** Where a process may be told to die: at a request of this kind, before or after it had an effect. */
export interface CrashPoint {
  readonly request: string;
  readonly phase: (typeof CRASH_PHASES)[number];
  /** After the answer, so many turns of promises later. */
  readonly hops: number;
  /** So many requests of the kind pass before. */
  readonly skip: number;
}

export class SimulatedProcess implements Runtime {
  readonly clock: Runtime['clock'];
  readonly timers: Runtime['timers'];
  readonly random: Runtime['random'];
  readonly offsetMs: number;
  crashPoint: CrashPoint | null = null;
  readonly #machine: SimulatedRuntime;
  readonly #cancels = new Set<Cancel>();
  readonly #onKill = new Set<(point: CrashPoint | null) => void>();
  /** What has come while the process stood still, in order. */
  #deferred: (() => void)[] = [];
  #alive = true;
  #paused = false;

  constructor(machine: SimulatedRuntime, seed: number, offsetMs: number) {
    this.#machine = machine;
    this.offsetMs = offsetMs;
    this.clock = { now: () => machine.clock.now() + offsetMs };
    this.random = { next: seededRandom(seed) };
    this.timers = {
      after: (delayMs, call) => {
        if (!this.#alive) return () => {};
        const cancel = machine.timers.after(delayMs, () => {
          this.#cancels.delete(cancel);
          this.run(call);
        });
        return this.#tracked(cancel);
      },
      every: (intervalMs, call) => (this.#alive ? this.#tracked(machine.timers.every(intervalMs, () => this.run(call))) : () => {}),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Timers that it has not fired or cancelled. */
  get pendingTimers(): number {
    return this.#cancels.size;
  }

  /** Lets it do something now, or when it wakes, or never. */
  run(call: () => void): void {
    if (!this.#alive) return;
    if (this.#paused || this.#deferred.length > 0) this.#deferred.push(call);
    else call();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#next();
  }

  kill(point: CrashPoint | null = null): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#deferred = [];
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    for (const call of this.#onKill) call(point);
  }

  onKill(call: (point: CrashPoint | null) => void): void {
    this.#onKill.add(call);
  }

  /** A request to a server: takes time, arrives though the sender may have died, and is answered only to the living. */
  request<Answer>(name: string, latencyMs: number, serve: () => Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const point = this.#dueAt(name);
      if (!this.#alive || this.#crashes(point, 'before')) return;
      const sent = this.#crashes(point, 'sent');
      this.#machine.timers.after(latencyMs, () => {
        const answered = (answer: () => void): void => {
          if (sent || this.#crashes(point, 'done')) return;
          this.run(() => {
            answer();
            if (point !== null && this.crashPoint === point && point.phase === 'answered') void this.#crashAfter(point);
          });
        };
        serve().then(
          (answer) => answered(() => resolve(answer)),
          (error: unknown) => answered(() => reject(error)),
        );
      });
    });
  }

  /** The crash point, when this request is the one. */
  #dueAt(name: string): CrashPoint | null {
    const point = this.crashPoint;
    if (point?.request !== name) return null;
    if (point.skip === 0) return point;
    this.crashPoint = { ...point, skip: point.skip - 1 };
    return null;
  }

  #crashes(point: CrashPoint | null, phase: CrashPoint['phase']): boolean {
    // It may have been called off meanwhile.
    if (point === null || this.crashPoint !== point || point.phase !== phase) return false;
    this.crashPoint = null;
    this.kill(point);
    return true;
  }

  async #crashAfter(point: CrashPoint): Promise<void> {
    this.crashPoint = null;
    for (let hop = 0; hop < point.hops; hop++) await Promise.resolve();
    this.kill(point);
  }

  #tracked(cancel: Cancel): Cancel {
    this.#cancels.add(cancel);
    return () => {
      this.#cancels.delete(cancel);
      cancel();
    };
  }

  /** One after the other, so that promises settle in between as they do between events. */
  #next(): void {
    if (!this.#alive || this.#paused) return;
    const call = this.#deferred[0];
    if (call === undefined) return;
    call();
    this.#deferred.shift();
    this.#machine.timers.after(0, () => this.#next());
  }
}
