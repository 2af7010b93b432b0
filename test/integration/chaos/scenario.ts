/** What a scenario is: the fault, how it is healed, which effects it must have, and what it may cost. */

import type { Effect } from './effects.ts';
import type { Observer } from './observer.ts';
import type { Rig } from './rig.ts';
import type { Taps } from './taps.ts';
import type { Exception } from './verdict.ts';

/** What a scenario is given while it plays. */
export interface Stage {
  readonly rig: Rig;
  readonly signal: AbortSignal;
  readonly stream: string;
  readonly taps: Taps;
  readonly seen: Observer;
  say(line: string): void;
  /** Lets the fault last, for this many seconds of its full time, and for as long as it takes to be noticed. */
  hold(seconds: number, atLeastMs?: number): Promise<void>;
  /** What a documented exception admits is reckoned from here; without it, from when the fault began. */
  lossIsNow(): void;
  /** Waits for so long, whatever the pace. */
  pause(ms: number): Promise<void>;
  /** Waits for what will come. @throws when it does not within a minute */
  until(what: string, holds: () => boolean | Promise<boolean>): Promise<void>;
}

/** What a machine may lack: packets to lose (namespaces), a disk of its own, a program that fakes clocks. */
export type Need = 'packets' | 'small disk' | 'faketime';

export interface Scenario {
  /** That of the operators' script, where there is one. */
  readonly name: string;
  readonly what: string;
  /** What it needs beyond processes; where that is missing, it is left out, and said so. */
  readonly needs?: Need;
  /** Absent where the books must balance to the tap. */
  readonly exception?: Exception;
  /** Without all of them the scenario has failed: nothing was tried. */
  readonly effects: readonly Effect[];
  /** Before anybody taps. */
  prepare?(stage: Stage): Promise<void>;
  /** Breaks, and holds while the crowd taps. */
  fault(stage: Stage): Promise<void>;
  /** Undoes it, while the crowd taps on. From its beginning the time to converge is taken. */
  heal?(stage: Stage): Promise<void>;
}
