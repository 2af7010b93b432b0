/** One group of viewers of a scenario, however they find their region. */

export interface Party {
  readonly size: number;
  readonly connectedCount: number;
  /** Those whose taps are not all answered. */
  readonly busyCount: number;
  /** How often somebody began another connection to the same region, or went to another one. */
  readonly reconnects: number;
  readonly moves: number;
  start(): void;
  stop(): void;
  /**
   * From now on nothing is heard of the own region, until `hear`: what is sent arrives, what is answered is lost, as on a network that is
   * half open. Who notices leaves with batches that it has counted.
   */
  deafen(): void;
  hear(): void;
  /** What is unanswered then is in doubt. */
  close(): void;
}

export interface PartyOptions {
  readonly count: number;
  readonly stream: string;
  readonly emoji: string;
  readonly tapsPerSecond: number;
  /** The service does not want one of them, for good. */
  readonly onRejected: (reason: string) => void;
}
