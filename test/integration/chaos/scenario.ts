/** What a scenario is: the fault, how it is healed, and what it may cost. */

import type { Rig } from './rig.ts';
import type { Exception } from './verdict.ts';

/** What a scenario is given while it plays. */
export interface Stage {
  readonly rig: Rig;
  readonly signal: AbortSignal;
  say(line: string): void;
  /** Lets the fault last, for this many seconds of its full time. */
  hold(seconds: number): Promise<void>;
  /** What a documented exception admits is reckoned from here; without it, from when the fault began. */
  lossIsNow(): void;
  /** Waits for so long, whatever the pace. */
  pause(ms: number): Promise<void>;
}

export interface Scenario {
  /** That of the operators' script, where there is one. */
  readonly name: string;
  readonly what: string;
  /** What it needs beyond processes; where that is missing, it is left out, and said so. */
  readonly needs?: 'packets' | 'small disk';
  /** Absent where the books must balance to the tap. */
  readonly exception?: Exception;
  /** Before anybody taps. */
  prepare?(stage: Stage): Promise<void>;
  /** Breaks, and holds while the crowd taps. */
  fault(stage: Stage): Promise<void>;
  /** Undoes it, while the crowd taps on. From its beginning the time to converge is taken. */
  heal?(stage: Stage): Promise<void>;
}
