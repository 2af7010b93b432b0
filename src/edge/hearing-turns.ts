/**
 * The turns of hearing: when more comes than can be borne, sockets are read by turns [LOAD-15].
 *
 * Whatever is ready to be read Node reads before it does anything else. With thousands of sockets ready, one turn of the event loop takes as
 * long as all of their batches do, and commits, frames and those who come wait for it. So who brings a batch when a turn has heard enough of
 * them is not read until it is called, and as many are called in each turn as will bring about so much.
 *
 * Who keeps the pace is called before who does not, by what it brought before and by what waits on its socket: a crowd that does not heed
 * it waits for itself.
 */

import type { Cancel, Timers } from '../../regions/runtime.ts';

/** A millisecond or two of work, commit and answers included. */
export const BATCHES_PER_TURN = 64;
/** Turns as short as they come. */
const REST_MS = 1;

/** Who waits to be heard. */
export interface Speaker {
  readonly keepsPace: boolean;
  /** About so many have come over its socket since. */
  readonly waitingBatches: number;
  /** It is its turn. */
  letGo(): void;
}

export class HearingTurns {
  readonly #timers: Timers;
  /** First come, first called. */
  readonly #patient = new Set<Speaker>();
  readonly #impatient = new Set<Speaker>();
  #heard = 0;
  #isScheduled = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  get waiting(): number {
    return this.#patient.size + this.#impatient.size;
  }

  /** Counts a batch. @returns whether this turn has heard enough */
  hear(): boolean {
    this.#heard += 1;
    this.#schedule();
    return this.#heard > BATCHES_PER_TURN;
  }

  /** It is called in a later turn, unless it cancels before. */
  add(speaker: Speaker): Cancel {
    const line = speaker.keepsPace ? this.#patient : this.#impatient;
    line.add(speaker);
    this.#schedule();
    return () => this.#patient.delete(speaker) || this.#impatient.delete(speaker);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#timers.after(REST_MS, () => {
      this.#isScheduled = false;
      this.#turn();
      if (this.waiting > 0) this.#schedule();
    });
  }

  #turn(): void {
    this.#heard = 0;
    let left = BATCHES_PER_TURN;
    for (const line of [this.#patient, this.#impatient]) {
      for (const speaker of line) {
        if (left <= 0) return;
        line.delete(speaker);
        // At the start of a rush everybody has kept the pace so far.
        if (line === this.#patient && !speaker.keepsPace) this.#impatient.add(speaker);
        else {
          left -= Math.max(1, speaker.waitingBatches);
          speaker.letGo();
        }
      }
    }
  }
}
